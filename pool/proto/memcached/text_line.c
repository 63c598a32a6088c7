/* Lines and their words. See text_private.h. */
#include <string.h>

#include "pool/proto/memcached/text_private.h"

void memcached_line_next_word(struct memcached_line *line)
{
	line->n_words += line->word_length > 0;
	line->word_length = 0;
}

enum memcached_line_event memcached_line_take(struct memcached_line *line, char byte)
{
	line->length += line->length < UINT32_MAX;
	if (line->after_cr)
		return byte == '\n' ? MEMCACHED_LINE_END : MEMCACHED_LINE_BAD;
	if (byte == '\r') {
		line->after_cr = true;
		return MEMCACHED_LINE_MORE;
	}
	/* A line that begins by a blank is another one to some. */
	if (byte == ' ')
		return line->word_length   ? MEMCACHED_LINE_WORD
		       : line->n_words > 0 ? MEMCACHED_LINE_MORE
					   : MEMCACHED_LINE_BAD;
	if ((unsigned char)byte < ' ' || byte == 0x7f)
		return MEMCACHED_LINE_BAD;
	if (line->word_length < sizeof(line->word))
		line->word[line->word_length] = byte;
	line->word_length += line->word_length < UINT32_MAX;
	return MEMCACHED_LINE_MORE;
}

bool memcached_line_is(const struct memcached_line *line, const char *word)
{
	size_t length = strlen(word);

	return length <= sizeof(line->word) && line->word_length == length && memcmp(line->word, word, length) == 0;
}

bool memcached_line_number(const struct memcached_line *line, uint64_t max, uint64_t *number)
{
	uint64_t value = 0;

	if (!line->word_length || line->word_length > 20)
		return false;
	for (uint32_t i = 0; i < line->word_length; i++) {
		unsigned digit = (unsigned char)line->word[i] - (unsigned)'0';

		if (digit > 9 || value > (UINT64_MAX - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	*number = value;
	return value <= max;
}
