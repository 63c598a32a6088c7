/*
 * Framing of Redis: which conversations leave a connection that can be kept, what they leave on it, and that it does
 * not matter in which pieces the bytes come.
 */
#include <check.h>
#include <string.h>

#include "pool/proto/protocol.h"

#define PING "*1\r\n$4\r\nPING\r\n"
#define SELECT "*2\r\n$6\r\nSELECT\r\n$1\r\n5\r\n"
#define AUTH "*2\r\n$4\r\nAUTH\r\n$2\r\npw\r\n"
#define MULTI "*1\r\n$5\r\nMULTI\r\n"
#define EXEC "*1\r\n$4\r\nEXEC\r\n"
#define QUIT "*1\r\n$4\r\nQUIT\r\n"
#define WAIT "*3\r\n$4\r\nWAIT\r\n$1\r\n0\r\n$1\r\n1\r\n"
#define SET "*3\r\n$3\r\nset\r\n$1\r\nk\r\n$5\r\nv\r\nEN\r\n"
#define EVAL "*3\r\n$4\r\nEVAL\r\n$1\r\nx\r\n$1\r\n0\r\n"
#define SETINFO "*4\r\n$6\r\nCLIENT\r\n$7\r\nSETINFO\r\n$8\r\nLIB-NAME\r\n$2\r\npy\r\n"
#define SETNAME "*3\r\n$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n$1\r\nx\r\n"
#define MAINTENANCE "*3\r\n$6\r\nCLIENT\r\n$19\r\nMAINT_NOTIFICATIONS\r\n$2\r\nON\r\n"
#define SUBSCRIBE "*2\r\n$9\r\nSUBSCRIBE\r\n$1\r\nc\r\n"

static const struct {
	const char *asked, *answered;
	enum refusal refusal, doubt, left;
	unsigned n_requests;
} conversations[] = {
	{"", "", REFUSAL_CLIENT_CLOSE, REFUSAL_NONE, REFUSAL_NONE, 0},
	{PING, "+PONG\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_NONE, 1},
	{PING PING, "+PONG\r\n$4\r\nPONG\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_NONE, 2},
	{PING PING, "+PONG\r\n", REFUSAL_UNFINISHED_REPLY, REFUSAL_NONE, REFUSAL_NONE, 2},
	{PING, "+PON", REFUSAL_UNFINISHED_REPLY, REFUSAL_NONE, REFUSAL_NONE, 1},
	{PING "*1\r\n$4\r\nPI", "+PONG\r\n", REFUSAL_UNFINISHED_REPLY, REFUSAL_NONE, REFUSAL_NONE, 1},
	{PING, "+PONG\r\n+PONG\r\n", REFUSAL_NOT_CANONICAL, REFUSAL_NOT_CANONICAL, REFUSAL_NONE, 1},
	{SET, "+OK\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_NONE, 1},
	/* What is asked and answered by nothing. */
	{"\r\n\n  \r\n*0\r\n*-1\r\n" PING, "+PONG\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_NONE, 1},
	{"  ping \r\nget  a\n", "+PONG\r\n$-1\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_NONE, 2},
	/* Replies of all types. */
	{PING, "-ERR no\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_NONE, 1},
	{PING, ":-12\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_NONE, 1},
	{PING, "$0\r\n\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_NONE, 1},
	{PING, "*0\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_NONE, 1},
	{PING, "*-1\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_NONE, 1},
	{PING, "*2\r\n*2\r\n:1\r\n$2\r\n\r\n\r\n*1\r\n*1\r\n+x\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_NONE, 1},
	{PING, "*2\r\n*2\r\n:1\r\n$2\r\n\r\n\r\n*1\r\n*1\r\n", REFUSAL_UNFINISHED_REPLY, REFUSAL_NONE, REFUSAL_NONE, 1},
	{PING, "%2\r\n+a\r\n:1\r\n+b\r\n~2\r\n#t\r\n,-1.5e9\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_NONE, 1},
	{PING, "*4\r\n_\r\n(349\r\n=5\r\ntxt:x\r\n!3\r\nERR\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_NONE, 1},
	{PING, ">2\r\n+x\r\n:1\r\n", REFUSAL_UNFINISHED_REPLY, REFUSAL_NONE, REFUSAL_NONE, 1},
	{PING, ">2\r\n+x\r\n:1\r\n+PONG\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_NONE, 1},
	{PING, "|1\r\n+a\r\n*1\r\n:1\r\n+PONG\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_NONE, 1},
	{PING, "|1\r\n+a\r\n|1\r\n+b\r\n:2\r\n:1\r\n", REFUSAL_UNFINISHED_REPLY, REFUSAL_NONE, REFUSAL_NONE, 1},
	{PING, "*2\r\n|1\r\n+a\r\n:1\r\n:2\r\n:3\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_NONE, 1},
	{PING, "*2\r\n:2\r\n|1\r\n+a\r\n:1\r\n:3\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_NONE, 1},
	/* No replies. */
	{PING, "HTTP/1.1 400 Bad Request\r\n", REFUSAL_UNKNOWN_PROTOCOL, REFUSAL_UNKNOWN_PROTOCOL, REFUSAL_NONE, 1},
	{PING, "$-2\r\n", REFUSAL_NOT_CANONICAL, REFUSAL_NOT_CANONICAL, REFUSAL_NONE, 1},
	{PING, "$?\r\n", REFUSAL_NOT_CANONICAL, REFUSAL_NOT_CANONICAL, REFUSAL_NONE, 1},
	{PING, ":01\r\n", REFUSAL_NOT_CANONICAL, REFUSAL_NOT_CANONICAL, REFUSAL_NONE, 1},
	{PING, ":\r\n", REFUSAL_NOT_CANONICAL, REFUSAL_NOT_CANONICAL, REFUSAL_NONE, 1},
	{PING, ":9223372036854775808\r\n", REFUSAL_NOT_CANONICAL, REFUSAL_NOT_CANONICAL, REFUSAL_NONE, 1},
	{PING, ":1\n", REFUSAL_NOT_CANONICAL, REFUSAL_NOT_CANONICAL, REFUSAL_NONE, 1},
	{PING, "+a\nb\r\n", REFUSAL_NOT_CANONICAL, REFUSAL_NOT_CANONICAL, REFUSAL_NONE, 1},
	{PING, "$1\r\nab\r\n", REFUSAL_NOT_CANONICAL, REFUSAL_NOT_CANONICAL, REFUSAL_NONE, 1},
	{PING, "*1\r\n>1\r\n:1\r\n", REFUSAL_NOT_CANONICAL, REFUSAL_NOT_CANONICAL, REFUSAL_NONE, 1},
	{PING, "*9223372036854775807\r\n", REFUSAL_NOT_CANONICAL, REFUSAL_NOT_CANONICAL, REFUSAL_NONE, 1},
	{PING, "-ERR Protocol error: x\r\n", REFUSAL_NOT_CANONICAL, REFUSAL_NOT_CANONICAL, REFUSAL_NONE, 1},
	{PING, "-ERR max number of clients reached\r\n", REFUSAL_SERVER_CLOSE, REFUSAL_SERVER_CLOSE, REFUSAL_NONE, 1},
	{"", "-ERR max number of clients reached\r\n", REFUSAL_SERVER_CLOSE, REFUSAL_SERVER_CLOSE, REFUSAL_NONE, 0},
	/* No commands. */
	{"*1\r\n+PING\r\n", "", REFUSAL_NOT_CANONICAL, REFUSAL_NOT_CANONICAL, REFUSAL_NONE, 0},
	{"*1\n$4\r\n", "", REFUSAL_NOT_CANONICAL, REFUSAL_NOT_CANONICAL, REFUSAL_NONE, 0},
	{"*1\r\n$-1\r\n", "", REFUSAL_NOT_CANONICAL, REFUSAL_NOT_CANONICAL, REFUSAL_NONE, 0},
	{"*1\r\n$4\r\nPINGS\r\n", "", REFUSAL_NOT_CANONICAL, REFUSAL_NOT_CANONICAL, REFUSAL_NONE, 0},
	{"*2147483648\r\n", "", REFUSAL_NOT_CANONICAL, REFUSAL_NOT_CANONICAL, REFUSAL_NONE, 0},
	{"SET a \"b c\"\r\n", "", REFUSAL_NOT_CANONICAL, REFUSAL_NOT_CANONICAL, REFUSAL_NONE, 0},
	{"PING\rPING\r\n", "", REFUSAL_NOT_CANONICAL, REFUSAL_NOT_CANONICAL, REFUSAL_NONE, 0},
	/* What is left behind. */
	{"*1\r\n$3\r\nGETX\r\n", "", REFUSAL_NOT_CANONICAL, REFUSAL_NOT_CANONICAL, REFUSAL_NONE, 0},
	{"GETSETX a\r\n", ":1\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_SESSION_STATE, 1},
	{"GETSE a\r\n", ":1\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_SESSION_STATE, 1},
	{SELECT, "+OK\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_SESSION_STATE, 1},
	{"*1\r\n$3\r\nXYZ\r\n", "-ERR\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_SESSION_STATE, 1},
	{AUTH, "+OK\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_AUTHENTICATED, 1},
	{AUTH, "-WRONGPASS\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_AUTHENTICATED, 1},
	{"HELLO 3\r\n", "%1\r\n+a\r\n:1\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_SESSION_STATE, 1},
	{"HELLO 3 AUTH u p\r\n", "%1\r\n+a\r\n:1\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_AUTHENTICATED, 1},
	{MULTI, "+OK\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_SESSION_STATE, 1},
	{MULTI PING EXEC, "+OK\r\n+QUEUED\r\n*1\r\n+PONG\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_NONE, 3},
	{MULTI PING EXEC, "+OK\r\n-ERR\r\n-EXECABORT Transaction\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_NONE, 3},
	{MULTI EXEC, "+OK\r\n-ERR no\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_SESSION_STATE, 2},
	{MULTI "EXEC x\r\n", "+OK\r\n*0\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_SESSION_STATE, 2},
	{EVAL, ":1\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_SESSION_STATE, 1},
	{SETINFO, "+OK\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_SESSION_STATE, 1},
	{SETINFO, "-ERR\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_NONE, 1},
	{SETINFO PING, "-ERR\r\n+PONG\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_NONE, 2},
	/* Refused. */
	{SUBSCRIBE, "", REFUSAL_REFUSED_COMMAND, REFUSAL_REFUSED_COMMAND, REFUSAL_NONE, 1},
	{"MONITOR\r\n", "", REFUSAL_REFUSED_COMMAND, REFUSAL_REFUSED_COMMAND, REFUSAL_NONE, 1},
	{"CLIENT ID\r\n", "", REFUSAL_REFUSED_COMMAND, REFUSAL_REFUSED_COMMAND, REFUSAL_NONE, 1},
	{"CLIENT\r\n", "", REFUSAL_REFUSED_COMMAND, REFUSAL_REFUSED_COMMAND, REFUSAL_NONE, 1},
	{"client reply OFF\r\n", "", REFUSAL_REFUSED_COMMAND, REFUSAL_REFUSED_COMMAND, REFUSAL_NONE, 1},
	{MAINTENANCE, "-ERR\r\n", REFUSAL_NONE, REFUSAL_NONE, REFUSAL_NONE, 1},
	{MAINTENANCE, "+OK\r\n", REFUSAL_REFUSED_COMMAND, REFUSAL_REFUSED_COMMAND, REFUSAL_NONE, 1},
	{PING QUIT, "+PONG\r\n+OK\r\n", REFUSAL_CLIENT_CLOSE, REFUSAL_CLIENT_CLOSE, REFUSAL_NONE, 2},
};

static void begin(struct protocol_state *state)
{
	memset(state, 0, sizeof(*state));
	protocol_begin_as(state, PROTOCOL_REDIS);
}

static void ask(struct protocol_state *state, const char *bytes, size_t length)
{
	protocol_feed_request(state, NULL, bytes, length, NULL);
}

static void answer(struct protocol_state *state, const char *bytes, size_t length)
{
	protocol_feed_response(state, NULL, bytes, length, NULL);
}

/* All that counts. */
static void must_be_equal(const struct redis *a, const struct redis *b)
{
	ck_assert_int_eq(a->request_phase, b->request_phase);
	ck_assert_int_eq(a->reply_phase, b->reply_phase);
	ck_assert_int_eq(a->reply_kind, b->reply_kind);
	ck_assert_int_eq(a->doubt, b->doubt);
	ck_assert(a->bulk_left == b->bulk_left && a->reply_bulk_left == b->reply_bulk_left);
	ck_assert(a->elements_left == b->elements_left && a->n_outcomes == b->n_outcomes);
	ck_assert(a->n_sent == b->n_sent && a->n_answered == b->n_answered);
	ck_assert(a->is_lost == b->is_lost && a->has_surplus == b->has_surplus);
	ck_assert(a->has_left_state == b->has_left_state && a->in_transaction == b->in_transaction);
	ck_assert(a->has_authenticated == b->has_authenticated && a->ran_foreign_code == b->ran_foreign_code);
	ck_assert(a->has_named_library == b->has_named_library && a->has_named_itself == b->has_named_itself);
	ck_assert(a->began_waiting == b->began_waiting && a->is_restricted == b->is_restricted);
	ck_assert_int_eq(redis_wants_fresh(a), redis_wants_fresh(b));
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
	ck_assert_int_eq(status.at_boundary,
			 status.refusal == REFUSAL_NONE || status.left_state || (status.doubt && status.at_boundary));
	ck_assert(!status.can_replay && !status.may_edit && !status.owes_end && !status.end_is_due);

	begin(&pieces);
	for (size_t i = 0; i < n_asked; i++)
		ask(&pieces, asked + i, 1);
	for (size_t i = 0; i < n_answered; i++)
		answer(&pieces, answered + i, 1);
	must_be_equal(&pieces.session.redis, &whole.session.redis);
	for (size_t cut = 0; cut <= n_asked || cut <= n_answered; cut++) {
		size_t a = cut < n_asked ? cut : n_asked, b = cut < n_answered ? cut : n_answered;

		begin(&pieces);
		ask(&pieces, asked, a);
		ask(&pieces, asked + a, n_asked - a);
		answer(&pieces, answered, b);
		answer(&pieces, answered + b, n_answered - b);
		must_be_equal(&pieces.session.redis, &whole.session.redis);
	}
}
END_TEST

/* Of a long string nothing has to be looked at. */
START_TEST(a_bulk_may_pass_unseen)
{
	static char zeroes[100000];
	struct protocol_state state;

	begin(&state);
	ask(&state, PING, strlen(PING));
	answer(&state, "$100000\r\n", 9);
	ck_assert_uint_eq(protocol_status(&state).known_answer, 100000);
	ck_assert(protocol_status(&state).in_answer && !protocol_status(&state).in_answer_head);
	protocol_pass_response(&state, 60000);
	answer(&state, zeroes, 39999);
	ck_assert_uint_eq(protocol_status(&state).known_answer, 1);
	protocol_pass_response(&state, 1);
	answer(&state, "\r\n", 2);
	ck_assert_int_eq(protocol_status(&state).refusal, REFUSAL_NONE);
	ask(&state, "*2\r\n$4\r\nECHO\r\n$100000\r\n", 23);
	ask(&state, zeroes, 50000);
	ck_assert(!protocol_status(&state).parses_request);
	ask(&state, zeroes, 50000);
	ask(&state, "\r\n", 2);
	ck_assert_uint_eq(protocol_status(&state).n_awaited, 1);
}
END_TEST

START_TEST(an_answer_ends_where_it_ends)
{
	static const char two[] = "*1\r\n+a\r\n+b\r\n";
	struct protocol_state state;
	size_t end;

	begin(&state);
	ask(&state, PING PING, 2 * strlen(PING));
	ck_assert_uint_eq(protocol_feed_answer(&state, two, sizeof(two) - 1, NULL), 8);
	ck_assert_uint_eq(protocol_status(&state).n_awaited, 1);
	ck_assert(redis.measure_request(PING PING, 2 * strlen(PING), &end));
	ck_assert_uint_eq(end, strlen(PING));
	ck_assert(redis.measure_request("*1\r\n$4", 6, &end) && !end);
	ck_assert(!redis.measure_request("\r\n", 2, &end));
}
END_TEST

/* More outcomes than are remembered: the worst is supposed. */
START_TEST(many_outcomes_are_supposed)
{
	struct protocol_state state;
	struct fence fence;

	begin(&state);
	for (int i = 0; i < 20; i++)
		ask(&state, SETINFO, strlen(SETINFO));
	for (int i = 0; i < 20; i++)
		answer(&state, "-ERR\r\n", 6);
	ck_assert_int_eq(protocol_status(&state).left_state, REFUSAL_SESSION_STATE);
	redis.reset(&state, 0, &fence);
	ck_assert_uint_eq(fence.n_due, strlen("+OK\r\n+OK\r\n+RESET\r\n"));
	for (int i = 0; i < 9; i++)
		ask(&state, MAINTENANCE, strlen(MAINTENANCE));
	ck_assert_int_eq(protocol_status(&state).doubt, REFUSAL_REFUSED_COMMAND);
}
END_TEST

#define RESET_COMMAND "*1\r\n$5\r\nRESET\r\n"
#define LIBRARY_COMMAND                                                       \
	"*4\r\n$6\r\nCLIENT\r\n$7\r\nSETINFO\r\n$8\r\nLIB-NAME\r\n$0\r\n\r\n" \
	"*4\r\n$6\r\nCLIENT\r\n$7\r\nSETINFO\r\n$7\r\nLIB-VER\r\n$0\r\n\r\n"
#define NAME_COMMAND "*3\r\n$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n$0\r\n\r\n"
#define NONCE_COMMAND "*2\r\n$4\r\nPING\r\n$16\r\n0123456789abcdef\r\n"

static const struct {
	const char *asked, *answered, *command, *proof;
} resets[] = {
	{SELECT, "+OK\r\n", RESET_COMMAND, "+RESET\r\n"},
	{SETINFO, "+OK\r\n", LIBRARY_COMMAND RESET_COMMAND, "+OK\r\n+OK\r\n+RESET\r\n"},
	{SETNAME, "+OK\r\n", NAME_COMMAND RESET_COMMAND, "+OK\r\n+RESET\r\n"},
	{SETNAME, "-ERR\r\n", RESET_COMMAND, "+RESET\r\n"},
	{AUTH SETNAME, "+OK\r\n+OK\r\n", RESET_COMMAND, "+RESET\r\n"},
	{EVAL, "+RESET\r\n", NONCE_COMMAND RESET_COMMAND, "$16\r\n0123456789abcdef\r\n+RESET\r\n"},
	{EVAL, "-NOAUTH Authentication required.\r\n", RESET_COMMAND, "+RESET\r\n"},
	{EVAL SETNAME MULTI, ":1\r\n+OK\r\n+OK\r\n", RESET_COMMAND, "+RESET\r\n"},
	{AUTH EVAL, "+OK\r\n+RESET\r\n", RESET_COMMAND, "+RESET\r\n"},
	{SETINFO SETNAME EVAL, "+OK\r\n+OK\r\n:1\r\n", NONCE_COMMAND LIBRARY_COMMAND NAME_COMMAND RESET_COMMAND,
	 "$16\r\n0123456789abcdef\r\n+OK\r\n+OK\r\n+OK\r\n+RESET\r\n"},
};

START_TEST(a_reset_is_proven_whole)
{
	const char *proof = resets[_i].proof;
	size_t n_proof = strlen(proof);
	struct protocol_state state;
	char command[PROTOCOL_RESET_MAX];
	struct fence fence;
	size_t length;

	begin(&state);
	ask(&state, resets[_i].asked, strlen(resets[_i].asked));
	answer(&state, resets[_i].answered, strlen(resets[_i].answered));
	redis.reset(&state, 0x0123456789abcdef, &fence);
	length = redis.write_fence(&fence, command);
	ck_assert_uint_eq(length, strlen(resets[_i].command));
	ck_assert_mem_eq(command, resets[_i].command, length);
	ck_assert_uint_eq(fence.n_due, n_proof);
	for (size_t at = 0; at < n_proof; at++) {
		struct fence rest = fence;

		ck_assert_uint_eq(fence.n_proven, at);
		ck_assert_int_eq(redis.prove(&rest, proof + at, n_proof - at), FENCE_PROOF_GOOD);
		ck_assert_uint_eq(fence_n_awaited(&rest), 0);
		ck_assert_int_eq(redis.prove(&fence, "?", 1), FENCE_PROOF_WRONG);
		ck_assert_int_eq(redis.prove(&fence, proof + at, 1), FENCE_PROOF_GOOD);
	}
	fence.n_proven = 0;
	ck_assert_int_eq(
		redis.prove(&fence, "+RESET\r\n+RESET\r\n+RESET\r\n+RESET\r\n+RESET\r\n+RESET\r\n+RESET\r\n", 56),
		FENCE_PROOF_WRONG);
}
END_TEST

START_TEST(a_validation_asks_for_nothing_else)
{
	char command[PROTOCOL_RESET_MAX];
	struct fence fence;

	redis.validate(0, &fence);
	ck_assert_uint_eq(redis.write_fence(&fence, command), strlen(RESET_COMMAND));
	ck_assert_mem_eq(command, RESET_COMMAND, strlen(RESET_COMMAND));
	ck_assert_int_eq(redis.prove(&fence, "-ERR unknown command `RESET`, with args", 39), FENCE_PROOF_NEVER);
	ck_assert_int_eq(redis.prove(&fence, "-NOAUTH", 7), FENCE_PROOF_WRONG);
	ck_assert_int_eq(redis.prove(&fence, "+RESET\r\n", 8), FENCE_PROOF_GOOD);
}
END_TEST

static const struct {
	const char *before, *answered, *said;
	bool is_goodbye;
} goodbyes[] = {
	{PING, "+PONG\r\n", QUIT, true},
	{PING, "+PONG\r\n", "quit\r\n", true},
	{PING, "+PONG\r\n", "QUIT now\r\n", false},
	{PING, "+PONG\r\n", PING QUIT, false},
	{PING, "+PONG\r\n", QUIT PING, false},
	{PING, "+PONG\r\n", "*1\r\n$4\r\nQUI", false},
	{PING, "", QUIT, false},
	{PING, "+PONG", QUIT, false},
	{SUBSCRIBE, "", QUIT, false},
	{MULTI, "+OK\r\n", QUIT, true},
	{PING, "+PONG\r\n", PING, false},
	{PING "*1\r\n", "+PONG\r\n", QUIT, false},
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
	ck_assert_uint_eq(redis.farewell(QUIT, farewell), 5);
	ck_assert_mem_eq(farewell, "+OK\r\n", 5);
}
END_TEST

static const struct {
	const char *said;
	bool wants_fresh;
} firsts[] = {
	{PING, false},
	{WAIT, true},
	{PING WAIT, false},
	{SET WAIT, false},
	{SUBSCRIBE, true},
	{QUIT, true},
	{SET "*3\r\n$4\r\nWA", false},
	{"*3\r\n$3\r\nSE", true},
	{"*3\r\n$3\r\nSET\r\n$1\r\n", false},
	{"*3\r\n$6\r\nCLIENT\r\n$1\r\n", true},
	{"*3\r\n", true},
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
	{"*", FRAMING_FIRST_PARTIAL},
	{"*12", FRAMING_FIRST_PARTIAL},
	{"*1\r\n", FRAMING_FIRST_PARTIAL},
	{"*1\r\n$", FRAMING_FIRST_UNSAFE},
	{"*1\r\n+", FRAMING_FIRST_UNKNOWN},
	{"*0\r\n$", FRAMING_FIRST_UNKNOWN},
	{"*-1\r\n$", FRAMING_FIRST_UNKNOWN},
	{"*x", FRAMING_FIRST_UNKNOWN},
	{"PIN", FRAMING_FIRST_PARTIAL},
	{"PING\r\n", FRAMING_FIRST_UNSAFE},
	{"ping\n", FRAMING_FIRST_UNSAFE},
	{"get a\r\n", FRAMING_FIRST_UNSAFE},
	{"PINGS\r\n", FRAMING_FIRST_UNKNOWN},
	{"EHLO me\r\n", FRAMING_FIRST_UNKNOWN},
	{"\r\n", FRAMING_FIRST_UNKNOWN},
	{"SORT_RO a\r\n", FRAMING_FIRST_UNSAFE},
	{" PING\r\n", FRAMING_FIRST_UNKNOWN},
	{"\x16\x03\x01", FRAMING_FIRST_UNKNOWN},
	{"ABCDEFGHIJKLMNOPQRSTUVWXYZ", FRAMING_FIRST_UNKNOWN},
};

START_TEST(classifies_first_bytes)
{
	ck_assert_int_eq(redis.classify(classes[_i].bytes, strlen(classes[_i].bytes)), classes[_i].first);
}
END_TEST

START_TEST(the_servers_end_is_an_end)
{
	struct protocol_state state;

	begin(&state);
	ask(&state, PING, strlen(PING));
	answer(&state, "+PONG\r\n", 7);
	protocol_feed_end(&state);
	ck_assert_int_eq(protocol_status(&state).refusal, REFUSAL_SERVER_CLOSE);
	ck_assert(protocol_status(&state).server_ends);
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

Suite *redis_suite(void)
{
	Suite *suite = suite_create("redis");
	TCase *all = tcase_create("all");

	tcase_add_loop_test(all, any_pieces_tell_the_same, 0, COUNT(conversations));
	tcase_add_test(all, a_bulk_may_pass_unseen);
	tcase_add_test(all, an_answer_ends_where_it_ends);
	tcase_add_test(all, many_outcomes_are_supposed);
	tcase_add_loop_test(all, a_reset_is_proven_whole, 0, COUNT(resets));
	tcase_add_test(all, a_validation_asks_for_nothing_else);
	tcase_add_loop_test(all, knows_a_goodbye, 0, COUNT(goodbyes));
	tcase_add_loop_test(all, some_want_a_fresh_connection, 0, COUNT(firsts));
	tcase_add_loop_test(all, classifies_first_bytes, 0, COUNT(classes));
	tcase_add_test(all, the_servers_end_is_an_end);
	suite_add_tcase(suite, all);
	return suite;
}
