/*
 * Framing of memcached's text protocol: which conversations leave a connection that can be kept, what they leave on it,
 * and that it does not matter in which pieces the bytes come.
 */
#include <check.h>
#include <string.h>

#include "pool/proto/protocol.h"

#define GET "get k\r\n"
#define SET "set k 0 0 5\r\nE\r\nND\r\n"
#define SET_QUIET "set k 1 -1 3 noreply\r\nabc\r\n"
#define VALUE "VALUE k 0 5\r\nE\r\nND\r\n"
#define KEY_50 "12345678901234567890123456789012345678901234567890"
#define KEY_250 KEY_50 KEY_50 KEY_50 KEY_50 KEY_50

static const struct {
	const char *asked, *answered;
	enum refusal refusal, doubt, left;
	unsigned n_requests;
} conversations[] = {
	{"", "", REFUSAL_CLIENT_CLOSE, REFUSAL_NONE, REFUSAL_NONE, 0},
	{GET, "END\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_NONE, 1},
	{GET, VALUE "END\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_NONE, 1},
	{GET GET, "END\r\n" VALUE VALUE "END\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_NONE, 2},
	{GET GET, "END\r\n", REFUSAL_UNFINISHED_REPLY, REFUSAL_NONE, REFUSAL_NONE, 2},
	{GET, VALUE, REFUSAL_UNFINISHED_REPLY, REFUSAL_NONE, REFUSAL_NONE, 1},
	{GET "get", "END\r\n", REFUSAL_UNFINISHED_REPLY, REFUSAL_NONE, REFUSAL_NONE, 1},
	{GET "set k 0 0 5\r\nab", "END\r\n", REFUSAL_UNFINISHED_REPLY, REFUSAL_NONE, REFUSAL_NONE, 1},
	{"get " KEY_250 "\r\n", "END\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_NONE, 1},
	{"get " KEY_250 "1\r\n", "", REFUSAL_NOT_CANONICAL, REFUSAL_NOT_CANONICAL, REFUSAL_NONE, 0},
	{"get " KEY_250 " " KEY_250 " " KEY_250 " " KEY_250 " " KEY_250 "\r\n", "END\r\n", REFUSAL_NONE, REFUSAL_NONE,
	 REFUSAL_NONE, 1},
	{"get  a   b \r\n", "VALUE a 4294967295 0\r\n\r\nEND\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_NONE, 1},
	{"gets k\r\n", "VALUE k 0 1 99\r\nx\r\nEND\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_NONE, 1},
	{"gat 0 k l\r\n", "END\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_NONE, 1},
	{"gat 0\r\n", "", REFUSAL_NOT_CANONICAL, REFUSAL_NOT_CANONICAL, REFUSAL_NONE, 0},
	/* All kinds of replies. */
	{GET SET, "END\r\nSTORED\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_NONE, 2},
	{GET "cas k 0 0 1 7\r\na\r\n", "END\r\nEXISTS\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_NONE, 2},
	{"add k 0 0 0\r\n\r\n", "NOT_STORED\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_NONE, 1},
	{"delete k\r\n", "DELETED\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_NONE, 1},
	{"delete k 0\r\n", "NOT_FOUND\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_NONE, 1},
	{"incr k 1\r\n", "18446744073709551615\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_NONE, 1},
	{"decr k 1\r\n", "NOT_FOUND\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_NONE, 1},
	{"incr k 1\r\n" GET, "CLIENT_ERROR cannot increment or decrement non-numeric value\r\nEND\r\n", REFUSAL_NONE,
	 REFUSAL_NONE, REFUSAL_NONE, 2},
	{"touch k 9\r\n", "TOUCHED\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_NONE, 1},
	{"flush_all\r\nflush_all 9\r\n", "OK\r\nOK\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_NONE, 2},
	{"verbosity 1\r\n", "OK\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_NONE, 1},
	{"version\r\n", "VERSION 1.6.18\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_NONE, 1},
	{"stats\r\n", "STAT pid 1\r\nSTAT version 1.6 beta\r\nEND\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_NONE, 1},
	{"stats reset\r\n", "RESET\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_NONE, 1},
	{"stats settings\r\n", "END\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_NONE, 1},
	{"stats detail on\r\n", "OK\r\n", REFUSAL_REFUSED_COMMAND, REFUSAL_REFUSED_COMMAND, REFUSAL_NONE, 0},
	/* Meta commands. */
	{"mg k v\r\n", "VA 4 s4\r\nMN\r\n\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_NONE, 1},
	{"mg k v\r\n", "EN\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_NONE, 1},
	{"mg k\r\n", "HD\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_NONE, 1},
	{"ms k 2 T9 MS c\r\nab\r\n", "HD c7\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_NONE, 1},
	{"ms k S2\r\nab\r\n", "", REFUSAL_NOT_CANONICAL, REFUSAL_NOT_CANONICAL, REFUSAL_NONE, 0},
	{"ma k v\r\nmd k\r\nme k\r\nmn\r\n", "VA 1\r\n5\r\nNF\r\nME k exp=-1 cas=2\r\nMN\r\n", REFUSAL_NONE,
	 REFUSAL_NONE, REFUSAL_NONE, 4},
	{"mg k vq\r\n", "", REFUSAL_NOT_CANONICAL, REFUSAL_NOT_CANONICAL, REFUSAL_NONE, 0},
	{"mg a v q\r\nmg b v q Oq\r\nmn\r\n", "MN\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_NONE, 1},
	{"mg a v q\r\nmg b v q\r\nmn\r\n", "VA 1\r\nx\r\nVA 1\r\ny\r\nMN\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_NONE,
	 1},
	{"mg a v q\r\nmn\r\n", "VA 1\r\nx\r\n", REFUSAL_UNFINISHED_REPLY, REFUSAL_NONE, REFUSAL_UNFINISHED_REPLY, 1},
	{GET "mg a v q\r\n", "END\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_UNFINISHED_REPLY, 1},
	{GET "mg a v q\r\n", "END\r\nHD\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_UNFINISHED_REPLY, 1},
	{GET "mg a v q\r\n", "END\r\nMN\r\n", REFUSAL_NOT_CANONICAL, REFUSAL_NOT_CANONICAL, REFUSAL_UNFINISHED_REPLY,
	 1},
	{"mg a v q\r\nmg b v\r\n", "", REFUSAL_REFUSED_COMMAND, REFUSAL_REFUSED_COMMAND, REFUSAL_UNFINISHED_REPLY, 1},
	/* Quiet ones: over when a later one is answered. */
	{SET_QUIET, "", REFUSAL_CLIENT_CLOSE, REFUSAL_NONE, REFUSAL_AUTHENTICATED, 0},
	{GET SET_QUIET, "END\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_UNFINISHED_REPLY, 1},
	{GET SET_QUIET GET, "END\r\nEND\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_NONE, 2},
	{GET SET_QUIET GET SET_QUIET, "END\r\nEND\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_UNFINISHED_REPLY, 2},
	{GET SET_QUIET, "END\r\nERROR\r\n", REFUSAL_NOT_CANONICAL, REFUSAL_NOT_CANONICAL, REFUSAL_UNFINISHED_REPLY, 1},
	{GET "delete k 0 noreply\r\ndelete k noreply\r\nincr k 1 noreply\r\ntouch k 1 noreply\r\n", "END\r\n",
	 REFUSAL_NONE, REFUSAL_NONE, REFUSAL_UNFINISHED_REPLY, 1},
	{GET "flush_all noreply\r\nflush_all 9 noreply\r\nverbosity 1 noreply\r\ncas k 0 0 0 1 noreply\r\n\r\n",
	 "END\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_UNFINISHED_REPLY, 1},
	{"get noreply\r\n", "END\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_NONE, 1},
	/* A first `set` may be a login. */
	{SET, "STORED\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_AUTHENTICATED, 1},
	{SET GET, "STORED\r\nEND\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_AUTHENTICATED, 2},
	{GET, "CLIENT_ERROR unauthenticated\r\n", REFUSAL_AUTHENTICATED, REFUSAL_AUTHENTICATED, REFUSAL_NONE, 1},
	/* Errors, and what is none of memcached's. */
	{GET, "ERROR\r\n", REFUSAL_ERROR, REFUSAL_ERROR, REFUSAL_NONE, 1},
	{SET, "CLIENT_ERROR bad data chunk\r\n", REFUSAL_ERROR, REFUSAL_ERROR, REFUSAL_AUTHENTICATED, 1},
	{GET, "SERVER_ERROR out of memory\r\n", REFUSAL_ERROR, REFUSAL_ERROR, REFUSAL_NONE, 1},
	{GET, "$-1\r\n", REFUSAL_UNKNOWN_PROTOCOL, REFUSAL_UNKNOWN_PROTOCOL, REFUSAL_NONE, 1},
	{GET, "HTTP/1.1 400 Bad Request\r\n", REFUSAL_UNKNOWN_PROTOCOL, REFUSAL_UNKNOWN_PROTOCOL, REFUSAL_NONE, 1},
	{GET, "STORED\r\n", REFUSAL_UNKNOWN_PROTOCOL, REFUSAL_UNKNOWN_PROTOCOL, REFUSAL_NONE, 1},
	{GET, "END x\r\n", REFUSAL_UNKNOWN_PROTOCOL, REFUSAL_UNKNOWN_PROTOCOL, REFUSAL_NONE, 1},
	{GET, "END\r\nEND\r\n", REFUSAL_NOT_CANONICAL, REFUSAL_NOT_CANONICAL, REFUSAL_NONE, 1},
	{GET GET, "END\r\nVALUE k 0\r\n", REFUSAL_NOT_CANONICAL, REFUSAL_NOT_CANONICAL, REFUSAL_NONE, 2},
	{GET GET, "END\r\nVALUE k 0 1x\r\n", REFUSAL_NOT_CANONICAL, REFUSAL_NOT_CANONICAL, REFUSAL_NONE, 2},
	{GET GET, "END\r\nVALUE k 0 1\r\nab", REFUSAL_NOT_CANONICAL, REFUSAL_NOT_CANONICAL, REFUSAL_NONE, 2},
	{GET GET, "END\r\nVALUE k 0 1 2 3\r\n", REFUSAL_NOT_CANONICAL, REFUSAL_NOT_CANONICAL, REFUSAL_NONE, 2},
	{GET GET, "END\r\nEND\n", REFUSAL_NOT_CANONICAL, REFUSAL_NOT_CANONICAL, REFUSAL_NONE, 2},
	{GET GET, "END\r\n\r\n", REFUSAL_NOT_CANONICAL, REFUSAL_NOT_CANONICAL, REFUSAL_NONE, 2},
	/* Commands that are not followed. */
	{GET "watch\r\n", "END\r\n", REFUSAL_REFUSED_COMMAND, REFUSAL_REFUSED_COMMAND, REFUSAL_NONE, 1},
	{GET "lru_crawler metadump all\r\n", "END\r\n", REFUSAL_REFUSED_COMMAND, REFUSAL_REFUSED_COMMAND, REFUSAL_NONE,
	 1},
	{GET "GET k\r\n", "END\r\n", REFUSAL_REFUSED_COMMAND, REFUSAL_REFUSED_COMMAND, REFUSAL_NONE, 1},
	{GET "quit\r\n", "END\r\n", REFUSAL_CLIENT_CLOSE, REFUSAL_CLIENT_CLOSE, REFUSAL_NONE, 1},
	{"get k\n", "", REFUSAL_NOT_CANONICAL, REFUSAL_NOT_CANONICAL, REFUSAL_NONE, 0},
	{" get k\r\n", "", REFUSAL_NOT_CANONICAL, REFUSAL_NOT_CANONICAL, REFUSAL_NONE, 0},
	{"get\r\n", "", REFUSAL_NOT_CANONICAL, REFUSAL_NOT_CANONICAL, REFUSAL_NONE, 0},
	{"get k\tl\r\n", "", REFUSAL_NOT_CANONICAL, REFUSAL_NOT_CANONICAL, REFUSAL_NONE, 0},
	{GET "set k 0 0\r\n", "END\r\n", REFUSAL_NOT_CANONICAL, REFUSAL_NOT_CANONICAL, REFUSAL_NONE, 1},
	{GET "set k 0 0 -1\r\n", "END\r\n", REFUSAL_NOT_CANONICAL, REFUSAL_NOT_CANONICAL, REFUSAL_NONE, 1},
	{GET "set k 0 x 1\r\n", "END\r\n", REFUSAL_NOT_CANONICAL, REFUSAL_NOT_CANONICAL, REFUSAL_NONE, 1},
	{GET "set k 4294967296 0 1\r\n", "END\r\n", REFUSAL_NOT_CANONICAL, REFUSAL_NOT_CANONICAL, REFUSAL_NONE, 1},
	{GET "set k 0 0 1 noreplay\r\n", "END\r\n", REFUSAL_NOT_CANONICAL, REFUSAL_NOT_CANONICAL, REFUSAL_NONE, 1},
	{GET "set k 0 0 1\r\nab\r\n", "END\r\n", REFUSAL_NOT_CANONICAL, REFUSAL_NOT_CANONICAL, REFUSAL_NONE, 1},
	{GET "set k 0 0 18446744073709551616\r\n", "END\r\n", REFUSAL_NOT_CANONICAL, REFUSAL_NOT_CANONICAL,
	 REFUSAL_NONE, 1},
};

static void begin(struct protocol_state *state)
{
	memset(state, 0, sizeof(*state));
	protocol_begin_as(state, PROTOCOL_MEMCACHED);
}

static void ask(struct protocol_state *state, const char *bytes, size_t length)
{
	protocol_feed_request(state, NULL, bytes, length, NULL);
}

static void answer(struct protocol_state *state, const char *bytes, size_t length)
{
	protocol_feed_response(state, NULL, bytes, length, NULL);
}

/* As one piece, byte by byte, and cut in two at every place. */
START_TEST(any_pieces_tell_the_same)
{
	const char *asked = conversations[_i].asked, *answered = conversations[_i].answered;
	size_t n_asked = strlen(asked), n_answered = strlen(answered);
	struct protocol_state whole, pieces;
	struct protocol_status status;

	begin(&whole);
	ask(&whole, asked, n_asked);
	answer(&whole, answered, n_answered);
	status = protocol_status(&whole);
	ck_assert_int_eq(status.refusal, conversations[_i].refusal);
	ck_assert_int_eq(status.doubt, conversations[_i].doubt);
	ck_assert_int_eq(status.left_state, conversations[_i].left);
	ck_assert_uint_eq(status.n_requests, conversations[_i].n_requests);

	begin(&pieces);
	for (size_t i = 0; i < n_asked; i++)
		ask(&pieces, asked + i, 1);
	for (size_t i = 0; i < n_answered; i++)
		answer(&pieces, answered + i, 1);
	ck_assert_mem_eq(&whole.session.status, &pieces.session.status, sizeof(status));
	for (size_t at = 0; at <= n_asked; at++) {
		begin(&pieces);
		ask(&pieces, asked, at);
		ask(&pieces, asked + at, n_asked - at);
		answer(&pieces, answered, n_answered);
		ck_assert_mem_eq(&whole.session.status, &pieces.session.status, sizeof(status));
	}
	for (size_t at = 0; at <= n_answered; at++) {
		begin(&pieces);
		ask(&pieces, asked, n_asked);
		answer(&pieces, answered, at);
		answer(&pieces, answered + at, n_answered - at);
		ck_assert_mem_eq(&whole.session.status, &pieces.session.status, sizeof(status));
	}
}
END_TEST

START_TEST(a_value_may_pass_unseen)
{
	struct protocol_state state;

	begin(&state);
	ask(&state, GET, strlen(GET));
	answer(&state, "VALUE k 0 100\r\n", 15);
	ck_assert_uint_eq(protocol_status(&state).known_answer, 100);
	protocol_pass_response(&state, 60);
	ck_assert_uint_eq(protocol_status(&state).known_answer, 40);
	protocol_pass_response(&state, 40);
	ck_assert_uint_eq(protocol_status(&state).known_answer, 0);
	answer(&state, "\r\nEND\r\n", 7);
	ck_assert_int_eq(protocol_status(&state).refusal, REFUSAL_NONE);
}
END_TEST

START_TEST(an_answer_ends_where_it_ends)
{
	struct protocol_state state;
	size_t end;

	begin(&state);
	ask(&state, GET GET, 2 * strlen(GET));
	ck_assert_uint_eq(protocol_feed_answer(&state, VALUE "END\r\nEND\r\n", strlen(VALUE) + 10, NULL),
			  strlen(VALUE) + 5);
	ck_assert_uint_eq(protocol_status(&state).n_awaited, 1);
	ck_assert(memcached.measure_request(SET GET, strlen(SET GET), &end));
	ck_assert_uint_eq(end, strlen(SET));
	ck_assert(memcached.measure_request("get k", 5, &end) && !end);
}
END_TEST

/* Many of one kind in a row, as set_multi() has them, are no matter; many kinds in turn are too much to remember. */
START_TEST(many_replies_are_awaited)
{
	struct protocol_state state;

	begin(&state);
	for (int i = 0; i < 1000; i++)
		ask(&state, GET, strlen(GET));
	for (int i = 0; i < 1000; i++)
		answer(&state, "END\r\n", 5);
	ck_assert_int_eq(protocol_status(&state).refusal, REFUSAL_NONE);
	for (int i = 0; i < MEMCACHED_RUNS; i++)
		ask(&state, i % 2 ? "mn\r\n" : GET, i % 2 ? 4 : strlen(GET));
	ck_assert_int_eq(protocol_status(&state).doubt, REFUSAL_NONE);
	ask(&state, GET, strlen(GET));
	ck_assert_int_eq(protocol_status(&state).doubt, REFUSAL_UNFINISHED_REPLY);
}
END_TEST

/* What somebody else had before has been shown to want no logins. */
START_TEST(a_login_is_not_feared_twice)
{
	struct protocol_state state;

	begin(&state);
	protocol_resume(&state);
	ask(&state, SET, strlen(SET));
	answer(&state, "STORED\r\n", 8);
	ck_assert_int_eq(protocol_status(&state).refusal, REFUSAL_NONE);
	ck_assert_int_eq(protocol_status(&state).left_state, REFUSAL_NONE);
}
END_TEST

#define SETTING "STAT maxbytes 67108864\r\n"
#define OPEN "STAT auth_enabled_ascii no\r\n"
#define CLOSED "STAT auth_enabled_ascii yes\r\n"

static const struct {
	const char *asked, *answered, *command, *proof;
	enum fence_proof result;
	bool is_done;
} fences[] = {
	{SET, "STORED\r\n", "stats settings\r\n", SETTING OPEN SETTING "END\r\n", FENCE_PROOF_GOOD, true},
	{SET, "STORED\r\n", "stats settings\r\n", OPEN "END\r\n", FENCE_PROOF_GOOD, true},
	{SET, "STORED\r\n", "stats settings\r\n", SETTING OPEN, FENCE_PROOF_GOOD, false},
	{SET, "STORED\r\n", "stats settings\r\n", OPEN "END\r", FENCE_PROOF_GOOD, false},
	{SET, "STORED\r\n", "stats settings\r\n", OPEN "END\r\nEND\r\n", FENCE_PROOF_WRONG, false},
	{SET, "STORED\r\n", "stats settings\r\n", SETTING CLOSED, FENCE_PROOF_NEVER, false},
	{SET, "STORED\r\n", "stats settings\r\n", "STAT auth_enabled_ascii not\r\n", FENCE_PROOF_NEVER, false},
	{SET, "STORED\r\n", "stats settings\r\n", "STAT auth_enabled_ascii n\r\n", FENCE_PROOF_NEVER, false},
	{SET, "STORED\r\n", "stats settings\r\n", SETTING "END\r\n", FENCE_PROOF_NEVER, false},
	{SET, "STORED\r\n", "stats settings\r\n", "STAT auth_enabled_asci no\r\nEND\r\n", FENCE_PROOF_NEVER, false},
	{SET, "STORED\r\n", "stats settings\r\n", "STAT auth_enabled_asciii no\r\nEND\r\n", FENCE_PROOF_NEVER, false},
	{SET, "STORED\r\n", "stats settings\r\n", "ERROR\r\n" OPEN "END\r\n", FENCE_PROOF_WRONG, false},
	{SET, "STORED\r\n", "stats settings\r\n", OPEN "EN\r\n", FENCE_PROOF_WRONG, false},
	{SET, "STORED\r\n", "stats settings\r\n", OPEN "\r\n", FENCE_PROOF_WRONG, false},
	{SET, "STORED\r\n", "stats settings\r\n", OPEN "ENDS\r\n", FENCE_PROOF_WRONG, false},
	{SET, "STORED\r\n", "stats settings\r\n", OPEN "STAT\r\n", FENCE_PROOF_WRONG, false},
	{SET, "STORED\r\n", "stats settings\r\n", "VERSION 1.6.18\r\n", FENCE_PROOF_WRONG, false},
	{GET SET_QUIET, "END\r\n", "version\r\n", "VERSION 1.6.18\r\n", FENCE_PROOF_GOOD, true},
	{GET SET_QUIET, "END\r\n", "version\r\n", "VERSION mcrouter 0.40 x\r\n", FENCE_PROOF_GOOD, true},
	{GET SET_QUIET, "END\r\n", "version\r\n", "VERSION 1.6.18\r", FENCE_PROOF_GOOD, false},
	{GET SET_QUIET, "END\r\n", "version\r\n", "VERSION \r\n", FENCE_PROOF_WRONG, false},
	{GET SET_QUIET, "END\r\n", "version\r\n", "VERSION 1.6.18\rx", FENCE_PROOF_WRONG, false},
	{GET SET_QUIET, "END\r\n", "version\r\n", "ERROR\r\nVERSION 1.6.18\r\n", FENCE_PROOF_WRONG, false},
	{GET SET_QUIET, "END\r\n", "version\r\n", "VERSION 1.6.18\r\nERROR\r\n", FENCE_PROOF_WRONG, false},
	{GET SET_QUIET, "END\r\n", "version\r\n", "END\r\n", FENCE_PROOF_WRONG, false},
};

/* The pieces of an answer: all of it, two at every place, and single bytes. The fence stays what it was until then. */
static void prove(const struct fence *begun, size_t first, size_t step, const char *proof, enum fence_proof result,
		  bool is_done)
{
	enum fence_proof proven = FENCE_PROOF_GOOD;
	struct fence fence = *begun;
	size_t length = strlen(proof);

	for (size_t at = 0, n = first; at < length && proven == FENCE_PROOF_GOOD; at += n, n = step) {
		if (n > length - at)
			n = length - at;
		proven = memcached.prove(&fence, proof + at, n);
	}
	ck_assert_int_eq(proven, result);
	ck_assert(result != FENCE_PROOF_GOOD || is_done == !fence_n_awaited(&fence));
}

START_TEST(a_fence_is_proven_whole)
{
	const char *proof = fences[_i].proof;
	struct protocol_state state;
	char command[PROTOCOL_RESET_MAX];
	struct fence fence;
	size_t length;

	begin(&state);
	ask(&state, fences[_i].asked, strlen(fences[_i].asked));
	answer(&state, fences[_i].answered, strlen(fences[_i].answered));
	memcached.reset(&state, 0x0123456789abcdef, &fence);
	length = memcached.write_fence(&fence, command);
	ck_assert_uint_eq(length, strlen(fences[_i].command));
	ck_assert_mem_eq(command, fences[_i].command, length);
	ck_assert_uint_gt(fence_n_awaited(&fence), 0);
	for (size_t at = 1; at <= strlen(proof); at++)
		prove(&fence, at, strlen(proof), proof, fences[_i].result, fences[_i].is_done);
	prove(&fence, 1, 1, proof, fences[_i].result, fences[_i].is_done);
}
END_TEST

START_TEST(a_validation_asks_for_the_version)
{
	char command[PROTOCOL_RESET_MAX];
	struct fence fence;

	memcached.validate(0, &fence);
	ck_assert_uint_eq(memcached.write_fence(&fence, command), 9);
	ck_assert_mem_eq(command, "version\r\n", 9);
	ck_assert(fence.is_plain);
}
END_TEST

static const struct {
	const char *before, *answered, *said;
	bool is_goodbye;
} goodbyes[] = {
	{GET, "END\r\n", "quit\r\n", true},
	{GET, "END\r\n", "quit now\r\n", false},
	{GET, "END\r\n", "quit\r\nget k\r\n", false},
	{GET, "END\r\n", "quit", false},
	{GET, "", "quit\r\n", false},
	{GET, "END", "quit\r\n", false},
	{GET SET_QUIET, "END\r\n", "quit\r\n", true},
	{GET, "ERROR\r\n", "quit\r\n", false},
	{GET "get", "END\r\n", "quit\r\n", false},
};

START_TEST(knows_a_goodbye)
{
	struct protocol_state state;
	char farewell[PROTOCOL_FAREWELL_MAX];

	begin(&state);
	ask(&state, goodbyes[_i].before, strlen(goodbyes[_i].before));
	answer(&state, goodbyes[_i].answered, strlen(goodbyes[_i].answered));
	ck_assert_int_eq(protocol_is_goodbye(&state, goodbyes[_i].said, strlen(goodbyes[_i].said)),
			 goodbyes[_i].is_goodbye);
	ck_assert_uint_eq(memcached.farewell("quit\r\n", farewell), 0);
}
END_TEST

static const struct {
	const char *said;
	bool wants_fresh;
} firsts[] = {
	{GET, false},	    {"get", true},	    {"get k", true},	 {"set k 0 0 5\r\n", false},
	{SET_QUIET, false}, {GET "quit\r\n", true}, {"watch\r\n", true}, {GET "get", false},
};

START_TEST(some_want_a_fresh_connection)
{
	struct protocol_state state;

	begin(&state);
	ask(&state, firsts[_i].said, strlen(firsts[_i].said));
	ck_assert_int_eq(protocol_status(&state).wants_fresh, firsts[_i].wants_fresh);
}
END_TEST

static const struct {
	const char *bytes;
	enum framing_first first;
} classes[] = {
	{"", FRAMING_FIRST_PARTIAL},
	{"ge", FRAMING_FIRST_PARTIAL},
	{"get k", FRAMING_FIRST_UNSAFE},
	{"get k\r\n", FRAMING_FIRST_UNSAFE},
	{"get 0123456789012345678901234567", FRAMING_FIRST_UNSAFE},
	{"mn\r\n", FRAMING_FIRST_UNSAFE},
	{"set k 0 0 1\r\n", FRAMING_FIRST_UNSAFE},
	{"set k v\r\n", FRAMING_FIRST_UNKNOWN},
	{"GET k\r\n", FRAMING_FIRST_UNKNOWN},
	{"quit\r\n", FRAMING_FIRST_UNKNOWN},
	{"\x80", FRAMING_FIRST_PARTIAL},
	{"\r\n", FRAMING_FIRST_UNKNOWN},
	{"EHLO me\r\n", FRAMING_FIRST_UNKNOWN},
};

START_TEST(classifies_first_bytes)
{
	ck_assert_int_eq(memcached.classify(classes[_i].bytes, strlen(classes[_i].bytes)), classes[_i].first);
}
END_TEST

START_TEST(the_servers_end_is_an_end)
{
	struct protocol_state state;

	begin(&state);
	ask(&state, GET, strlen(GET));
	answer(&state, "END\r\n", 5);
	protocol_feed_end(&state);
	ck_assert_int_eq(protocol_status(&state).refusal, REFUSAL_SERVER_CLOSE);
	ck_assert(protocol_status(&state).server_ends);
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

Suite *memcached_suite(void)
{
	Suite *suite = suite_create("memcached");
	TCase *all = tcase_create("all");

	tcase_add_loop_test(all, any_pieces_tell_the_same, 0, COUNT(conversations));
	tcase_add_test(all, a_value_may_pass_unseen);
	tcase_add_test(all, an_answer_ends_where_it_ends);
	tcase_add_test(all, many_replies_are_awaited);
	tcase_add_test(all, a_login_is_not_feared_twice);
	tcase_add_loop_test(all, a_fence_is_proven_whole, 0, COUNT(fences));
	tcase_add_test(all, a_validation_asks_for_the_version);
	tcase_add_loop_test(all, knows_a_goodbye, 0, COUNT(goodbyes));
	tcase_add_loop_test(all, some_want_a_fresh_connection, 0, COUNT(firsts));
	tcase_add_loop_test(all, classifies_first_bytes, 0, COUNT(classes));
	tcase_add_test(all, the_servers_end_is_an_end);
	suite_add_tcase(suite, all);
	return suite;
}
