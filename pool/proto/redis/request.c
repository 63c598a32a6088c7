/* The commands. See framing.h. */
#include <string.h>

#include "pool/proto/redis/private.h"

/* Redis takes 64 KiB; programs that write inline commands write short ones. */
#define INLINE_MAX 1024

static char to_capital(char byte)
{
	return byte >= 'a' && byte <= 'z' ? (char)(byte - 'a' + 'A') : byte;
}

static void begin_command(struct redis *redis)
{
	redis->n_arguments = 0;
	redis->argument = 0;
	redis->word_lengths[0] = redis->word_lengths[1] = 0;
	redis->after_cr = false;
	redis->in_word = false;
	redis->line_length = 0;
	redis->is_in_bulk_head = false;
	redis->request_number = (struct redis_number){0};
}

static void collect(struct redis *redis, const char *bytes, size_t length)
{
	if (redis->argument >= REDIS_WORDS)
		return;
	for (size_t i = 0; i < length; i++) {
		uint32_t at = redis->word_lengths[redis->argument];

		if (at == REDIS_WORD_MAX)
			break;
		redis->words[redis->argument][at] = to_capital(bytes[i]);
		redis->word_lengths[redis->argument]++;
	}
}

static void end_command(struct redis *redis)
{
	redis->request_phase = REDIS_REQUEST_BETWEEN;
	redis_note_command(redis);
}

static void begin(struct redis *redis, char byte)
{
	begin_command(redis);
	redis->request_phase = byte == '*' ? REDIS_REQUEST_COUNT : REDIS_REQUEST_INLINE;
}

/* Words with nothing around them: of quotes, control characters and carriage returns within the line every server has
 * its own opinion. */
static void take_inline(struct redis *redis, char byte)
{
	bool is_blank = byte == ' ' || byte == '\t';

	if (byte == '\n') {
		redis->n_arguments = redis->argument + redis->in_word;
		redis->request_phase = REDIS_REQUEST_BETWEEN;
		if (redis->n_arguments)
			end_command(redis);
		return;
	}
	if (redis->after_cr || ++redis->line_length > INLINE_MAX || byte == '"' || byte == '\'' ||
	    (!is_blank && byte != '\r' && (byte <= ' ' || byte > '~'))) {
		redis_lose(redis, REFUSAL_NOT_CANONICAL);
		return;
	}
	redis->after_cr = byte == '\r';
	if (!is_blank && byte != '\r') {
		redis->in_word = true;
		collect(redis, &byte, 1);
	} else if (redis->in_word) {
		redis->in_word = false;
		redis->argument++;
	}
}

static void take_count(struct redis *redis, char byte)
{
	switch (redis_number_take(&redis->request_number, byte)) {
	case REDIS_NUMBER_MORE:
		return;
	case REDIS_NUMBER_BAD:
		redis_lose(redis, REFUSAL_NOT_CANONICAL);
		return;
	case REDIS_NUMBER_DONE:
		break;
	}
	/* Nothing asked, nothing answered. */
	if (redis->request_number.is_negative || !redis->request_number.value) {
		redis->request_phase = REDIS_REQUEST_BETWEEN;
		return;
	}
	if (redis->request_number.value > INT32_MAX) {
		redis_lose(redis, REFUSAL_NOT_CANONICAL);
		return;
	}
	redis->n_arguments = (uint32_t)redis->request_number.value;
	redis->request_phase = REDIS_REQUEST_BULK_HEAD;
}

static void take_bulk_head(struct redis *redis, char byte)
{
	enum redis_number_result result;

	if (!redis->is_in_bulk_head) {
		redis->is_in_bulk_head = byte == '$';
		redis->request_number = (struct redis_number){0};
		if (byte != '$')
			redis_lose(redis, REFUSAL_NOT_CANONICAL);
		return;
	}
	result = redis_number_take(&redis->request_number, byte);
	if (result == REDIS_NUMBER_MORE)
		return;
	redis->is_in_bulk_head = false;
	if (result == REDIS_NUMBER_BAD || redis->request_number.is_negative) {
		redis_lose(redis, REFUSAL_NOT_CANONICAL);
		return;
	}
	redis->bulk_left = redis->request_number.value;
	redis->after_cr = false;
	redis->request_phase = redis->bulk_left ? REDIS_REQUEST_BULK : REDIS_REQUEST_BULK_END;
}

static size_t take_bulk(struct redis *redis, const char *bytes, size_t length)
{
	size_t n = length < redis->bulk_left ? length : (size_t)redis->bulk_left;

	collect(redis, bytes, n);
	redis->bulk_left -= n;
	if (!redis->bulk_left)
		redis->request_phase = REDIS_REQUEST_BULK_END;
	return n;
}

static void take_bulk_end(struct redis *redis, char byte)
{
	if (byte != (redis->after_cr ? '\n' : '\r')) {
		redis_lose(redis, REFUSAL_NOT_CANONICAL);
		return;
	}
	if (!redis->after_cr) {
		redis->after_cr = true;
		return;
	}
	redis->request_phase = REDIS_REQUEST_BULK_HEAD;
	if (++redis->argument == redis->n_arguments)
		end_command(redis);
}

void redis_feed_request(struct redis *redis, const char *bytes, size_t length)
{
	for (size_t i = 0; i < length && !redis->is_lost;) {
		switch (redis->request_phase) {
		case REDIS_REQUEST_BETWEEN:
			begin(redis, bytes[i]);
			/* The first byte of an inline command is a part of it. */
			i += redis->request_phase == REDIS_REQUEST_COUNT;
			break;
		case REDIS_REQUEST_INLINE:
			take_inline(redis, bytes[i++]);
			break;
		case REDIS_REQUEST_COUNT:
			take_count(redis, bytes[i++]);
			break;
		case REDIS_REQUEST_BULK_HEAD:
			take_bulk_head(redis, bytes[i++]);
			break;
		case REDIS_REQUEST_BULK:
			i += take_bulk(redis, bytes + i, length - i);
			break;
		case REDIS_REQUEST_BULK_END:
			take_bulk_end(redis, bytes[i++]);
			break;
		}
	}
}

/* As far as they go: `*3\r\n$`. */
static enum framing_first classify_array(const char *bytes, size_t length)
{
	struct redis_number number = {0};

	for (size_t i = 1; i < length; i++) {
		if (number.after_cr && bytes[i - 1] == '\n')
			return bytes[i] == '$' && !number.is_negative && number.value ? FRAMING_FIRST_UNSAFE
										      : FRAMING_FIRST_UNKNOWN;
		if (redis_number_take(&number, bytes[i]) == REDIS_NUMBER_BAD)
			return FRAMING_FIRST_UNKNOWN;
	}
	return FRAMING_FIRST_PARTIAL;
}

/* A word of the table on the first line. */
static enum framing_first classify_inline(const char *bytes, size_t length)
{
	char word[REDIS_WORD_MAX];
	size_t n = 0;

	while (n < length && n < sizeof(word) &&
	       (to_capital(bytes[n]) != bytes[n] || (bytes[n] >= 'A' && bytes[n] <= 'Z') || bytes[n] == '_')) {
		word[n] = to_capital(bytes[n]);
		n++;
	}
	if (n == length && n < sizeof(word))
		return FRAMING_FIRST_PARTIAL;
	if (n < length && (bytes[n] == ' ' || bytes[n] == '\r' || bytes[n] == '\n') && redis_is_known(word, n))
		return FRAMING_FIRST_UNSAFE;
	return FRAMING_FIRST_UNKNOWN;
}

enum framing_first redis_classify_first(const char *bytes, size_t length)
{
	if (!length)
		return FRAMING_FIRST_PARTIAL;
	return *bytes == '*' ? classify_array(bytes, length) : classify_inline(bytes, length);
}
