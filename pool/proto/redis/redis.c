/* See redis.h. */
#include "pool/proto/redis/redis.h"

#include <string.h>

#include "pool/proto/session.h"

static enum refusal left_state(const struct redis *left)
{
	if (!left->has_left_state && !left->in_transaction)
		return REFUSAL_NONE;
	return left->has_authenticated ? REFUSAL_AUTHENTICATED : REFUSAL_SESSION_STATE;
}

static void init(struct protocol_session *session)
{
	redis_init(&session->redis);
}

static void feed_request(struct protocol_session *session, const char *bytes, size_t length)
{
	redis_feed_request(&session->redis, bytes, length);
}

static size_t feed_reply(struct protocol_session *session, const char *bytes, size_t length, bool only_one)
{
	return redis_feed_reply(&session->redis, bytes, length, only_one);
}

static void pass_reply(struct protocol_session *session, uint64_t length)
{
	redis_pass_reply(&session->redis, length);
}

static void feed_end(struct protocol_session *session)
{
	redis_feed_end(&session->redis);
}

static struct session_facts facts(const struct protocol_session *session)
{
	const struct redis *known = &session->redis;

	return (struct session_facts){
		.doubt = known->doubt,
		.left_state = left_state(known),
		.is_lost = known->is_lost,
		.has_surplus = known->has_surplus,
		.has_ended = known->has_ended,
		.in_request = known->request_phase != REDIS_REQUEST_BETWEEN,
		.parses_request = known->request_phase != REDIS_REQUEST_BULK,
		.in_reply = redis_in_reply(known),
		.is_settled = redis_is_settled(known),
		.wants_fresh = redis_wants_fresh(known),
		.n_sent = known->n_sent,
		.n_answered = known->n_answered,
		.known_reply = redis_known_reply(known),
	};
}

static const struct session_framing framing = {
	.init = init,
	.feed_request = feed_request,
	.feed_reply = feed_reply,
	.pass_reply = pass_reply,
	.feed_end = feed_end,
	.facts = facts,
};

static void begin(struct protocol_state *state, bool may_edit)
{
	(void)may_edit; /* nothing is */
	session_begin(state, &framing);
}

static void relocate(struct protocol_state *state, uintptr_t by)
{
	(void)by; /* nothing else in it points anywhere */
	session_arrive(state, &framing);
}

static bool measure_request(const char *bytes, size_t length, size_t *end)
{
	return session_measure_request(&framing, bytes, length, end);
}

/* The questions at a reset, in this order: see struct fence, `parts`. */
enum {
	PART_NONCE = 1,	  /* scripts and modules may have answered like a server: none of them knows this */
	PART_LIBRARY = 2, /* what RESET leaves (Redis 7.2, CLIENT SETINFO) */
	PART_NAME = 4,	  /* what another server's RESET leaves (Dragonfly) */
	PART_RESET = 8,
};

static const struct part {
	unsigned part;
	const char *command, *answer; /* NULL: with the nonce */
} parts[] = {
	{PART_NONCE, NULL, NULL},
	{PART_LIBRARY,
	 "*4\r\n$6\r\nCLIENT\r\n$7\r\nSETINFO\r\n$8\r\nLIB-NAME\r\n$0\r\n\r\n"
	 "*4\r\n$6\r\nCLIENT\r\n$7\r\nSETINFO\r\n$7\r\nLIB-VER\r\n$0\r\n\r\n",
	 "+OK\r\n+OK\r\n"},
	{PART_NAME, "*3\r\n$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n$0\r\n\r\n", "+OK\r\n"},
	{PART_RESET, "*1\r\n$5\r\nRESET\r\n", "+RESET\r\n"},
};
#define N_PARTS (sizeof(parts) / sizeof(parts[0]))

static char *append(char *to, const char *text)
{
	size_t length = strlen(text);

	memcpy(to, text, length);
	return to + length;
}

static char *append_nonce(char *to, uint64_t nonce)
{
	to = append(to, "$16\r\n");
	for (int shift = 60; shift >= 0; shift -= 4)
		*to++ = "0123456789abcdef"[nonce >> shift & 15];
	return append(to, "\r\n");
}

static size_t write_command(const struct fence *fence, char *bytes)
{
	char *end = bytes;

	for (size_t i = 0; i < N_PARTS; i++) {
		if (!(fence->parts & parts[i].part))
			continue;
		end = parts[i].command ? append(end, parts[i].command)
				       : append_nonce(append(end, "*2\r\n$4\r\nPING\r\n"), fence->nonce);
	}
	return (size_t)(end - bytes);
}

static size_t write_answer(const struct fence *fence, char *bytes)
{
	char *end = bytes;

	for (size_t i = 0; i < N_PARTS; i++)
		if (fence->parts & parts[i].part)
			end = parts[i].answer ? append(end, parts[i].answer) : append_nonce(end, fence->nonce);
	return (size_t)(end - bytes);
}

static void begin_fence(struct fence *fence, unsigned asked, uint64_t nonce)
{
	char answer[PROTOCOL_RESET_MAX];

	*fence = (struct fence){.nonce = nonce, .parts = (uint16_t)asked, .is_plain = asked == PART_RESET};
	fence->n_due = (uint16_t)write_answer(fence, answer);
}

/* Without a login, or after one, PING may be forbidden, and would be noted (ACL LOG); RESET never is. */
static void reset(const struct protocol_state *state, uint64_t nonce, struct fence *fence)
{
	const struct redis *left = &state->session.redis;
	unsigned asked = PART_RESET;

	/* In a transaction all but RESET is queued. */
	if (left->ran_foreign_code && !left->has_authenticated && !left->is_restricted && !left->in_transaction)
		asked |= PART_NONCE;
	if (left->has_named_library)
		asked |= PART_LIBRARY;
	if (left->has_named_itself && !left->has_authenticated && !left->in_transaction)
		asked |= PART_NAME;
	begin_fence(fence, asked, asked & PART_NONCE ? nonce : 0);
}

static void validate(uint64_t nonce, struct fence *fence)
{
	(void)nonce;
	begin_fence(fence, PART_RESET, 0);
}

/* Redis before 6.2 and most proxies: `-ERR unknown command`. */
static bool knows_no_reset(const struct fence *fence, const char *bytes, size_t length)
{
	static const char unknown[] = "-ERR unknown command";

	return !fence->n_proven && length >= sizeof(unknown) - 1 && memcmp(bytes, unknown, sizeof(unknown) - 1) == 0;
}

static enum fence_proof prove(struct fence *fence, const char *bytes, size_t length)
{
	char answer[PROTOCOL_RESET_MAX];
	size_t n = write_answer(fence, answer);

	if (fence_prove_equal(fence, answer, n, bytes, length))
		return FENCE_PROOF_GOOD;
	return knows_no_reset(fence, bytes, length) ? FENCE_PROOF_NEVER : FENCE_PROOF_WRONG;
}

static bool is_goodbye(const struct protocol_state *state, const char *bytes, size_t length)
{
	return redis_is_goodbye(&state->session.redis, bytes, length);
}

static size_t farewell(const char *goodbye, char *bytes)
{
	static const char ok[] = "+OK\r\n";

	(void)goodbye;
	memcpy(bytes, ok, sizeof(ok) - 1);
	return sizeof(ok) - 1;
}

const struct protocol redis = {
	.name = "redis",
	SESSION_HOOKS,
	.init = begin,
	.relocate = relocate,
	.classify = redis_classify_first,
	.measure_request = measure_request,
	.reset = reset,
	.validate = validate,
	.write_fence = write_command,
	.knows_each_reply = true,
	.prove = prove,
	.is_goodbye = is_goodbye,
	.farewell = farewell,
};
