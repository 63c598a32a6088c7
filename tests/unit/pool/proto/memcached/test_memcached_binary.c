/* Framing of memcached's binary protocol. A conversation is a list of packets, in any pieces. */
#include <check.h>
#include <string.h>

#include "pool/proto/protocol.h"

#define GET 0x00
#define SET 0x01
#define QUIT 0x07
#define GETQ 0x09
#define NOOP 0x0a
#define GETKQ 0x0d
#define STAT 0x10
#define SETQ 0x11
#define QUITQ 0x17
#define SASL_AUTH 0x21

struct packet {
	uint8_t opcode, key, body; /* key, body: their lengths */
	uint8_t status;
};

#define PACKETS_MAX 6

static const struct {
	unsigned n_asked, n_answered;
	struct packet asked[PACKETS_MAX], answered[PACKETS_MAX];
	enum refusal refusal, doubt, left;
	unsigned n_requests;
} conversations[] = {
	{0, 0, {{0}}, {{0}}, REFUSAL_CLIENT_CLOSE, REFUSAL_NONE, REFUSAL_NONE, 0},
	{1, 1, {{GET, 1, 1, 0}}, {{GET, 0, 9, 0}}, REFUSAL_NONE, REFUSAL_NONE, REFUSAL_NONE, 1},
	{1, 1, {{GET, 1, 1, 0}}, {{GET, 0, 9, 1}}, REFUSAL_NONE, REFUSAL_NONE, REFUSAL_NONE, 1},
	{1, 0, {{GET, 1, 1, 0}}, {{0}}, REFUSAL_UNFINISHED_REPLY, REFUSAL_NONE, REFUSAL_NONE, 1},
	{2,
	 2,
	 {{GET, 1, 1, 0}, {GET, 1, 1, 0}},
	 {{GET, 0, 9, 0}, {GET, 0, 0, 0}},
	 REFUSAL_NONE,
	 REFUSAL_NONE,
	 REFUSAL_NONE,
	 2},
	{2,
	 2,
	 {{SET, 1, 20, 0}, {GET, 1, 1, 0}},
	 {{SET, 0, 0, 0}, {GET, 0, 0, 0}},
	 REFUSAL_NONE,
	 REFUSAL_NONE,
	 REFUSAL_NONE,
	 2},
	/* In another order than they were asked. */
	{2,
	 1,
	 {{SET, 1, 20, 0}, {GET, 1, 1, 0}},
	 {{GET, 0, 0, 0}},
	 REFUSAL_NOT_CANONICAL,
	 REFUSAL_NOT_CANONICAL,
	 REFUSAL_NONE,
	 2},
	{1,
	 2,
	 {{GET, 1, 1, 0}},
	 {{GET, 0, 0, 0}, {GET, 0, 0, 0}},
	 REFUSAL_NOT_CANONICAL,
	 REFUSAL_NOT_CANONICAL,
	 REFUSAL_NONE,
	 1},
	/* Statistics. */
	{1,
	 3,
	 {{STAT, 0, 0, 0}},
	 {{STAT, 3, 9, 0}, {STAT, 3, 9, 0}, {STAT, 0, 0, 0}},
	 REFUSAL_NONE,
	 REFUSAL_NONE,
	 REFUSAL_NONE,
	 1},
	{1,
	 2,
	 {{STAT, 0, 0, 0}},
	 {{STAT, 3, 9, 0}, {STAT, 3, 9, 0}},
	 REFUSAL_UNFINISHED_REPLY,
	 REFUSAL_NONE,
	 REFUSAL_NONE,
	 1},
	/* Quiet ones. */
	{2,
	 1,
	 {{GET, 1, 1, 0}, {SETQ, 1, 20, 0}},
	 {{GET, 0, 0, 0}},
	 REFUSAL_NONE,
	 REFUSAL_NONE,
	 REFUSAL_UNFINISHED_REPLY,
	 1},
	{3,
	 1,
	 {{GETKQ, 1, 1, 0}, {GETKQ, 1, 1, 0}, {NOOP, 0, 0, 0}},
	 {{NOOP, 0, 0, 0}},
	 REFUSAL_NONE,
	 REFUSAL_NONE,
	 REFUSAL_NONE,
	 1},
	{3,
	 3,
	 {{GETKQ, 1, 1, 0}, {GETKQ, 1, 1, 0}, {NOOP, 0, 0, 0}},
	 {{GETKQ, 1, 9, 0}, {0x0c, 1, 9, 0}, {NOOP, 0, 0, 0}},
	 REFUSAL_NONE,
	 REFUSAL_NONE,
	 REFUSAL_NONE,
	 1},
	{3,
	 1,
	 {{GET, 1, 1, 0}, {GETKQ, 1, 1, 0}, {NOOP, 0, 0, 0}},
	 {{GETKQ, 1, 9, 0}},
	 REFUSAL_NOT_CANONICAL,
	 REFUSAL_NOT_CANONICAL,
	 REFUSAL_NONE,
	 2},
	{1, 0, {{SETQ, 1, 20, 0}}, {{0}}, REFUSAL_CLIENT_CLOSE, REFUSAL_NONE, REFUSAL_UNFINISHED_REPLY, 0},
	{2,
	 2,
	 {{GET, 1, 1, 0}, {GETQ, 1, 1, 0}},
	 {{GET, 0, 0, 0}, {GETQ, 0, 3, 0}},
	 REFUSAL_NONE,
	 REFUSAL_NONE,
	 REFUSAL_UNFINISHED_REPLY,
	 1},
	{2,
	 0,
	 {{GETQ, 1, 1, 0}, {GET, 1, 1, 0}},
	 {{0}},
	 REFUSAL_REFUSED_COMMAND,
	 REFUSAL_REFUSED_COMMAND,
	 REFUSAL_UNFINISHED_REPLY,
	 0},
	{2, 1, {{SETQ, 1, 20, 0}, {GET, 1, 1, 0}}, {{GET, 0, 0, 0}}, REFUSAL_NONE, REFUSAL_NONE, REFUSAL_NONE, 1},
	{2,
	 2,
	 {{SETQ, 1, 20, 0}, {GET, 1, 1, 0}},
	 {{SETQ, 0, 5, 2}, {GET, 0, 0, 0}},
	 REFUSAL_NONE,
	 REFUSAL_NONE,
	 REFUSAL_NONE,
	 1},
	/* Errors, logins, what is refused. */
	{1, 1, {{SET, 1, 20, 0}}, {{SET, 0, 9, 3}}, REFUSAL_ERROR, REFUSAL_ERROR, REFUSAL_NONE, 1},
	{1, 1, {{GET, 1, 1, 0}}, {{GET, 0, 9, 0x20}}, REFUSAL_AUTHENTICATED, REFUSAL_AUTHENTICATED, REFUSAL_NONE, 1},
	{1, 0, {{SASL_AUTH, 5, 9, 0}}, {{0}}, REFUSAL_AUTHENTICATED, REFUSAL_AUTHENTICATED, REFUSAL_NONE, 0},
	{1, 0, {{0x30, 0, 0, 0}}, {{0}}, REFUSAL_REFUSED_COMMAND, REFUSAL_REFUSED_COMMAND, REFUSAL_NONE, 0},
	{1, 0, {{0xff, 0, 0, 0}}, {{0}}, REFUSAL_REFUSED_COMMAND, REFUSAL_REFUSED_COMMAND, REFUSAL_NONE, 0},
	{1, 0, {{QUIT, 0, 0, 0}}, {{0}}, REFUSAL_CLIENT_CLOSE, REFUSAL_CLIENT_CLOSE, REFUSAL_NONE, 0},
	{1, 0, {{GET, 9, 1, 0}}, {{0}}, REFUSAL_NOT_CANONICAL, REFUSAL_NOT_CANONICAL, REFUSAL_NONE, 0},
	{1, 1, {{GET, 1, 1, 0}}, {{GET, 9, 1, 0}}, REFUSAL_NOT_CANONICAL, REFUSAL_NOT_CANONICAL, REFUSAL_NONE, 1},
};

static size_t write(char *to, char magic, const struct packet *packets, unsigned n)
{
	char *end = to;

	for (unsigned i = 0; i < n; i++) {
		memset(end, 0, MEMCACHED_HEAD);
		end[0] = magic;
		end[1] = (char)packets[i].opcode;
		end[3] = (char)packets[i].key;
		end[7] = (char)packets[i].status;
		end[11] = (char)packets[i].body;
		memset(end + MEMCACHED_HEAD, 'x', packets[i].body);
		end += MEMCACHED_HEAD + packets[i].body;
	}
	return (size_t)(end - to);
}

static void begin(struct protocol_state *state)
{
	memset(state, 0, sizeof(*state));
	protocol_begin_as(state, PROTOCOL_MEMCACHED_BINARY);
}

/* Cut in two at `at`, or into single bytes. */
static void feed(struct protocol_state *state, bool is_request, const char *bytes, size_t length, size_t at)
{
	size_t step = at ? length : 1;

	for (size_t i = 0, n = at ? at : 1; i < length; i += n, n = step) {
		if (n > length - i)
			n = length - i;
		if (is_request)
			protocol_feed_request(state, NULL, bytes + i, n, NULL);
		else
			protocol_feed_response(state, NULL, bytes + i, n, NULL);
	}
}

START_TEST(any_pieces_tell_the_same)
{
	char asked[512], answered[512];
	size_t n_asked = write(asked, (char)0x80, conversations[_i].asked, conversations[_i].n_asked);
	size_t n_answered = write(answered, (char)0x81, conversations[_i].answered, conversations[_i].n_answered);
	struct protocol_state whole, pieces;
	struct protocol_status status;

	begin(&whole);
	feed(&whole, true, asked, n_asked, n_asked);
	feed(&whole, false, answered, n_answered, n_answered);
	status = protocol_status(&whole);
	ck_assert_int_eq(status.refusal, conversations[_i].refusal);
	ck_assert_int_eq(status.doubt, conversations[_i].doubt);
	ck_assert_int_eq(status.left_state, conversations[_i].left);
	ck_assert_uint_eq(status.n_requests, conversations[_i].n_requests);
	for (size_t at = 0; at <= n_asked || at <= n_answered; at++) {
		begin(&pieces);
		feed(&pieces, true, asked, n_asked, at);
		feed(&pieces, false, answered, n_answered, at);
		ck_assert_mem_eq(&whole.session.status, &pieces.session.status, sizeof(status));
	}
}
END_TEST

START_TEST(what_is_not_its_own_is_nothing)
{
	struct protocol_state state;
	char asked[64];
	size_t length = write(asked, (char)0x80, &(struct packet){GET, 1, 1, 0}, 1);

	begin(&state);
	feed(&state, true, asked, length, length);
	feed(&state, false, "ERROR\r\n", 7, 7);
	ck_assert_int_eq(protocol_status(&state).doubt, REFUSAL_UNKNOWN_PROTOCOL);
	begin(&state);
	feed(&state, true, "get k\r\n", 7, 7);
	ck_assert_int_eq(protocol_status(&state).doubt, REFUSAL_NOT_CANONICAL);
	ck_assert_int_eq(memcached_binary.classify(asked, length), FRAMING_FIRST_UNSAFE);
	ck_assert_int_eq(memcached_binary.classify(asked, 23), FRAMING_FIRST_PARTIAL);
	ck_assert_int_eq(memcached_binary.classify("get k\r\n", 7), FRAMING_FIRST_UNKNOWN);
	ck_assert_int_eq(protocol_recognize(~0u, asked, length), PROTOCOL_MEMCACHED_BINARY);
}
END_TEST

START_TEST(a_body_may_pass_unseen)
{
	struct protocol_state state;
	char bytes[512];
	size_t length = write(bytes, (char)0x80, &(struct packet){GET, 1, 1, 0}, 1);

	begin(&state);
	feed(&state, true, bytes, length, length);
	write(bytes, (char)0x81, &(struct packet){GET, 0, 200, 0}, 1);
	feed(&state, false, bytes, MEMCACHED_HEAD, MEMCACHED_HEAD);
	ck_assert_uint_eq(protocol_status(&state).known_answer, 200);
	protocol_pass_response(&state, 150);
	ck_assert_int_eq(protocol_status(&state).refusal, REFUSAL_UNFINISHED_REPLY);
	protocol_pass_response(&state, 50);
	ck_assert_int_eq(protocol_status(&state).refusal, REFUSAL_NONE);
}
END_TEST

START_TEST(a_fence_has_a_nonce)
{
	struct protocol_state state;
	char command[PROTOCOL_RESET_MAX], answer[MEMCACHED_HEAD];
	struct fence fence, half;

	begin(&state);
	memcached_binary.reset(&state, 0x0123456789abcdef, &fence);
	ck_assert_uint_eq(memcached_binary.write_fence(&fence, command), MEMCACHED_HEAD);
	ck_assert_mem_eq(command, "\x80\x0a\0\0\0\0\0\0\0\0\0\0\xef\xcd\xab\x89\0\0\0\0\0\0\0\0", MEMCACHED_HEAD);
	memcpy(answer, command, sizeof(answer));
	answer[0] = (char)0x81;
	for (size_t at = 0; at < sizeof(answer); at++) {
		half = fence;
		ck_assert_int_eq(memcached_binary.prove(&half, answer, at), FENCE_PROOF_GOOD);
		ck_assert_uint_eq(fence_n_awaited(&half), sizeof(answer) - at);
		ck_assert_int_eq(memcached_binary.prove(&half, answer + at, sizeof(answer) - at), FENCE_PROOF_GOOD);
		ck_assert_uint_eq(fence_n_awaited(&half), 0);
		ck_assert_int_eq(memcached_binary.prove(&half, answer, 1), FENCE_PROOF_WRONG);
		half = fence;
		answer[at] ^= 1;
		ck_assert_int_eq(memcached_binary.prove(&half, answer, sizeof(answer)), FENCE_PROOF_WRONG);
		answer[at] ^= 1;
	}
	memcached_binary.validate(1, &half);
	ck_assert_uint_eq(fence_n_awaited(&half), MEMCACHED_HEAD);
}
END_TEST

START_TEST(knows_a_goodbye)
{
	static const struct packet quit = {QUIT, 0, 0, 0}, quitq = {QUITQ, 0, 0, 0}, noop = {NOOP, 0, 0, 0};
	struct protocol_state state;
	char bytes[64], said[64], farewell[PROTOCOL_FAREWELL_MAX];
	size_t length;

	begin(&state);
	length = write(bytes, (char)0x80, &noop, 1);
	feed(&state, true, bytes, length, length);
	write(said, (char)0x80, &quit, 1);
	ck_assert(!protocol_is_goodbye(&state, said, MEMCACHED_HEAD));
	length = write(bytes, (char)0x81, &noop, 1);
	feed(&state, false, bytes, length, length);
	ck_assert(protocol_is_goodbye(&state, said, MEMCACHED_HEAD));
	ck_assert(!protocol_is_goodbye(&state, said, MEMCACHED_HEAD - 1));
	ck_assert(!protocol_is_goodbye(&state, bytes, MEMCACHED_HEAD));
	said[12] = 'o';
	ck_assert_uint_eq(memcached_binary.farewell(said, farewell), MEMCACHED_HEAD);
	ck_assert_mem_eq(farewell, "\x81\x07\0\0\0\0\0\0\0\0\0\0o\0\0\0\0\0\0\0\0\0\0\0", MEMCACHED_HEAD);
	write(said, (char)0x80, &quitq, 1);
	ck_assert(protocol_is_goodbye(&state, said, MEMCACHED_HEAD));
	ck_assert_uint_eq(memcached_binary.farewell(said, farewell), 0);
}
END_TEST

START_TEST(too_many_kinds_are_too_much)
{
	static const struct packet get = {GET, 1, 1, 0}, noop = {NOOP, 0, 0, 0};
	struct protocol_state state;
	char bytes[64];
	size_t length;

	begin(&state);
	for (int i = 0; i < 8; i++) {
		length = write(bytes, (char)0x80, i % 2 ? &noop : &get, 1);
		feed(&state, true, bytes, length, length);
	}
	ck_assert_int_eq(protocol_status(&state).doubt, REFUSAL_NONE);
	length = write(bytes, (char)0x80, &get, 1);
	feed(&state, true, bytes, length, length);
	ck_assert_int_eq(protocol_status(&state).doubt, REFUSAL_UNFINISHED_REPLY);
}
END_TEST

START_TEST(the_servers_end_is_an_end)
{
	struct protocol_state state;

	begin(&state);
	ck_assert(protocol_status(&state).wants_fresh);
	protocol_feed_end(&state);
	ck_assert_int_eq(protocol_status(&state).refusal, REFUSAL_SERVER_CLOSE);
}
END_TEST

Suite *memcached_binary_suite(void)
{
	Suite *suite = suite_create("memcached_binary");
	TCase *all = tcase_create("all");

	tcase_add_loop_test(all, any_pieces_tell_the_same, 0, (int)(sizeof(conversations) / sizeof(conversations[0])));
	tcase_add_test(all, what_is_not_its_own_is_nothing);
	tcase_add_test(all, a_body_may_pass_unseen);
	tcase_add_test(all, a_fence_has_a_nonce);
	tcase_add_test(all, knows_a_goodbye);
	tcase_add_test(all, too_many_kinds_are_too_much);
	tcase_add_test(all, the_servers_end_is_an_end);
	suite_add_tcase(suite, all);
	return suite;
}
