/* See session.h. */
#include "pool/proto/session.h"

static const struct session_framing *framing_of(const struct protocol_state *state)
{
	return state->session.framing;
}

static enum refusal refusal_of(const struct session_facts *facts)
{
	if (facts->doubt != REFUSAL_NONE)
		return facts->doubt;
	if (facts->has_ended)
		return REFUSAL_SERVER_CLOSE;
	if (!facts->n_sent)
		return REFUSAL_CLIENT_CLOSE;
	return facts->is_settled ? REFUSAL_NONE : REFUSAL_UNFINISHED_REPLY;
}

static struct protocol_status status_of(const struct session_facts *facts)
{
	bool is_done = facts->is_settled && facts->n_sent;

	return (struct protocol_status){
		.refusal = refusal_of(facts),
		.doubt = facts->doubt,
		.left_state = facts->left_state,
		.is_lost = facts->is_lost,
		.at_boundary = is_done,
		.has_surplus = facts->has_surplus,
		.server_ends = facts->has_ended,
		.keep_alive_s = facts->keep_alive_s,
		.requests_left = UINT32_MAX,
		.n_requests = facts->n_sent < UINT32_MAX ? (unsigned)facts->n_sent : UINT32_MAX,
		/* Whoever asks for the end knows that it will come. */
		.end_is_shown = true,
		.in_request = facts->in_request,
		.has_more_to_send = facts->in_request,
		.parses_request = facts->parses_request,
		.awaits_answer = facts->n_sent > facts->n_answered,
		.n_awaited = (unsigned)(facts->n_sent - facts->n_answered),
		.wants_fresh = facts->wants_fresh,
		.answer_started = facts->in_reply,
		.answer_ended = is_done,
		.in_answer = facts->in_reply,
		.in_answer_head = facts->in_reply && !facts->known_reply,
		.known_answer = facts->known_reply,
	};
}

void session_refresh(struct protocol_state *state)
{
	struct session_facts facts = framing_of(state)->facts(&state->session);

	state->session.status = status_of(&facts);
}

void session_begin(struct protocol_state *state, const struct session_framing *framing)
{
	state->session.framing = framing;
	framing->init(&state->session);
	session_refresh(state);
}

void session_arrive(struct protocol_state *state, const struct session_framing *framing)
{
	state->session.framing = framing;
}

void session_feed_request(struct protocol_state *state, struct framing_memo *memo, const char *bytes, size_t length,
			  struct framing_plan *plan)
{
	(void)memo;
	if (plan)
		*plan = (struct framing_plan){0};
	framing_of(state)->feed_request(&state->session, bytes, length);
	session_refresh(state);
}

void session_feed_request_part(struct protocol_state *state, const char *bytes, size_t length,
			       const struct framing_plan *carried_out)
{
	(void)carried_out;
	framing_of(state)->feed_request(&state->session, bytes, length);
	session_refresh(state);
}

void session_feed_response(struct protocol_state *state, struct framing_memo *memo, const char *bytes, size_t length,
			   struct framing_plan *plan)
{
	(void)memo;
	if (plan)
		*plan = (struct framing_plan){0};
	framing_of(state)->feed_reply(&state->session, bytes, length, false);
	session_refresh(state);
}

size_t session_feed_answer(struct protocol_state *state, const char *bytes, size_t length, struct framing_plan *plan)
{
	if (plan)
		*plan = (struct framing_plan){0};
	length = framing_of(state)->feed_reply(&state->session, bytes, length, true);
	session_refresh(state);
	return length;
}

bool session_measure_request(const struct session_framing *framing, const char *bytes, size_t length, size_t *end)
{
	struct protocol_session scratch;
	struct session_facts facts;

	framing->init(&scratch);
	facts = framing->facts(&scratch);
	*end = 0;
	for (size_t i = 0; i < length && !facts.is_lost; i++) {
		framing->feed_request(&scratch, bytes + i, 1);
		facts = framing->facts(&scratch);
		if (facts.n_sent) {
			*end = i + 1;
			return true;
		}
	}
	return facts.in_request && !facts.is_lost;
}

void session_feed_end(struct protocol_state *state)
{
	framing_of(state)->feed_end(&state->session);
	session_refresh(state);
}

void session_pass_request(struct protocol_state *state, uint64_t length)
{
	(void)state; /* each byte has to be looked at: there is no such length */
	(void)length;
}

void session_pass_response(struct protocol_state *state, uint64_t length)
{
	framing_of(state)->pass_reply(&state->session, length);
	session_refresh(state);
}

void session_forbid_edits(struct protocol_state *state)
{
	(void)state; /* there are none */
}
