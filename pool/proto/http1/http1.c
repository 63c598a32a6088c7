/*
 * HTTP/1 as the first entry of the table of protocols (pool/proto/protocol.h): what the table asks, in terms of
 * framing.h.
 */
#include "pool/proto/http1/http1.h"

#include <string.h>

#include "pool/proto/http1/memo.h"
#include "pool/proto/http1/relocate.h"

static const char wish[] = "close";
static const char insertion[] = "Connection: keep-alive\r\n";
static const char end_field[] = "Connection: close\r\n";
_Static_assert(sizeof(insertion) - 1 <= PROTOCOL_INSERTION_MAX, "room for it is planned");
_Static_assert(sizeof(end_field) - 1 <= PROTOCOL_INSERTION_MAX, "room for it is planned");

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

static size_t feed_answer(struct protocol_state *state, const char *bytes, size_t length, struct framing_plan *plan)
{
	return framing_feed_answer(&state->http1, bytes, length, plan);
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

/* RFC 9110 15.5.9: a 408 to nobody's request. */
static bool is_late_goodbye(const char *bytes, size_t length)
{
	static const char status[] = "HTTP/1.x 408";

	return length >= sizeof(status) - 1 && memcmp(bytes, status, 7) == 0 && memcmp(bytes + 8, status + 8, 4) == 0;
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
	.end_field = end_field,
	.end_field_length = sizeof(end_field) - 1,
	.classify = framing_classify_first,
	.init = init,
	.feed_request = feed_request,
	.feed_request_part = feed_request_part,
	.feed_response = feed_response,
	.feed_answer = feed_answer,
	.measure_request = framing_measure_request,
	.feed_end = feed_end,
	.pass_request = pass_request,
	.pass_response = pass_response,
	.forbid_edits = forbid_edits,
	.is_late_goodbye = is_late_goodbye,
	.relocate = relocate,
	/* Every request carries all that counts for it: nothing has to be undone, and an end of file is farewell
	   enough. */
};
