/* See key_log.h. */
#include "shim/tls/key_log.h"

#include <string.h>

#include "shim/tls/handshake.h"

static int digit(char character)
{
	if (character >= '0' && character <= '9')
		return character - '0';
	if (character >= 'a' && character <= 'f')
		return character - 'a' + 10;
	if (character >= 'A' && character <= 'F')
		return character - 'A' + 10;
	return -1;
}

static size_t read_hex(const char *text, uint8_t *bytes, size_t room)
{
	size_t n = 0;

	for (; n < room && digit(text[0]) >= 0 && digit(text[1]) >= 0; text += 2)
		bytes[n++] = (uint8_t)(digit(text[0]) << 4 | digit(text[1]));
	return digit(text[0]) < 0 ? n : 0;
}

void key_log_note_secret(struct handshake *handshake, const char *label, const uint8_t *secret, size_t length)
{
	static const struct {
		const char *label;
		enum handshake_secret secret;
	} known[] = {{"CLIENT_TRAFFIC_SECRET_0", HANDSHAKE_HAS_CLIENT},
		     {"SERVER_TRAFFIC_SECRET_0", HANDSHAKE_HAS_SERVER},
		     {"CLIENT_RANDOM", HANDSHAKE_HAS_MASTER}};

	if (!length || length > TLS_HASH_MAX)
		return;
	for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strcmp(label, known[i].label) != 0)
			continue;
		memcpy(i < 2 ? handshake->secret[i] : handshake->master, secret, length);
		handshake->secrets |= known[i].secret;
		handshake->secret_length = length;
	}
}

/* LABEL CLIENT_RANDOM SECRET, the latter two in hexadecimal. */
void key_log_note_line(struct handshake *handshake, const char *line)
{
	const char *first = strchr(line, ' '), *last = strrchr(line, ' ');
	uint8_t secret[TLS_HASH_MAX];
	char label[64];
	size_t length;

	if (!first || (size_t)(first - line) >= sizeof(label))
		return;
	memcpy(label, line, (size_t)(first - line));
	label[first - line] = '\0';
	length = read_hex(last + 1, secret, sizeof(secret));
	key_log_note_secret(handshake, label, secret, length);
	explicit_bzero(secret, sizeof(secret));
}
