/* See memcached.h. */
#include "pool/proto/memcached/memcached.h"

#include <string.h>

#include "pool/proto/memcached/fences.h"
#include "pool/proto/session.h"

static void text_init(struct protocol_session *session)
{
	memcached_text_init(&session->text);
}

static void text_feed_request(struct protocol_session *session, const char *bytes, size_t length)
{
	memcached_text_feed_request(&session->text, bytes, length);
}

static size_t text_feed_reply(struct protocol_session *session, const char *bytes, size_t length, bool only_one)
{
	return memcached_text_feed_reply(&session->text, bytes, length, only_one);
}

static void text_pass_reply(struct protocol_session *session, uint64_t length)
{
	memcached_text_pass_reply(&session->text, length);
}

static void text_feed_end(struct protocol_session *session)
{
	session->text.has_ended = true;
}

static enum refusal text_left_state(const struct memcached_text *text)
{
	if (text->may_be_logged_in)
		return REFUSAL_AUTHENTICATED;
	return text->quiet_at ? REFUSAL_UNFINISHED_REPLY : REFUSAL_NONE;
}

static struct session_facts text_facts(const struct protocol_session *session)
{
	const struct memcached_text *text = &session->text;
	bool in_request = memcached_text_in_request(text);

	return (struct session_facts){
		.doubt = text->doubt,
		.left_state = text_left_state(text),
		.is_lost = text->is_lost,
		.has_surplus = text->has_surplus,
		.has_ended = text->has_ended,
		.in_request = in_request,
		.parses_request = text->request_phase != MEMCACHED_DATA,
		.in_reply = text->in_reply,
		.is_settled = memcached_text_is_settled(text),
		/* Which command it will be decides. */
		.wants_fresh = text->doubt != REFUSAL_NONE || !text->has_begun ||
			       (!text->n_sent && text->request_phase == MEMCACHED_LINE && in_request),
		.n_sent = text->n_sent,
		.n_answered = text->n_answered,
		.known_reply = memcached_text_known_reply(text),
	};
}

static const struct session_framing text_framing = {
	.init = text_init,
	.feed_request = text_feed_request,
	.feed_reply = text_feed_reply,
	.pass_reply = text_pass_reply,
	.feed_end = text_feed_end,
	.facts = text_facts,
};

static void text_begin(struct protocol_state *state, bool may_edit)
{
	(void)may_edit; /* nothing is */
	session_begin(state, &text_framing);
}

static void text_relocate(struct protocol_state *state, uintptr_t by)
{
	(void)by; /* nothing else in it points anywhere */
	session_arrive(state, &text_framing);
}

static bool text_measure_request(const char *bytes, size_t length, size_t *end)
{
	return session_measure_request(&text_framing, bytes, length, end);
}

/* Its server wants no logins: that was proven before anybody else got it. */
static void text_resume(struct protocol_state *state)
{
	state->session.text.was_kept = true;
	session_refresh(state);
}

static void text_reset(const struct protocol_state *state, uint64_t nonce, struct fence *fence)
{
	(void)nonce;
	if (state->session.text.may_be_logged_in)
		memcached_fence_settings(fence);
	else
		memcached_fence_version(fence, false);
}

static void text_validate(uint64_t nonce, struct fence *fence)
{
	(void)nonce;
	memcached_fence_version(fence, true);
}

static bool text_is_goodbye(const struct protocol_state *state, const char *bytes, size_t length)
{
	static const char quit[] = "quit\r\n";
	const struct memcached_text *text = &state->session.text;

	return memcached_text_is_settled(text) && text->doubt == REFUSAL_NONE && length == sizeof(quit) - 1 &&
	       memcmp(bytes, quit, length) == 0;
}

static size_t text_farewell(const char *goodbye, char *bytes)
{
	(void)goodbye;
	(void)bytes;
	return 0;
}

const struct protocol memcached = {
	.name = "memcached",
	SESSION_HOOKS,
	.init = text_begin,
	.relocate = text_relocate,
	.classify = memcached_text_classify,
	.measure_request = text_measure_request,
	.resume = text_resume,
	.reset = text_reset,
	.validate = text_validate,
	.write_fence = memcached_fence_write_text,
	.prove = memcached_fence_prove_text,
	.is_goodbye = text_is_goodbye,
	.farewell = text_farewell,
};

static void binary_init(struct protocol_session *session)
{
	memcached_binary_init(&session->binary);
}

static void binary_feed_request(struct protocol_session *session, const char *bytes, size_t length)
{
	memcached_binary_feed_request(&session->binary, bytes, length);
}

static size_t binary_feed_reply(struct protocol_session *session, const char *bytes, size_t length, bool only_one)
{
	return memcached_binary_feed_reply(&session->binary, bytes, length, only_one);
}

static void binary_pass_reply(struct protocol_session *session, uint64_t length)
{
	memcached_binary_pass_reply(&session->binary, length);
}

static void binary_feed_end(struct protocol_session *session)
{
	session->binary.has_ended = true;
}

static struct session_facts binary_facts(const struct protocol_session *session)
{
	const struct memcached_binary *binary = &session->binary;

	return (struct session_facts){
		.doubt = binary->doubt,
		.left_state = binary->quiet ? REFUSAL_UNFINISHED_REPLY : REFUSAL_NONE,
		.is_lost = binary->is_lost,
		.has_surplus = binary->has_surplus,
		.has_ended = binary->has_ended,
		.in_request = memcached_packet_is_open(&binary->request),
		.parses_request = !binary->request.body_left,
		.in_reply = memcached_packet_is_open(&binary->response),
		.is_settled = memcached_binary_is_settled(binary),
		.wants_fresh = binary->doubt != REFUSAL_NONE || !binary->has_begun,
		.n_sent = binary->n_sent,
		.n_answered = binary->n_answered,
		.known_reply = memcached_binary_known_reply(binary),
	};
}

static const struct session_framing binary_framing = {
	.init = binary_init,
	.feed_request = binary_feed_request,
	.feed_reply = binary_feed_reply,
	.pass_reply = binary_pass_reply,
	.feed_end = binary_feed_end,
	.facts = binary_facts,
};

static void binary_begin(struct protocol_state *state, bool may_edit)
{
	(void)may_edit; /* nothing is */
	session_begin(state, &binary_framing);
}

static void binary_relocate(struct protocol_state *state, uintptr_t by)
{
	(void)by; /* nothing else in it points anywhere */
	session_arrive(state, &binary_framing);
}

static bool binary_measure_request(const char *bytes, size_t length, size_t *end)
{
	return session_measure_request(&binary_framing, bytes, length, end);
}

static void binary_reset(const struct protocol_state *state, uint64_t nonce, struct fence *fence)
{
	(void)state;
	memcached_fence_noop(fence, nonce, false);
}

static void binary_validate(uint64_t nonce, struct fence *fence)
{
	memcached_fence_noop(fence, nonce, true);
}

static bool binary_is_goodbye(const struct protocol_state *state, const char *bytes, size_t length)
{
	const struct memcached_binary *binary = &state->session.binary;

	return memcached_binary_is_settled(binary) && binary->doubt == REFUSAL_NONE &&
	       memcached_binary_is_quit(bytes, length);
}

/* The head comes back, as that of an answer. */
static size_t binary_farewell(const char *goodbye, char *bytes)
{
	if (memcached_binary_is_quiet_quit(goodbye))
		return 0;
	memset(bytes, 0, MEMCACHED_HEAD);
	bytes[0] = (char)0x81;
	bytes[1] = goodbye[1];
	memcpy(bytes + 12, goodbye + 12, 4);
	return MEMCACHED_HEAD;
}

const struct protocol memcached_binary = {
	.name = "memcached",
	SESSION_HOOKS,
	.init = binary_begin,
	.relocate = binary_relocate,
	.classify = memcached_binary_classify,
	.measure_request = binary_measure_request,
	.reset = binary_reset,
	.validate = binary_validate,
	.write_fence = memcached_fence_write_binary,
	.prove = memcached_fence_prove_binary,
	.is_goodbye = binary_is_goodbye,
	.farewell = binary_farewell,
};
