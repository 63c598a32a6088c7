/*
 * Fuzz target for hellos.
 *
 * Input: two bytes that name a position, one that changes the byte there; the rest is what a program or a server has
 * sent. It is read as both. Then:
 *   - nothing is read beyond it; what comes behind a ClientHello makes no difference, and without its end it is
 *     partial;
 *   - a changed byte of a random, a session id, a ticket, a PSK, padding or a key makes no difference to the
 *     digest, and one of any other value does;
 *   - a ServerHello that is found is found in all that begins with the same bytes;
 *   - the messages of a flight are those that a plainer reader finds, which first puts the records together.
 */
#include "pool/tls/hello.h"

#include <stdlib.h>
#include <string.h>

#include "pool/tls/record.h"
#include "tests/unit/fake/crypto.h"

#define MUST(condition) ((condition) ? (void)0 : abort())
#define MAX_INPUT 20000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum tls_hello_verdict read_hello(const uint8_t *bytes, size_t length, struct tls_hello *hello)
{
	/* An allocation of this very size, so that the sanitizer sees each step too far. */
	uint8_t *copy = malloc(length ? length : 1);

	memcpy(copy, bytes, length);
	enum tls_hello_verdict verdict = tls_hello_read(&fake_crypto, copy, length, (const uint8_t *)"salt", 4, hello);
	free(copy);
	return verdict;
}

static size_t get_number(const uint8_t *at)
{
	return (size_t)at[0] << 8 | at[1];
}

enum place { STRUCTURE, VALUE, IGNORED };

/* What the byte at `position` of a well-formed list of key shares is. */
static enum place place_in_shares(const uint8_t *shares, size_t length, size_t position)
{
	for (size_t at = 2; at + 4 <= length;) {
		size_t key_length = get_number(shares + at + 2);

		if (position < at + 4)
			return position >= at && position < at + 2 ? VALUE : STRUCTURE;
		at += 4 + key_length;
		if (position < at)
			return IGNORED;
	}
	return STRUCTURE;
}

/* What the byte at `position` of a well-formed ClientHello is: of a length or a type, of a value, or one of those that
 * make no difference. */
static enum place place_of(const uint8_t *bytes, size_t length, size_t position)
{
	size_t at = 11 + TLS_RANDOM_LENGTH, next;

	if (position < 3)
		return position == 2 ? VALUE : STRUCTURE;
	if (position < 11)
		return position >= 9 ? VALUE : STRUCTURE;
	if (position < at)
		return IGNORED;
	next = at + 1 + bytes[at];
	if (position < next)
		return position == at ? STRUCTURE : IGNORED;
	at = next;
	next = at + 2 + get_number(bytes + at);
	if (position < next)
		return position < at + 2 ? STRUCTURE : VALUE;
	at = next;
	next = at + 1 + bytes[at];
	if (position < next)
		return position == at ? STRUCTURE : VALUE;
	for (at = next + 2; at + 4 <= length; at = next) {
		size_t type = get_number(bytes + at), content_length = get_number(bytes + at + 2);

		next = at + 4 + content_length;
		if (position >= next)
			continue;
		if (position < at + 4)
			return STRUCTURE;
		if (type == 51)
			return place_in_shares(bytes + at + 4, content_length, position - at - 4);
		return type == 21 || type == 35 || type == 41 ? IGNORED : VALUE;
	}
	return STRUCTURE;
}

static bool is_read(enum tls_hello_verdict verdict)
{
	return verdict == TLS_HELLO_FINE || verdict == TLS_HELLO_EARLY_DATA;
}

static void check_change(const uint8_t *bytes, const struct tls_hello *hello, size_t position, uint8_t change)
{
	static uint8_t changed[MAX_INPUT];
	struct tls_hello other;

	if (!change)
		return;
	position %= hello->record_length;
	memcpy(changed, bytes, hello->record_length);
	changed[position] ^= change;
	if (!is_read(read_hello(changed, hello->record_length, &other)))
		return;
	bool is_equal = memcmp(hello->digest, other.digest, TLS_DIGEST_LENGTH) == 0;
	switch (place_of(bytes, hello->record_length, position)) {
	case STRUCTURE:
		break;
	case VALUE:
		MUST(!is_equal);
		break;
	case IGNORED:
		MUST(is_equal);
		break;
	}
}

static void check_client_hello(const uint8_t *bytes, size_t length, size_t position, uint8_t change)
{
	struct tls_hello hello, other;
	enum tls_hello_verdict verdict = read_hello(bytes, length, &hello);

	MUST(memchr(hello.server_name, 0, sizeof(hello.server_name)));
	if (!is_read(verdict))
		return;
	MUST(hello.record_length <= length && memcmp(hello.random, bytes + 11, TLS_RANDOM_LENGTH) == 0);
	MUST(!hello.offers_h2 || hello.offers_alpn);
	MUST(read_hello(bytes, hello.record_length, &other) == verdict);
	MUST(memcmp(&hello, &other, sizeof(hello)) == 0);
	MUST(read_hello(bytes, position % hello.record_length, &other) == TLS_HELLO_PARTIAL);
	for (size_t i = 0; i < 16; i++)
		check_change(bytes, &hello, position + 37 * i, change);
}

static void check_server_hello(const uint8_t *bytes, size_t length, size_t position)
{
	size_t part = length ? position % (length + 1) : 0;
	uint8_t *copy = malloc(part ? part : 1);
	struct tls_server_hello hello, other;

	memcpy(copy, bytes, part);
	if (tls_server_hello_find(copy, part, &hello)) {
		MUST(tls_server_hello_find(bytes, length, &other));
		MUST(hello.version == other.version && hello.suite == other.suite);
		MUST(memcmp(hello.random, other.random, TLS_RANDOM_LENGTH) == 0);
	}
	free(copy);
}

/* The flight's messages, put together first. */
static bool has_message(const uint8_t *bytes, size_t length, uint8_t type)
{
	static uint8_t messages[MAX_INPUT];
	size_t end = 0;

	for (size_t at = 0; at + TLS_HEADER_LENGTH <= length;) {
		size_t whole = tls_record_length(bytes + at);

		if (whole == 0 || at + whole > length || bytes[at] == TLS_CHANGE_CIPHER_SPEC)
			break;
		if (bytes[at] == TLS_HANDSHAKE) {
			memcpy(messages + end, bytes + at + TLS_HEADER_LENGTH, whole - TLS_HEADER_LENGTH);
			end += whole - TLS_HEADER_LENGTH;
		}
		at += whole;
	}
	for (size_t at = 0; at < end;) {
		if (messages[at] == type)
			return true;
		if (at + 4 > end)
			break;
		at += 4 + ((size_t)messages[at + 1] << 16 | get_number(messages + at + 2));
	}
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 3 || size > MAX_INPUT)
		return 0;
	size_t position = get_number(data), length = size - 3;
	uint8_t change = data[2], *bytes = malloc(length ? length : 1);

	memcpy(bytes, data + 3, length);
	check_client_hello(bytes, length, position, change);
	check_server_hello(bytes, length, position);
	MUST(tls_flight_has_message(bytes, length, change) == has_message(bytes, length, change));
	MUST(tls_flight_has_message(bytes, length, 13) == has_message(bytes, length, 13));
	free(bytes);
	return 0;
}
