/*
 * HTTP/1 as the first entry of the table of protocols (pool/proto/protocol.h): what the table asks, in terms of
 * framing.h.
 */
#include <string.h>

#include "pool/proto/http1/memo.h"
#include "pool/proto/http1/relocate.h"
#include "pool/proto/protocol.h"

static const char wish[] = "close";
static const char insertion[] = "Connection: keep-alive\r\n";

static void init(struct protocol_state *state, bool may_edit)
{
	framing_init(&state->http1, may_edit);
}

static void feed_request(struct protocol_state *state, struct framing_memo *memo, const char *bytes, size_t length,
			 struct framing_plan *plan)
{
	if (memo && plan)
		framing_memo_feed_request(memo, &state->http1, bytes, length, plan);
	else
		framing_feed_request(&state->http1, bytes, length, plan);
}

static void feed_request_part(struct protocol_state *state, const char *bytes, size_t length,
			      const struct framing_plan *carried_out)
{
	framing_feed_request_part(&state->http1, bytes, length, carried_out);
}

static void feed_response(struct protocol_state *state, struct framing_memo *memo, const char *bytes, size_t length,
			  struct framing_plan *plan)
{
	if (memo && plan)
		framing_memo_feed_response(memo, &state->http1, bytes, length, plan);
	else
		framing_feed_response(&state->http1, bytes, length, plan);
}

static void feed_end(struct protocol_state *state)
{
	framing_feed_response_end(&state->http1);
}

static void pass_request(struct protocol_state *state, uint64_t length)
{
	framing_skip_request(&state->http1, length);
}

static void pass_response(struct protocol_state *state, uint64_t length)
{
	if (length)
		framing_pass_response(&state->http1, length);
}

static void forbid_edits(struct protocol_state *state)
{
	state->http1.rewrite = false;
}

static enum refusal refusal_of_doubt(enum framing_doubt doubt)
{
	switch (doubt) {
	case FRAMING_CANONICAL:
		return REFUSAL_NONE;
	case FRAMING_DOUBT_NOT_CANONICAL:
		return REFUSAL_NOT_CANONICAL;
	case FRAMING_DOUBT_UPGRADE:
		return REFUSAL_UPGRADE;
	case FRAMING_DOUBT_AUTH_BOUND:
		return REFUSAL_AUTH_BOUND;
	case FRAMING_DOUBT_UNKNOWN_PROTOCOL:
		return REFUSAL_UNKNOWN_PROTOCOL;
	case FRAMING_DOUBT_ERROR:
		return REFUSAL_ERROR;
	}
	return REFUSAL_ERROR;
}

static enum refusal refusal_of_close(enum framing_close why)
{
	switch (why) {
	case FRAMING_HTTP10:
		return REFUSAL_HTTP10;
	case FRAMING_UNTIL_END:
		return REFUSAL_NO_FRAMING;
	case FRAMING_STAYS: /* it was asked to close, and will */
	case FRAMING_SAYS_CLOSE:
		return REFUSAL_SERVER_CLOSE;
	}
	return REFUSAL_SERVER_CLOSE;
}

static enum refusal refusal_of(const struct framing *framing)
{
	if (framing->doubt != FRAMING_CANONICAL)
		return refusal_of_doubt(framing->doubt);
	if (!framing_at_boundary(framing))
		return REFUSAL_CLIENT_CLOSE;
	return framing_can_keep(framing) ? REFUSAL_NONE : refusal_of_close(framing->server_closes);
}

static void read_status(const struct protocol_state *state, struct protocol_status *status)
{
	const struct framing *framing = &state->http1;
	const struct framing_side *request = &framing->request, *response = &framing->response;

	*status = (struct protocol_status){
		.refusal = refusal_of(framing),
		.doubt = refusal_of_doubt(framing->doubt),
		.is_lost = framing->lost,
		.at_boundary = framing_at_boundary(framing),
		.has_surplus = framing_has_surplus(framing),
		.server_ends = framing->server_closes != FRAMING_STAYS,
		.server_may_wait = framing_server_may_wait(framing),
		.keep_alive_s = framing->keep_alive_timeout_s,
		.requests_left = framing->keep_alive_max,
		.n_requests = framing->n_requests,
		.wants_end = framing->close_wanted,
		.owes_end = framing->edited && !framing->response_ended,
		.end_is_due = framing->edited && framing->response_ended,
		.end_is_shown = framing->close_shown,
		.may_edit = framing->rewrite,
		.can_replay = framing_can_replay(framing),
		.in_request = request->in_message,
		.has_more_to_send = framing_has_more_to_send(framing),
		.parses_request = !request->in_message || request->in_head || request->phase == FRAMING_PHASE_CHUNKED,
		.is_behind_last = framing_is_behind_last(framing),
		.awaits_answer = framing->n_outstanding > 0,
		.awaits_go_ahead = framing->expect_continue,
		.skippable_request = framing_skippable_request(framing),
		.answer_started = framing->response_started,
		.answer_ended = framing->response_ended,
		.in_answer = response->in_message,
		.in_answer_head = response->in_head,
		.skippable_answer = framing_skippable_response(framing),
		.known_answer = framing_known_response(framing),
	};
}

/* RFC 9110 15.5.9: a 408 to nobody's request. */
static bool is_late_goodbye(const char *bytes, size_t length)
{
	static const char status[] = "HTTP/1.x 408";

	return length >= sizeof(status) - 1 && memcmp(bytes, status, 7) == 0 && memcmp(bytes + 8, status + 8, 4) == 0;
}

static bool wants_fresh(const char *bytes, size_t length)
{
	enum framing_first first = framing_classify_first(bytes, length);

	return first != FRAMING_FIRST_SAFE && first != FRAMING_FIRST_UNSAFE;
}

static void relocate(struct protocol_state *state, uintptr_t by)
{
	framing_relocate(&state->http1, by);
}

const struct protocol http1 = {
	.name = "http/1",
	.wish = wish,
	.wish_length = sizeof(wish) - 1,
	.insertion = insertion,
	.insertion_length = sizeof(insertion) - 1,
	.classify = framing_classify_first,
	.init = init,
	.feed_request = feed_request,
	.feed_request_part = feed_request_part,
	.feed_response = feed_response,
	.feed_end = feed_end,
	.pass_request = pass_request,
	.pass_response = pass_response,
	.forbid_edits = forbid_edits,
	.read_status = read_status,
	.is_late_goodbye = is_late_goodbye,
	.wants_fresh = wants_fresh,
	.relocate = relocate,
	/* Every request carries all that counts for it: nothing has to be undone, and an end of file is farewell
	   enough. */
};
