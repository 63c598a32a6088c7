/*
 * The strict grammar of message heads, as a state machine of its own beside llhttp.
 *
 * llhttp (in the loose build that distributions ship) accepts bare LF, folded lines, spaces in names and more. That is
 * right for finding ends, but a connection may only be kept if no parser could read its messages in another way. So
 * every byte of a head must satisfy this grammar too; it knows nothing of what the fields mean.
 */
#include "pool/proto/http1/private.h"

static const char VERSION[] = "HTTP/1.";

static const bool TOKEN_CHAR[256] = {
	['!'] = true,	      ['#' ... '\''] = true, ['*'] = true,	   ['+'] = true, ['-'] = true, ['.'] = true,
	['0' ... '9'] = true, ['A' ... 'Z'] = true,  ['^' ... 'z'] = true, ['|'] = true, ['~'] = true,
};

static inline bool is_token_char(char c)
{
	return TOKEN_CHAR[(unsigned char)c];
}

static inline bool is_field_char(char c)
{
	return (unsigned char)c >= ' ' ? c != 0x7f : c == '\t';
}

static enum strict_state next(struct framing_side *side, enum strict_state state)
{
	side->strict_index = 0;
	return state;
}

/* One byte of "HTTP/1.0" or "HTTP/1.1" and of what must follow it. */
static enum strict_state step_version(struct framing_side *side, enum strict_state state, char c)
{
	unsigned index = side->strict_index++;

	if (index < sizeof VERSION - 1)
		return c == VERSION[index] ? state : STRICT_START_BROKEN;
	if (index == sizeof VERSION - 1)
		return c == '0' || c == '1' ? state : STRICT_START_BROKEN;
	if (state == STRICT_REQUEST_VERSION)
		return c == '\r' ? next(side, STRICT_START_LF) : STRICT_START_BROKEN;
	return c == ' ' ? next(side, STRICT_STATUS) : STRICT_START_BROKEN;
}

static enum strict_state step_status(struct framing_side *side, char c)
{
	unsigned index = side->strict_index++;

	if (index < 3)
		return c >= (index ? '0' : '1') && c <= '9' ? STRICT_STATUS : STRICT_START_BROKEN;
	/* Many servers leave out the space before an empty reason phrase; no parser is misled by that. */
	if (c == ' ')
		return next(side, STRICT_REASON);
	return c == '\r' ? next(side, STRICT_START_LF) : STRICT_START_BROKEN;
}

/* A non-empty part of the request line, and the space after it. */
static enum strict_state step_part(struct framing_side *side, enum strict_state state, bool allowed, char c)
{
	if (allowed) {
		side->strict_index = 1;
		return state;
	}
	if (c != ' ' || !side->strict_index)
		return STRICT_START_BROKEN;
	return next(side, state == STRICT_METHOD ? STRICT_TARGET : STRICT_REQUEST_VERSION);
}

static enum strict_state step(struct framing_side *side, enum strict_state state, char c)
{
	switch (state) {
	case STRICT_METHOD:
		return step_part(side, state, is_token_char(c), c);
	case STRICT_TARGET:
		return step_part(side, state, (unsigned char)c > ' ' && c != 0x7f, c);
	case STRICT_REQUEST_VERSION:
	case STRICT_RESPONSE_VERSION:
		return step_version(side, state, c);
	case STRICT_STATUS:
		return step_status(side, c);
	case STRICT_REASON:
		if (is_field_char(c))
			return state;
		return c == '\r' ? STRICT_START_LF : STRICT_START_BROKEN;
	case STRICT_START_LF:
		return c == '\n' ? STRICT_LINE : STRICT_START_BROKEN;
	case STRICT_LINE:
		if (is_token_char(c))
			return STRICT_NAME;
		return c == '\r' ? STRICT_END_LF : STRICT_BROKEN;
	case STRICT_NAME:
		if (is_token_char(c))
			return state;
		return c == ':' ? STRICT_VALUE : STRICT_BROKEN;
	case STRICT_VALUE:
		if (is_field_char(c))
			return state;
		return c == '\r' ? STRICT_VALUE_LF : STRICT_BROKEN;
	case STRICT_VALUE_LF:
		return c == '\n' ? STRICT_LINE : STRICT_BROKEN;
	case STRICT_END_LF:
		return c == '\n' ? STRICT_END : STRICT_BROKEN;
	case STRICT_BROKEN:
	case STRICT_START_BROKEN:
	case STRICT_END:
		break;
	}
	return STRICT_BROKEN;
}

size_t strict_scan(struct framing_side *side, const char *bytes, size_t length)
{
	enum strict_state state = side->strict;
	size_t at;

	for (at = 0; at < length && state != STRICT_END; at++) {
		/* Most bytes are these; the switch would cost three times as much. */
		while (state == STRICT_VALUE && at < length && is_field_char(bytes[at]))
			at++;
		if (at == length)
			break;
		if (state != STRICT_START_BROKEN)
			state = step(side, state, bytes[at]);
		if (state == STRICT_BROKEN)
			break;
		if (state == STRICT_START_BROKEN && bytes[at] == '\n') {
			state = STRICT_BROKEN;
			at++;
			break;
		}
	}
	side->strict = (uint8_t)state;
	return at;
}
