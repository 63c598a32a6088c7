/*
 * Framing: feeds the bytes of both directions to whatever phase each is in, begins and ends messages, and answers the
 * questions of framing.h. Owns the queue of outstanding requests; refuses to guess once a direction is lost.
 */
#include "pool/proto/http1/framing.h"

#include <string.h>

#include "pool/proto/http1/edit.h"

void framing_init(struct framing *framing, bool rewrite)
{
	memset(framing, 0, sizeof *framing);
	framing->rewrite = rewrite;
	framing->keep_alive_max = UINT32_MAX;
}

void framing_restart(struct framing *framing, bool rewrite)
{
	enum framing_doubt doubt = framing->doubt;
	bool lost = framing->lost;

	framing_init(framing, rewrite);
	framing->doubt = doubt;
	framing->lost = lost;
}

enum framing_first framing_classify_first(const char *bytes, size_t length)
{
#define METHOD_NAME(number, name, string) #string " ",
	static const char METHODS[][sizeof("UNSUBSCRIBE ")] = {HTTP_METHOD_MAP(METHOD_NAME)};
#undef METHOD_NAME
	static const char SAFE[][sizeof("OPTIONS ")] = {"GET ", "HEAD ", "OPTIONS ", "TRACE "};
	size_t n_letters = 0;

	if (length == 0)
		return FRAMING_FIRST_PARTIAL;
	for (size_t i = 0; i < sizeof SAFE / sizeof SAFE[0]; i++) {
		if (length >= strlen(SAFE[i]) && memcmp(bytes, SAFE[i], strlen(SAFE[i])) == 0)
			return FRAMING_FIRST_SAFE;
	}
	for (size_t i = 0; i < sizeof METHODS / sizeof METHODS[0]; i++) {
		size_t n = strlen(METHODS[i]);
		if (memcmp(bytes, METHODS[i], length < n ? length : n) == 0)
			return length < n ? FRAMING_FIRST_PARTIAL : FRAMING_FIRST_UNSAFE;
	}
	while (n_letters < length && bytes[n_letters] >= 'A' && bytes[n_letters] <= 'Z')
		n_letters++;
	return n_letters > 0 && n_letters < length && bytes[n_letters] == ' ' ? FRAMING_FIRST_UNSAFE
									      : FRAMING_FIRST_UNKNOWN;
}

static void note_surplus(struct framing *framing, struct framing_side *side)
{
	framing->surplus = true;
	framing_lose(framing, side, FRAMING_DOUBT_NOT_CANONICAL);
}

/* Empty lines before a message: some programs end a body with one (RFC 9112 2.2). */
static bool skip_empty_line(struct framing *framing, char first)
{
	if (first != '\r' && first != '\n')
		return false;
	framing_raise(framing, FRAMING_DOUBT_NOT_CANONICAL);
	return true;
}

static size_t begin_request(struct framing_feed *feed, const char *bytes)
{
	struct framing *framing = feed->framing;

	/* After a request that wanted close a bare server would read no more (RFC 9112 9.6): whatever this is, the
	 * exchange ends with the answer to that. */
	if (framing->close_wanted) {
		framing_raise(framing, FRAMING_DOUBT_NOT_CANONICAL);
		framing->unrepeatable = true;
		framing->sent_behind = true;
		framing_enter(feed->side, FRAMING_PHASE_OPAQUE);
		return 0;
	}
	if (skip_empty_line(framing, *bytes))
		return 1;
	if (framing->n_outstanding == FRAMING_MAX_OUTSTANDING) {
		framing_lose(framing, feed->side, FRAMING_DOUBT_NOT_CANONICAL);
		return 0;
	}
	framing->n_outstanding++;
	framing->response_ended = false;
	edit_begin_request(feed, bytes);
	http1_begin_head(feed->side, HTTP_REQUEST);
	return 0;
}

static size_t begin_response(struct framing_feed *feed, const char *bytes)
{
	if (feed->framing->n_outstanding == 0) {
		note_surplus(feed->framing, feed->side);
		return 0;
	}
	feed->framing->response_started = true;
	if (skip_empty_line(feed->framing, *bytes))
		return 1;
	http1_begin_head(feed->side, HTTP_RESPONSE);
	return 0;
}

static void skip_body(struct framing *framing, struct framing_side *side, uint64_t length)
{
	side->body_remaining -= length;
	if (side->body_remaining == 0)
		framing_end_message(framing, side);
}

static size_t advance_length(struct framing_feed *feed, size_t length)
{
	if (length > feed->side->body_remaining)
		length = (size_t)feed->side->body_remaining;
	skip_body(feed->framing, feed->side, length);
	return length;
}

static size_t advance(struct framing_feed *feed, const char *bytes, size_t length)
{
	switch (feed->side->phase) {
	case FRAMING_PHASE_BETWEEN:
		return framing_is_request(feed) ? begin_request(feed, bytes) : begin_response(feed, bytes);
	case FRAMING_PHASE_HEAD:
		return http1_advance_head(feed, bytes, length);
	case FRAMING_PHASE_LENGTH:
		return advance_length(feed, length);
	case FRAMING_PHASE_CHUNKED:
		return chunked_advance(feed, bytes, length);
	case FRAMING_PHASE_UNTIL_CLOSE:
	case FRAMING_PHASE_OPAQUE:
		break;
	}
	return length;
}

static void advance_all(struct framing_feed *feed)
{
	const char *at = feed->bytes;

	while (at < feed->end)
		at += advance(feed, at, (size_t)(feed->end - at));
}

static void feed_request(struct framing *framing, const char *bytes, size_t length, struct framing_plan *plan,
			 const struct framing_plan *carried_out)
{
	struct framing_plan unused;
	struct framing_feed feed = {
		.framing = framing,
		.side = &framing->request,
		.bytes = bytes,
		.end = bytes + length,
		.plan = plan ? plan : &unused,
		.carried_out = carried_out,
	};

	*feed.plan = (struct framing_plan){0};
	if (length == 0)
		return;
	edit_begin_buffer(&feed);
	advance_all(&feed);
	edit_end_buffer(&feed);
}

void framing_feed_request(struct framing *framing, const char *bytes, size_t length, struct framing_plan *plan)
{
	feed_request(framing, bytes, length, plan, NULL);
}

void framing_feed_request_part(struct framing *framing, const char *bytes, size_t length,
			       const struct framing_plan *carried_out)
{
	feed_request(framing, bytes, length, NULL, carried_out);
}

void framing_feed_response(struct framing *framing, const char *bytes, size_t length, struct framing_plan *plan)
{
	struct framing_plan unused;
	struct framing_feed feed = {
		.framing = framing,
		.side = &framing->response,
		.bytes = bytes,
		.end = bytes + length,
		.plan = plan ? plan : &unused,
	};

	*feed.plan = (struct framing_plan){0};
	advance_all(&feed);
}

size_t framing_feed_answer(struct framing *framing, const char *bytes, size_t length, struct framing_plan *plan)
{
	struct framing_feed feed = {
		.framing = framing,
		.side = &framing->response,
		.bytes = bytes,
		.end = bytes + length,
		.plan = plan,
	};
	unsigned n_due = framing->n_outstanding;
	const char *at = bytes;

	*plan = (struct framing_plan){0};
	while (at < feed.end && framing->n_outstanding == n_due)
		at += advance(&feed, at, (size_t)(feed.end - at));
	return (size_t)(at - bytes);
}

bool framing_measure_request(const char *bytes, size_t length, size_t *end)
{
	struct framing scratch;
	struct framing_plan unused;
	struct framing_feed feed = {
		.framing = &scratch, .side = &scratch.request, .bytes = bytes, .end = bytes + length, .plan = &unused};
	const char *at = bytes;

	framing_init(&scratch, false);
	while (at < feed.end && !(scratch.n_outstanding && !scratch.request.in_message))
		at += advance(&feed, at, (size_t)(feed.end - at));
	*end = scratch.request.in_message ? 0 : (size_t)(at - bytes);
	return scratch.n_outstanding;
}

void framing_feed_response_end(struct framing *framing)
{
	struct framing_side *side = &framing->response;

	if (framing->server_closes == FRAMING_STAYS)
		framing->server_closes = FRAMING_SAYS_CLOSE;
	if (side->phase == FRAMING_PHASE_UNTIL_CLOSE)
		framing_end_message(framing, side);
	else if (side->in_message)
		framing_raise(framing, FRAMING_DOUBT_NOT_CANONICAL);
}

static uint64_t get_skippable(const struct framing_side *side)
{
	return side->phase == FRAMING_PHASE_LENGTH ? side->body_remaining : 0;
}

static void skip(struct framing *framing, struct framing_side *side, uint64_t length)
{
	if (length > get_skippable(side))
		framing_lose(framing, side, FRAMING_DOUBT_ERROR);
	else if (length > 0)
		skip_body(framing, side, length);
}

uint64_t framing_skippable_request(const struct framing *framing)
{
	return get_skippable(&framing->request);
}

uint64_t framing_skippable_response(const struct framing *framing)
{
	return get_skippable(&framing->response);
}

uint64_t framing_known_response(const struct framing *framing)
{
	const struct framing_side *side = &framing->response;

	switch (side->phase) {
	case FRAMING_PHASE_BETWEEN:
	case FRAMING_PHASE_HEAD:
		break;
	case FRAMING_PHASE_LENGTH:
		return side->body_remaining;
	case FRAMING_PHASE_CHUNKED:
		return chunked_known(side);
	case FRAMING_PHASE_UNTIL_CLOSE:
	case FRAMING_PHASE_OPAQUE:
		return UINT64_MAX;
	}
	return 0;
}

void framing_pass_response(struct framing *framing, uint64_t length)
{
	struct framing_side *side = &framing->response;

	if (length > framing_known_response(framing))
		framing_lose(framing, side, FRAMING_DOUBT_ERROR);
	else if (side->phase == FRAMING_PHASE_LENGTH)
		skip_body(framing, side, length);
	else if (side->phase == FRAMING_PHASE_CHUNKED)
		chunked_pass(side, length);
}

void framing_skip_request(struct framing *framing, uint64_t length)
{
	skip(framing, &framing->request, length);
}

void framing_skip_response(struct framing *framing, uint64_t length)
{
	skip(framing, &framing->response, length);
}

bool framing_at_boundary(const struct framing *framing)
{
	return framing->response_ended && !framing->lost && !framing->surplus && !framing->request.in_message &&
	       !framing->response.in_message;
}

bool framing_can_keep(const struct framing *framing)
{
	return framing_at_boundary(framing) && framing->doubt == FRAMING_CANONICAL && !framing->server_closes &&
	       (!framing->close_wanted || framing->edited);
}

bool framing_is_behind_last(const struct framing *framing)
{
	return framing->edited && framing->close_wanted && !framing->response_ended && !framing->upgrade_offered &&
	       !framing_has_more_to_send(framing);
}

bool framing_has_more_to_send(const struct framing *framing)
{
	return framing->request.in_message && !framing->sent_behind;
}

bool framing_takes_more(const struct framing *framing)
{
	return framing->doubt == FRAMING_CANONICAL && !framing->request.in_message && framing_can_replay(framing) &&
	       framing->request.parser.http_minor > 0 && !framing->upgrade_offered && !framing->expect_continue &&
	       !framing->close_left && (!framing->close_wanted || framing->edited) && !framing->server_closes;
}

bool framing_has_surplus(const struct framing *framing)
{
	return framing->surplus;
}

bool framing_server_may_wait(const struct framing *framing)
{
	const struct framing_side *side = &framing->response;

	return framing->edited && framing->close_wanted && side->phase == FRAMING_PHASE_UNTIL_CLOSE &&
	       !side->token_close && (side->parser.http_minor || side->token_keep_alive);
}

bool framing_can_replay(const struct framing *framing)
{
	return !framing->unrepeatable && !framing->unsafe_outstanding;
}
