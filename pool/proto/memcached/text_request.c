/* The commands of the text protocol. See text.h. */
#include <string.h>

#include "pool/proto/memcached/text_private.h"

/* Servers take 1,024 bytes, but of those that only name keys any number. */
#define LINE_MAX 1024

void memcached_text_init(struct memcached_text *text)
{
	memset(text, 0, sizeof(*text));
}

static void await_reply(struct memcached_text *text, enum memcached_reply reply)
{
	struct memcached_run *last = text->n_runs ? &text->runs[text->n_runs - 1] : NULL;

	if (last && last->reply == reply && (reply == MEMCACHED_REPLY_QUIET || last->n < UINT32_MAX)) {
		last->n += reply != MEMCACHED_REPLY_QUIET;
		return;
	}
	/* Nobody knows how many replies quiet ones have; only MN tells that there are no more. */
	if (last && last->reply == MEMCACHED_REPLY_QUIET && reply != MEMCACHED_REPLY_META_END) {
		memcached_text_lose(text, REFUSAL_REFUSED_COMMAND);
		return;
	}
	if (text->n_runs == MEMCACHED_RUNS) {
		memcached_text_lose(text, REFUSAL_UNFINISHED_REPLY);
		return;
	}
	text->runs[text->n_runs++] = (struct memcached_run){.n = 1, .reply = (uint8_t)reply};
}

static void end_command(struct memcached_text *text)
{
	enum memcached_reply reply = memcached_command_reply(text);

	text->request_phase = MEMCACHED_LINE;
	if (text->is_quiet) {
		text->quiet_at = text->n_sent + 1;
		if (reply == MEMCACHED_REPLY_META)
			await_reply(text, MEMCACHED_REPLY_QUIET);
		return;
	}
	await_reply(text, reply);
	text->n_sent++;
}

static void begin_command(struct memcached_text *text)
{
	const struct memcached_line *line = &text->request_line;

	text->argument = 0;
	text->is_quiet = text->is_reset = false;
	if (line->word_length > sizeof(line->word) ||
	    !memcached_command_find(line->word, line->word_length, &text->command)) {
		memcached_text_lose(text,
				    memcached_line_is(line, "quit") ? REFUSAL_CLIENT_CLOSE : REFUSAL_REFUSED_COMMAND);
		return;
	}
	if (!text->has_begun)
		text->may_be_logged_in = !text->was_kept && memcached_line_is(line, "set");
	text->has_begun = true;
}

static void take_word(struct memcached_text *text)
{
	if (!text->request_line.n_words)
		begin_command(text);
	else if (!memcached_command_take(text))
		memcached_text_lose(text, memcached_commands[text->command].reply == MEMCACHED_REPLY_STATS
						  ? REFUSAL_REFUSED_COMMAND
						  : REFUSAL_NOT_CANONICAL);
	memcached_line_next_word(&text->request_line);
}

static void end_line(struct memcached_text *text)
{
	bool has_data;

	if (text->request_line.word_length)
		take_word(text);
	if (text->is_lost)
		return;
	if (!text->request_line.n_words || !memcached_command_end(text, &has_data)) {
		memcached_text_lose(text, REFUSAL_NOT_CANONICAL);
		return;
	}
	text->request_line = (struct memcached_line){0};
	if (!has_data) {
		end_command(text);
		return;
	}
	text->request_after_cr = false;
	text->request_phase = text->request_length ? MEMCACHED_DATA : MEMCACHED_DATA_END;
}

static bool is_too_long(const struct memcached_text *text)
{
	return text->request_line.length > LINE_MAX &&
	       memcached_commands[text->command].reply != MEMCACHED_REPLY_VALUES;
}

static void take_line(struct memcached_text *text, char byte)
{
	switch (memcached_line_take(&text->request_line, byte)) {
	case MEMCACHED_LINE_MORE:
		break;
	case MEMCACHED_LINE_WORD:
		take_word(text);
		break;
	case MEMCACHED_LINE_END:
		end_line(text);
		return;
	case MEMCACHED_LINE_BAD:
		memcached_text_lose(text, REFUSAL_NOT_CANONICAL);
		return;
	}
	if (is_too_long(text))
		memcached_text_lose(text, REFUSAL_NOT_CANONICAL);
}

static size_t take_data(struct memcached_text *text, size_t length)
{
	size_t n = length < text->request_length ? length : (size_t)text->request_length;

	text->request_length -= n;
	if (!text->request_length)
		text->request_phase = MEMCACHED_DATA_END;
	return n;
}

static void take_data_end(struct memcached_text *text, char byte)
{
	if (byte != (text->request_after_cr ? '\n' : '\r'))
		memcached_text_lose(text, REFUSAL_NOT_CANONICAL);
	else if (text->request_after_cr)
		end_command(text);
	else
		text->request_after_cr = true;
}

void memcached_text_feed_request(struct memcached_text *text, const char *bytes, size_t length)
{
	for (size_t i = 0; i < length && !text->is_lost;) {
		switch (text->request_phase) {
		case MEMCACHED_LINE:
			take_line(text, bytes[i++]);
			break;
		case MEMCACHED_DATA:
			i += take_data(text, length - i);
			break;
		case MEMCACHED_DATA_END:
			take_data_end(text, bytes[i++]);
			break;
		}
	}
}

enum framing_first memcached_text_classify(const char *bytes, size_t length)
{
	struct memcached_text scratch;

	if (!length)
		return FRAMING_FIRST_PARTIAL;
	memcached_text_init(&scratch);
	memcached_text_feed_request(&scratch, bytes, length);
	if (scratch.is_lost)
		return FRAMING_FIRST_UNKNOWN;
	return scratch.has_begun ? FRAMING_FIRST_UNSAFE : FRAMING_FIRST_PARTIAL;
}
