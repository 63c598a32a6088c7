/*
 * The replies. Elements of nested types are only counted: no depth has to be remembered. See framing.h.
 */
#include <string.h>

#include "pool/proto/redis/private.h"

/* More elements than a server would ever send. */
#define ELEMENTS_MAX (UINT64_C(1) << 40)

void redis_init(struct redis *redis)
{
	memset(redis, 0, sizeof(*redis));
}

static void end_element(struct redis *redis)
{
	enum redis_reply_kind kind = redis->reply_kind;

	redis->reply_phase = REDIS_REPLY_BETWEEN;
	if (--redis->elements_left)
		return;
	redis->reply_kind = REDIS_REPLY_NONE;
	if (kind == REDIS_REPLY_ANSWER)
		redis_note_answer(redis);
}

static void begin_top(struct redis *redis, char type)
{
	redis->reply_kind = type == '>' ? REDIS_REPLY_PUSH : type == '|' ? REDIS_REPLY_ATTRIBUTE : REDIS_REPLY_ANSWER;
	redis->elements_left = 1;
	redis->reply_is_error = type == '-' || type == '!';
	redis->text_length = 0;
}

static void begin_element(struct redis *redis, char type)
{
	redis->reply_is_top = !redis->elements_left;
	if (redis->reply_is_top)
		begin_top(redis, type);
	redis->reply_type = type;
	redis->reply_number = (struct redis_number){0};
	redis->reply_after_cr = false;
	switch (type) {
	case '+':
	case '-':
	case '_': /* null */
	case ',': /* a double */
	case '#': /* a boolean */
	case '(': /* a big number */
		redis->reply_phase = REDIS_REPLY_TEXT;
		break;
	case '>':
		if (!redis->reply_is_top) {
			redis_lose(redis, REFUSAL_NOT_CANONICAL);
			break;
		}
		/* fall through */
	case ':':
	case '$':
	case '=': /* a verbatim string */
	case '!': /* a long error */
	case '*':
	case '~': /* a set */
	case '%': /* a map */
	case '|': /* attributes */
		redis->reply_phase = REDIS_REPLY_NUMBER;
		break;
	default:
		/* The first byte decides whether this is Redis at all. */
		redis_lose(redis, redis->n_answered ? REFUSAL_NOT_CANONICAL : REFUSAL_UNKNOWN_PROTOCOL);
	}
}

/* The bytes that may stand on a line of this type. */
static bool is_text_of(char type, char byte)
{
	switch (type) {
	case '_':
		return false;
	case '#':
		return byte == 't' || byte == 'f';
	case '(':
		return (byte >= '0' && byte <= '9') || byte == '-' || byte == '+';
	case ',':
		return (byte >= '0' && byte <= '9') || byte == '-' || byte == '+' || byte == '.' || byte == 'e' ||
		       byte == 'E' || byte == 'i' || byte == 'n' || byte == 'f' || byte == 'a';
	default:
		return byte != '\n';
	}
}

/* The top's own text is looked at. */
static void collect(struct redis *redis, char byte)
{
	if (redis->reply_kind == REDIS_REPLY_ANSWER && redis->elements_left == 1 && redis->text_length < REDIS_TEXT_MAX)
		redis->text[redis->text_length++] = byte;
}

static void take_text(struct redis *redis, char byte)
{
	if (redis->reply_after_cr && byte == '\n') {
		end_element(redis);
		return;
	}
	if (redis->reply_after_cr || (byte != '\r' && !is_text_of(redis->reply_type, byte))) {
		redis_lose(redis, REFUSAL_NOT_CANONICAL);
		return;
	}
	redis->reply_after_cr = byte == '\r';
	if (!redis->reply_after_cr)
		collect(redis, byte);
}

static void begin_bulk(struct redis *redis, const struct redis_number *length)
{
	if (length->is_negative) {
		/* None. */
		if (redis->reply_type == '$' && length->value == 1)
			end_element(redis);
		else
			redis_lose(redis, REFUSAL_NOT_CANONICAL);
		return;
	}
	redis->reply_bulk_left = length->value;
	redis->reply_phase = length->value ? REDIS_REPLY_BULK : REDIS_REPLY_BULK_END;
}

static void begin_elements(struct redis *redis, const struct redis_number *count)
{
	bool is_none = count->is_negative && redis->reply_type == '*' && count->value == 1;
	uint64_t n = is_none ? 0 : count->value;

	if ((count->is_negative && !is_none) || n > ELEMENTS_MAX || redis->elements_left > ELEMENTS_MAX) {
		redis_lose(redis, REFUSAL_NOT_CANONICAL);
		return;
	}
	if (redis->reply_type == '%' || redis->reply_type == '|')
		n *= 2;
	/* Attributes come before the element that they describe, and stand in for it. */
	if (redis->reply_type == '|' && !redis->reply_is_top)
		n++;
	redis->elements_left += n;
	end_element(redis);
}

static void take_number(struct redis *redis, char byte)
{
	struct redis_number number;

	switch (redis_number_take(&redis->reply_number, byte)) {
	case REDIS_NUMBER_MORE:
		return;
	case REDIS_NUMBER_BAD:
		redis_lose(redis, REFUSAL_NOT_CANONICAL);
		return;
	case REDIS_NUMBER_DONE:
		break;
	}
	number = redis->reply_number;
	switch (redis->reply_type) {
	case ':':
		end_element(redis);
		break;
	case '$':
	case '=':
	case '!':
		begin_bulk(redis, &number);
		break;
	default:
		begin_elements(redis, &number);
	}
}

void redis_pass_reply(struct redis *redis, uint64_t length)
{
	if (!length)
		return;
	redis->reply_bulk_left -= length;
	if (!redis->reply_bulk_left)
		redis->reply_phase = REDIS_REPLY_BULK_END;
}

static size_t take_bulk(struct redis *redis, const char *bytes, size_t length)
{
	size_t n = length < redis->reply_bulk_left ? length : (size_t)redis->reply_bulk_left;

	for (size_t i = 0; i < n && redis->reply_type == '!' && redis->text_length < REDIS_TEXT_MAX; i++)
		collect(redis, bytes[i]);
	redis_pass_reply(redis, n);
	return n;
}

static void take_bulk_end(struct redis *redis, char byte)
{
	if (byte != (redis->reply_after_cr ? '\n' : '\r'))
		redis_lose(redis, REFUSAL_NOT_CANONICAL);
	else if (redis->reply_after_cr)
		end_element(redis);
	else
		redis->reply_after_cr = true;
}

size_t redis_feed_reply(struct redis *redis, const char *bytes, size_t length, bool only_one)
{
	uint64_t n_before = redis->n_answered;
	size_t i = 0;

	while (i < length && !redis->is_lost && !(only_one && redis->n_answered != n_before)) {
		switch (redis->reply_phase) {
		case REDIS_REPLY_BETWEEN:
			begin_element(redis, bytes[i++]);
			break;
		case REDIS_REPLY_NUMBER:
			take_number(redis, bytes[i++]);
			break;
		case REDIS_REPLY_TEXT:
			take_text(redis, bytes[i++]);
			break;
		case REDIS_REPLY_BULK:
			i += take_bulk(redis, bytes + i, length - i);
			break;
		case REDIS_REPLY_BULK_END:
			take_bulk_end(redis, bytes[i++]);
			break;
		}
	}
	return redis->is_lost && !only_one ? length : i;
}

void redis_feed_end(struct redis *redis)
{
	redis->has_ended = true;
}
