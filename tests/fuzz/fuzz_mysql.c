/*
 * Fuzz target for the framing of MySQL, for its logins and for the proof of its fence.
 *
 * Input: byte 0 seeds the cuts; the rest is the conversation, where the byte 0x1e changes the direction (the server
 * speaks first). It is fed whole, byte by byte, and in random pieces with long rows passed: what is known of the
 * connection is equal, no more is answered than was sent, what is lost stays lost.
 *
 * The same bytes are read as each packet of a login, and as a fence's answer: nothing is read or written beyond what is
 * there, what was written is read again as what it was, and a prefix of a good answer is a part of one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pool/proto/mysql/login.h"
#include "pool/proto/protocol.h"

#define SWITCH '\x1e'
#define MUST(condition) ((condition) ? (void)0 : abort())

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t seed;

static size_t random_below(size_t limit)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % limit;
}

/* In an allocation of its own size, so that the sanitizer sees every step too far. */
static uint8_t *copy_of(const uint8_t *bytes, size_t length)
{
	uint8_t *copy = malloc(length ? length : 1);

	memcpy(copy, bytes, length);
	return copy;
}

static void feed_piece(struct protocol_state *state, const uint8_t *bytes, size_t length, bool is_request)
{
	uint8_t *piece = copy_of(bytes, length);

	if (is_request)
		protocol_feed_request(state, NULL, (char *)piece, length, NULL);
	else
		protocol_feed_response(state, NULL, (char *)piece, length, NULL);
	free(piece);
}

static void feed_stretch(struct protocol_state *state, const uint8_t *bytes, size_t length, size_t max_piece,
			 bool is_request)
{
	for (size_t at = 0; at < length;) {
		size_t n = max_piece > 1 ? 1 + random_below(max_piece) : 1;
		uint64_t known = is_request ? 0 : protocol_status(state).known_answer;
		bool was_lost = protocol_status(state).is_lost;

		if (n > length - at)
			n = length - at;
		if (known && max_piece > 1 && random_below(2)) {
			n = known < length - at ? (size_t)known : length - at;
			protocol_pass_response(state, n);
		} else {
			feed_piece(state, bytes + at, n, is_request);
		}
		MUST(!was_lost || protocol_status(state).is_lost);
		MUST(state->session.mysql.n_answered <= state->session.mysql.n_sent);
		at += n;
	}
}

static void converse(struct protocol_state *state, const uint8_t *bytes, size_t length, size_t max_piece)
{
	bool is_request = false;

	protocol_begin_as(state, PROTOCOL_MYSQL);
	for (size_t at = 0; at < length; is_request = !is_request) {
		const uint8_t *end = memchr(bytes + at, SWITCH, length - at);
		size_t n = end ? (size_t)(end - bytes) - at : length - at;

		feed_stretch(state, bytes + at, n, max_piece, is_request);
		at += n + 1;
	}
}

static void must_be_equal(const struct protocol_state *one, const struct protocol_state *other)
{
	struct protocol_status a = protocol_status(one), b = protocol_status(other);

	MUST(a.refusal == b.refusal && a.doubt == b.doubt && a.is_lost == b.is_lost && a.at_boundary == b.at_boundary);
	MUST(a.n_requests == b.n_requests && a.n_awaited == b.n_awaited && a.has_surplus == b.has_surplus);
	/* Of a greeting that is too long, more or less has been kept. */
	MUST(a.is_lost || memcmp(mysql_login_of(one), mysql_login_of(other), sizeof(struct login)) == 0);
}

static void read_greeting(const uint8_t *bytes, size_t length)
{
	struct mysql_greeting greeting, again = {.is_native = true};
	uint8_t packet[128];
	size_t n;

	if (!mysql_read_greeting(bytes, length, &greeting))
		return;
	n = mysql_write_switch(&greeting, 7, packet, sizeof(packet));
	memcpy(again.salt, greeting.salt, sizeof(again.salt));
	MUST(n && mysql_asks_for_same(packet, n, &again));
}

static void read_response(const uint8_t *bytes, size_t length)
{
	size_t room = length + 64, n;
	uint8_t *to;
	struct mysql_response response, again;

	if (!mysql_read_response(bytes, length, &response) || !mysql_response_is_native(&response))
		return;
	MUST(mysql_user_number(&response));
	to = malloc(room);
	n = mysql_write_response(&response, response.scramble, to, room);
	MUST(n && mysql_read_response(to, n, &again));
	MUST(again.user.length == response.user.length && again.database.length == response.database.length);
	MUST(again.scramble.length == response.scramble.length && mysql_response_is_native(&again));
	n = mysql_write_change_user(&response, to, room);
	MUST(n == mysql_packet_length(to, n));
	MUST(mysql_write_change_user(&response, to, n - 1) == 0);
	free(to);
}

static void read_answer(const uint8_t *bytes, size_t length)
{
	struct fence fence = {.nonce = UINT64_C(0x0123456789abcdef), .parts = bytes[0] & 3, .n_due = 1};
	size_t whole;

	if (mysql_read_answer(&fence, bytes + 1, length - 1, &whole) != MYSQL_ANSWER_GOOD)
		return;
	MUST(whole <= length - 1);
	MUST(mysql_read_answer(&fence, bytes + 1, random_below(whole), &whole) == MYSQL_ANSWER_PARTIAL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct protocol_state whole, bytes, pieces;
	uint8_t *copy;

	if (size < 2)
		return 0;
	seed = data[0];
	converse(&whole, data + 1, size - 1, size);
	converse(&bytes, data + 1, size - 1, 1);
	converse(&pieces, data + 1, size - 1, 16);
	must_be_equal(&whole, &bytes);
	must_be_equal(&whole, &pieces);
	copy = copy_of(data + 1, size - 1);
	read_greeting(copy, size - 1);
	read_response(copy, size - 1);
	read_answer(copy, size - 1);
	free(copy);
	return 0;
}
