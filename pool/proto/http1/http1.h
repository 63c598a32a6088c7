/*
 * HTTP/1 as the first entry of the table of protocols (pool/proto/protocol.h). Its status is inline, see there.
 */
#pragma once

#include "pool/proto/entry.h"
#include "pool/proto/http1/framing.h"

extern const struct protocol http1;

static inline enum refusal http1_refusal_of_doubt(enum framing_doubt doubt)
{
	if (__builtin_expect(doubt == FRAMING_CANONICAL, 1))
		return REFUSAL_NONE;
	switch (doubt) {
	case FRAMING_CANONICAL:
		break;
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

static inline enum refusal http1_refusal_of_close(enum framing_close why)
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

static inline enum refusal http1_refusal_of(const struct framing *framing)
{
	if (framing->doubt != FRAMING_CANONICAL)
		return http1_refusal_of_doubt(framing->doubt);
	if (!framing_at_boundary(framing))
		return REFUSAL_CLIENT_CLOSE;
	return framing_can_keep(framing) ? REFUSAL_NONE : http1_refusal_of_close(framing->server_closes);
}

static inline __attribute__((always_inline)) struct protocol_status http1_status(const struct framing *framing)
{
	const struct framing_side *request = &framing->request, *response = &framing->response;

	return (struct protocol_status){
		.refusal = http1_refusal_of(framing),
		.doubt = http1_refusal_of_doubt(framing->doubt),
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
		.n_awaited = framing->n_outstanding,
		.awaits_go_ahead = framing->expect_continue,
		.takes_more = framing_takes_more(framing),
		.skippable_request = framing_skippable_request(framing),
		.answer_started = framing->response_started,
		.answer_ended = framing->response_ended,
		.answer_status = response->parser.status_code,
		.in_answer = response->in_message,
		.in_answer_head = response->in_head,
		.skippable_answer = framing_skippable_response(framing),
		.known_answer = framing_known_response(framing),
	};
}
