/*
 * Plans; see edit.h. Owns the fields close_wanted, edited, inserted, close_left, token_blanked and blank_owed.
 *
 * Blanking is legal (RFC 9110 5.6.1.2: recipients ignore empty list elements) and changes no length, so that every
 * count of bytes which the program sees stays true. An HTTP/1.0 request can't be kept by taking something away, so a
 * field is put in; only where the request line is exact and whole.
 */
#include "pool/proto/http1/edit.h"

#include <string.h>

static const char LINE_END_1_0[] = " HTTP/1.0\r\n";

static bool may_edit_request(const struct framing *framing)
{
	return framing->rewrite && framing->doubt == FRAMING_CANONICAL && !framing->edit_forbidden;
}

static bool has_edit_at(const struct framing_plan *plan, size_t offset)
{
	for (unsigned i = 0; i < plan->n_edits; i++) {
		if (plan->edits[i].offset == offset)
			return true;
	}
	return false;
}

static bool add_edit(struct framing_plan *plan, size_t offset, size_t length)
{
	if (plan->n_edits == FRAMING_MAX_EDITS || offset + length > UINT32_MAX)
		return false;
	plan->edits[plan->n_edits++] = (struct framing_edit){(uint32_t)offset, (uint32_t)length};
	return true;
}

/* The fate of the wish to close, from the head's fields and the edits made. */
static void decide_close(struct framing *framing)
{
	const struct framing_side *request = &framing->request;
	bool persists = request->parser.http_minor > 0 || request->token_keep_alive;

	framing->close_wanted = request->token_close || !persists;
	framing->edited = framing->close_wanted && !framing->close_left && (persists || framing->inserted);
}

static void withdraw_insertion(struct framing_feed *feed)
{
	feed->plan->insert = false;
	feed->plan->insert_offset = 0;
	feed->inserted_here = false;
	feed->framing->inserted = false;
}

/* Takes back what this buffer would do. */
static void withdraw(struct framing_feed *feed)
{
	struct framing *framing = feed->framing;

	if (!feed->inserted_here && feed->plan->n_edits == feed->n_settled)
		return;
	if (feed->inserted_here)
		withdraw_insertion(feed);
	/* The last may be for an element that goes on, or that a folded line has made another word: then it was for no
	 * wish to close. */
	if (feed->plan->n_edits > feed->n_settled && feed->token)
		framing->token_blanked = false;
	feed->plan->n_edits = feed->n_settled;
	if (feed->blanked_here)
		framing->close_left = true;
	/* Not before the head has ended. */
	if (framing->close_wanted)
		decide_close(framing);
}

void edit_begin_buffer(struct framing_feed *feed)
{
	size_t owed = feed->framing->blank_owed;

	if (owed > (size_t)(feed->end - feed->bytes))
		owed = (size_t)(feed->end - feed->bytes);
	if (owed > 0)
		add_edit(feed->plan, 0, owed);
	feed->framing->blank_owed -= (uint8_t)owed;
	feed->n_settled = feed->plan->n_edits;
}

/* A part of a buffer was sent, and its end cuts an edit, or comes before what ends the token: the wire has a blanked
 * token, or half of one. */
static void owe_rest(struct framing_feed *feed, const struct framing_edit *edit)
{
	size_t length = (size_t)(feed->end - feed->bytes);
	size_t edit_end = (size_t)edit->offset + edit->length;

	if (!feed->token || feed->token != feed->bytes + edit->offset)
		return;
	feed->framing->token_blanked = true;
	if (edit_end > length)
		feed->framing->blank_owed = (uint8_t)(edit_end - length);
}

void edit_end_buffer(struct framing_feed *feed)
{
	if (feed->carried_out) {
		for (unsigned i = 0; i < feed->carried_out->n_edits; i++) {
			if (feed->carried_out->edits[i].offset < feed->end - feed->bytes)
				owe_rest(feed, &feed->carried_out->edits[i]);
		}
	}
	if (!may_edit_request(feed->framing))
		withdraw(feed);
}

void edit_begin_request(struct framing_feed *feed, const char *bytes)
{
	struct framing *framing = feed->framing;
	const size_t tail = sizeof LINE_END_1_0 - 1;
	const char *lf;
	size_t offset;

	framing->close_left = framing->token_blanked = framing->inserted = false;
	framing->edit_forbidden = framing->upgrade_offered;
	framing->close_wanted = framing->edited = framing->close_shown = false;

	lf = memchr(bytes, '\n', (size_t)(feed->end - bytes));
	if (!lf || (size_t)(lf + 1 - bytes) <= tail || memcmp(lf + 1 - tail, LINE_END_1_0, tail) != 0)
		return;
	offset = (size_t)(lf + 1 - feed->bytes);
	if (feed->carried_out) {
		framing->inserted = feed->carried_out->insert && feed->carried_out->insert_offset == offset;
	} else if (may_edit_request(framing) && offset <= UINT32_MAX) {
		feed->plan->insert = true;
		feed->plan->insert_offset = (uint32_t)offset;
		feed->inserted_here = true;
		framing->inserted = true;
	}
}

static void consider_response_token(struct framing_feed *feed)
{
	struct framing *framing = feed->framing;

	/* Interim responses say nothing about the connection, and with several outstanding only the last closes it. */
	if (!framing->edited || framing->n_outstanding != 1 || feed->side->parser.status_code < 200)
		return;
	if (framing_element_is(feed->side, "keep-alive")) {
		framing->close_shown =
			add_edit(feed->plan, (size_t)(feed->token - feed->bytes), feed->side->value_length);
		feed->token = NULL;
	}
}

void edit_consider_token(struct framing_feed *feed)
{
	struct framing *framing = feed->framing;
	size_t offset;

	if (!feed->token)
		return;
	if (!framing_is_request(feed)) {
		consider_response_token(feed);
		return;
	}
	if (framing->token_blanked || !framing_element_is(feed->side, "close"))
		return;
	offset = (size_t)(feed->token - feed->bytes);
	if (feed->carried_out)
		framing->token_blanked = has_edit_at(feed->carried_out, offset);
	else if (may_edit_request(framing))
		framing->token_blanked = add_edit(feed->plan, offset, feed->side->value_length);
}

void edit_end_close_token(struct framing_feed *feed)
{
	if (!framing_is_request(feed))
		return;
	if (!feed->framing->token_blanked)
		feed->framing->close_left = true;
	else if (feed->token)
		feed->blanked_here = true;
	feed->framing->token_blanked = false;
}

void edit_end_head(struct framing_feed *feed)
{
	const struct framing_side *request = &feed->framing->request;

	/* A 1.0 program that asks to be kept itself needs nothing, and against a close that went out nothing helps. */
	if (feed->inserted_here && ((request->token_keep_alive && !request->token_close) || feed->framing->close_left))
		withdraw_insertion(feed);
	decide_close(feed->framing);
}

/* A server that keeps connections without saying so would have said `close` (RFC 9112 9.6), and that is put before the
 * empty line, if all of it is in this buffer. close_shown does not tell of it, since not every owner can carry it out.
 *
 * It is left out where it might have been left out: in an answer to HTTP/1.0, and by a server that leaves out the date,
 * too (RFC 9110 6.6.1). */
void edit_end_answer_head(struct framing_feed *feed)
{
	const size_t empty_line = strlen("\r\n");
	const struct framing *framing = feed->framing;
	size_t end = (size_t)(feed->head_end - feed->bytes);

	if (!framing->edited || framing->n_outstanding != 1 || framing->close_shown ||
	    framing->request.parser.http_minor == 0 || !feed->side->has_date ||
	    framing->server_closes != FRAMING_STAYS || framing->doubt != FRAMING_CANONICAL || end < empty_line ||
	    end > UINT32_MAX)
		return;
	feed->plan->insert = true;
	feed->plan->insert_offset = (uint32_t)(end - empty_line);
}
