/*
 * The chunked transfer coding (RFC 9112 7.1): finds its end leniently and reports every deviation.
 *
 * Not llhttp's: its loose build skips whatever two bytes follow a chunk, and refuses the spaces that some servers put
 * after a chunk's size. Here a size line ends at its LF and everything after the digits is an extension, as in the
 * clients that we must agree with; but only the strict form may be kept.
 */
#include "pool/proto/http1/private.h"

enum chunk_state {
	CHUNK_SIZE, /* begin_head() leaves this: the first digit of the first size */
	CHUNK_EXTENSION,
	CHUNK_SIZE_LF,
	CHUNK_DATA,
	CHUNK_DATA_CR,
	CHUNK_DATA_LF,
	CHUNK_TRAILER_LINE, /* at the start of a trailer line */
	CHUNK_TRAILER_END,  /* after a CR there */
	CHUNK_TRAILER,	    /* within one */
};

#define MAX_CHUNK_DIGITS 16

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The size line's LF has come. */
static enum chunk_state end_size(struct framing_side *side)
{
	side->n_chunk_digits = 0;
	if (side->body_remaining > 0)
		return CHUNK_DATA;
	side->strict = STRICT_LINE;
	return CHUNK_TRAILER_LINE;
}

static enum chunk_state step_size(struct framing_feed *feed, char c)
{
	struct framing_side *side = feed->side;
	int digit = hex_value(c);

	if (digit >= 0) {
		if (side->n_chunk_digits == 0)
			side->body_remaining = 0;
		if (side->n_chunk_digits < MAX_CHUNK_DIGITS)
			side->n_chunk_digits++;
		else
			framing_raise(feed->framing, FRAMING_DOUBT_NOT_CANONICAL);
		if (side->body_remaining > UINT64_MAX >> 4)
			framing_lose(feed->framing, side, FRAMING_DOUBT_ERROR);
		side->body_remaining = side->body_remaining << 4 | (unsigned)digit;
		return CHUNK_SIZE;
	}
	if (side->n_chunk_digits == 0) {
		framing_lose(feed->framing, side, FRAMING_DOUBT_ERROR);
		return CHUNK_SIZE;
	}
	if (c == '\r')
		return CHUNK_SIZE_LF;
	if (c == ';')
		return CHUNK_EXTENSION;
	framing_raise(feed->framing, FRAMING_DOUBT_NOT_CANONICAL);
	return c == '\n' ? end_size(side) : CHUNK_EXTENSION;
}

static enum chunk_state step_extension(struct framing_feed *feed, char c)
{
	if (c == '\r')
		return CHUNK_SIZE_LF;
	if (((unsigned char)c < ' ' && c != '\t') || c == 0x7f)
		framing_raise(feed->framing, FRAMING_DOUBT_NOT_CANONICAL);
	return c == '\n' ? end_size(feed->side) : CHUNK_EXTENSION;
}

static enum chunk_state step_size_lf(struct framing_feed *feed, char c)
{
	if (c == '\n')
		return end_size(feed->side);
	framing_raise(feed->framing, FRAMING_DOUBT_NOT_CANONICAL);
	return c == '\r' ? CHUNK_SIZE_LF : CHUNK_EXTENSION;
}

static enum chunk_state step_data_end(struct framing_feed *feed, enum chunk_state state, char c)
{
	if (state == CHUNK_DATA_CR && c == '\r')
		return CHUNK_DATA_LF;
	if (c != '\n')
		framing_lose(feed->framing, feed->side, FRAMING_DOUBT_ERROR);
	else if (state == CHUNK_DATA_CR)
		framing_raise(feed->framing, FRAMING_DOUBT_NOT_CANONICAL);
	return CHUNK_SIZE;
}

static enum chunk_state step_trailer(struct framing_feed *feed, enum chunk_state state, char c)
{
	struct framing_side *side = feed->side;

	if (side->strict != STRICT_BROKEN) {
		strict_scan(side, &c, 1);
		if (side->strict == STRICT_BROKEN)
			framing_raise(feed->framing, FRAMING_DOUBT_NOT_CANONICAL);
	}
	if (c == '\n') {
		if (state != CHUNK_TRAILER)
			framing_end_message(feed->framing, side);
		return CHUNK_TRAILER_LINE;
	}
	return c == '\r' && state == CHUNK_TRAILER_LINE ? CHUNK_TRAILER_END : CHUNK_TRAILER;
}

static enum chunk_state step(struct framing_feed *feed, enum chunk_state state, char c)
{
	switch (state) {
	case CHUNK_SIZE:
		return step_size(feed, c);
	case CHUNK_EXTENSION:
		return step_extension(feed, c);
	case CHUNK_SIZE_LF:
		return step_size_lf(feed, c);
	case CHUNK_DATA:
		break;
	case CHUNK_DATA_CR:
	case CHUNK_DATA_LF:
		return step_data_end(feed, state, c);
	case CHUNK_TRAILER_LINE:
	case CHUNK_TRAILER_END:
	case CHUNK_TRAILER:
		return step_trailer(feed, state, c);
	}
	return state;
}

uint64_t chunked_known(const struct framing_side *side)
{
	return side->chunk == CHUNK_DATA ? side->body_remaining : 0;
}

void chunked_pass(struct framing_side *side, uint64_t length)
{
	side->body_remaining -= length;
	if (side->body_remaining == 0)
		side->chunk = CHUNK_DATA_CR;
}

size_t chunked_advance(struct framing_feed *feed, const char *bytes, size_t length)
{
	struct framing_side *side = feed->side;
	size_t at = 0;

	while (at < length && side->phase == FRAMING_PHASE_CHUNKED) {
		if (side->chunk != CHUNK_DATA) {
			side->chunk = (uint8_t)step(feed, side->chunk, bytes[at++]);
			continue;
		}
		size_t take = length - at;
		if (take > side->body_remaining)
			take = (size_t)side->body_remaining;
		chunked_pass(side, take);
		at += take;
	}
	return at;
}
