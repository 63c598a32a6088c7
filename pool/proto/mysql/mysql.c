/* See mysql.h. */
#include "pool/proto/mysql/mysql.h"

#include <string.h>

#include "pool/proto/mysql/fence.h"
#include "pool/proto/session.h"

static void init(struct protocol_session *session)
{
	mysql_init(&session->mysql);
}

static void feed_request(struct protocol_session *session, const char *bytes, size_t length)
{
	mysql_feed_request(&session->mysql, bytes, length);
}

static size_t feed_reply(struct protocol_session *session, const char *bytes, size_t length, bool only_one)
{
	return mysql_feed_reply(&session->mysql, bytes, length, only_one);
}

static void pass_reply(struct protocol_session *session, uint64_t length)
{
	mysql_pass_reply(&session->mysql, length);
}

static void feed_end(struct protocol_session *session)
{
	mysql_feed_end(&session->mysql);
}

/* Several statements at once, where they were not allowed at the login, or the reverse: no reset takes that back. */
static bool differs_from_login(const struct mysql *known)
{
	return known->allows_several != !!(known->login.capabilities & MYSQL_MULTI_STATEMENTS);
}

static struct session_facts facts(const struct protocol_session *session)
{
	const struct mysql *known = &session->mysql;
	enum refusal doubt = known->doubt;

	if (doubt == REFUSAL_NONE && mysql_is_settled(known) && differs_from_login(known))
		doubt = REFUSAL_SESSION_STATE;
	return (struct session_facts){
		.doubt = doubt,
		/* A login is always left. */
		.left_state = known->n_sent ? REFUSAL_SESSION_STATE : REFUSAL_NONE,
		.is_lost = known->is_lost,
		.has_surplus = known->has_surplus,
		.has_ended = known->has_ended,
		.in_request = known->out.n_head || known->out.goes_on,
		.parses_request = true,
		.in_reply = known->in_reply || known->in.n_head,
		.is_settled = mysql_is_settled(known),
		.n_sent = known->n_sent,
		.n_answered = known->n_answered,
		.known_reply = mysql_known_reply(known),
		.keep_alive_s = MYSQL_KEPT_S,
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

/* A client never speaks first. */
static enum framing_first classify(const char *bytes, size_t length)
{
	(void)bytes;
	return length ? FRAMING_FIRST_UNKNOWN : FRAMING_FIRST_PARTIAL;
}

static bool measure_request(const char *bytes, size_t length, size_t *end)
{
	return session_measure_request(&framing, bytes, length, end);
}

static void reset(const struct protocol_state *state, uint64_t nonce, struct fence *fence)
{
	mysql_fence_begin(&state->session.mysql, nonce, fence);
}

static bool is_goodbye(const struct protocol_state *state, const char *bytes, size_t length)
{
	return mysql_is_goodbye(&state->session.mysql, bytes, length);
}

/* The server just ends the connection. */
static size_t farewell(const char *goodbye, char *bytes)
{
	(void)goodbye;
	(void)bytes;
	return 0;
}

bool mysql_is_in_transaction(const struct protocol_state *state)
{
	return state->session.mysql.in_transaction;
}

const struct login *mysql_login_of(const struct protocol_state *state)
{
	return &state->session.mysql.login;
}

void mysql_set_greeting(struct protocol_state *state, const uint8_t *packet, size_t length)
{
	struct login *login = &state->session.mysql.login;

	login->greeting_length = length <= LOGIN_GREETING_MAX ? (uint16_t)length : 0;
	memcpy(login->greeting, packet, login->greeting_length);
}

const struct protocol mysql = {
	.name = "mysql",
	SESSION_HOOKS,
	.init = begin,
	.relocate = relocate,
	.classify = classify,
	.is_greeting = mysql_is_greeting,
	.measure_request = measure_request,
	.reset = reset,
	.write_fence = mysql_fence_write,
	.is_goodbye = is_goodbye,
	.farewell = farewell,
};
