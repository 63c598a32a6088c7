/*
 * Shared by the parts of framing: framing.c (messages and queries), state.c (changes of phase), head.c (heads, by
 * llhttp), fields.c (what a head's fields say), strict.c (the strict grammar of heads), chunked.c (the chunked coding)
 * and edit.c (plans). Nobody else includes this.
 */
#pragma once

#include <string.h>

#include "pool/proto/http1/framing.h"

/* One call of a framing_feed_...() function. */
struct framing_feed {
	struct framing *framing;
	struct framing_side *side;
	const char *bytes; /* the buffer being fed */
	const char *end;
	struct framing_plan *plan;		/* where edits go */
	const struct framing_plan *carried_out; /* what was decided before; NULL: decide */
	const char *token;    /* where the list element in progress begins; NULL: in an earlier buffer */
	const char *head_end; /* behind the head that ended last */
	unsigned n_settled;   /* edits of `plan` that finish earlier ones: not to be withdrawn */
	bool inserted_here;   /* plan->insert was decided by this call */
	bool blanked_here;    /* so was the edit of a wish to close, which is whole */
};

enum framing_coding { FRAMING_CODING_NONE, FRAMING_CODING_IDENTITY, FRAMING_CODING_CHUNKED, FRAMING_CODING_OTHER };

static inline bool framing_is_request(const struct framing_feed *feed)
{
	return feed->side == &feed->framing->request;
}

/* Whether the list element in progress is `text`, which is in lower case. */
static inline bool framing_element_is(const struct framing_side *side, const char *text)
{
	size_t length = strlen(text);

	return side->value_length == length && memcmp(side->value, text, length) == 0;
}

/* state.c: notes why the connection can't be kept, if nothing was noted before. */
void framing_raise(struct framing *framing, enum framing_doubt doubt);

/* state.c: gives up on one direction: the ends of its messages are not known any more. */
void framing_lose(struct framing *framing, struct framing_side *side, enum framing_doubt doubt);

/* state.c: the only places where a direction's phase changes. */
void framing_enter(struct framing_side *side, enum framing_phase phase);
void framing_end_message(struct framing *framing, struct framing_side *side);

/* head.c: makes `side` ready for a message's first byte. */
void http1_begin_head(struct framing_side *side, llhttp_type_t type);

/* Each of these consumes bytes of one phase from the front of [bytes, bytes + length), length > 0, and returns how
 * many; 0 only if it changed a state that makes the next call consume some. */
size_t http1_advance_head(struct framing_feed *feed, const char *bytes, size_t length);
size_t chunked_advance(struct framing_feed *feed, const char *bytes, size_t length);

/* chunked.c: what remains of a chunk's data, 0 outside of it; so many of those have come. */
uint64_t chunked_known(const struct framing_side *side);
void chunked_pass(struct framing_side *side, uint64_t length);

/* fields.c: a field's name is complete; bytes of its value; its value is complete. */
void fields_begin_value(struct framing_feed *feed);
void fields_add_value(struct framing_feed *feed, const char *bytes, size_t length);
void fields_end_value(struct framing_feed *feed);

/* strict.c: what the strict grammar expects next. */
enum strict_state {
	STRICT_BROKEN,	     /* it was violated */
	STRICT_START_BROKEN, /* in the start line: reported at its end, since it may yet prove to be no HTTP at all */
	STRICT_METHOD,
	STRICT_TARGET,
	STRICT_REQUEST_VERSION,
	STRICT_RESPONSE_VERSION,
	STRICT_STATUS,
	STRICT_REASON,
	STRICT_START_LF,
	STRICT_LINE, /* at the start of a field line */
	STRICT_NAME,
	STRICT_VALUE,
	STRICT_VALUE_LF,
	STRICT_END_LF,
	STRICT_END, /* the head (or the trailers) ended */
};

/* Checks the next bytes of a head (RFC 9112 3, 4, 5; RFC 9110 5.5, 5.6.2) by side->strict. Returns how many bytes are
 * in order: all, or those up to the end of the head (STRICT_END) or up to the violation (STRICT_BROKEN). */
size_t strict_scan(struct framing_side *side, const char *bytes, size_t length);
