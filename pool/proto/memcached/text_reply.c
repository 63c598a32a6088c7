/* The replies of the text protocol. See text.h. */
#include <string.h>

#include "pool/proto/memcached/text_private.h"

#define LINE_MAX 4096

static void reject(struct memcached_text *text)
{
	/* The first reply decides whether this is memcached at all. */
	memcached_text_lose(text, text->n_answered ? REFUSAL_NOT_CANONICAL : REFUSAL_UNKNOWN_PROTOCOL);
}

/* The oldest one's kind. */
static enum memcached_reply awaited(const struct memcached_text *text)
{
	return (enum memcached_reply)text->runs[0].reply;
}

static void drop_run(struct memcached_text *text)
{
	text->n_runs--;
	memmove(text->runs, text->runs + 1, text->n_runs * sizeof(text->runs[0]));
}

static void end_reply(struct memcached_text *text)
{
	text->in_reply = false;
	/* One of a quiet command: how many more there are nobody knows. */
	if (awaited(text) == MEMCACHED_REPLY_QUIET)
		return;
	text->n_answered++;
	/* Everything that was said before this command is over, too. */
	if (text->n_answered >= text->quiet_at)
		text->quiet_at = 0;
	if (--text->runs[0].n == 0)
		drop_run(text);
}

struct reply_word {
	enum memcached_reply reply;
	const char *word;
};

/* Lines of one word, which is the whole reply. */
static const struct reply_word words[] = {
	{MEMCACHED_REPLY_STORED, "STORED"},	{MEMCACHED_REPLY_STORED, "NOT_STORED"},
	{MEMCACHED_REPLY_STORED, "EXISTS"},	{MEMCACHED_REPLY_STORED, "NOT_FOUND"},
	{MEMCACHED_REPLY_DELETED, "DELETED"},	{MEMCACHED_REPLY_DELETED, "NOT_FOUND"},
	{MEMCACHED_REPLY_NUMBER, "NOT_FOUND"},	{MEMCACHED_REPLY_TOUCHED, "TOUCHED"},
	{MEMCACHED_REPLY_TOUCHED, "NOT_FOUND"}, {MEMCACHED_REPLY_OK, "OK"},
	{MEMCACHED_REPLY_RESET, "RESET"},	{MEMCACHED_REPLY_VALUES, "END"},
	{MEMCACHED_REPLY_STATS, "END"},		{MEMCACHED_REPLY_META_END, "MN"},
};

static bool is_whole(enum memcached_reply reply, const struct memcached_line *line)
{
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (words[i].reply == reply && memcached_line_is(line, words[i].word))
			return true;
	return false;
}

static bool is_meta(const struct memcached_line *line)
{
	static const char *const codes[] = {"HD", "EN", "NF", "NS", "EX", "ME", "OK"};

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
		if (memcached_line_is(line, codes[i]))
			return true;
	return false;
}

static bool is_error(const struct memcached_line *line)
{
	return memcached_line_is(line, "ERROR") || memcached_line_is(line, "CLIENT_ERROR") ||
	       memcached_line_is(line, "SERVER_ERROR");
}

/* MN behind quiet commands: they have had their replies. */
static void end_quiet_run(struct memcached_text *text)
{
	if (awaited(text) == MEMCACHED_REPLY_QUIET && text->n_runs > 1 && memcached_line_is(&text->reply_line, "MN"))
		drop_run(text);
}

/* The first word of a line has to be one of this reply. */
static bool begin_line(struct memcached_text *text)
{
	const struct memcached_line *line = &text->reply_line;
	uint64_t number;

	end_quiet_run(text);
	text->is_value = text->is_error = text->is_harmless = false;
	text->is_end = true;
	if (is_error(line)) {
		text->is_error = true;
		return true;
	}
	if (is_whole(awaited(text), line))
		return true;
	switch (awaited(text)) {
	case MEMCACHED_REPLY_NUMBER:
		return memcached_line_number(line, UINT64_MAX, &number);
	case MEMCACHED_REPLY_VERSION:
		return memcached_line_is(line, "VERSION");
	case MEMCACHED_REPLY_VALUES:
		text->is_end = false;
		text->is_value = memcached_line_is(line, "VALUE");
		return text->is_value;
	case MEMCACHED_REPLY_STATS:
		text->is_end = false;
		return memcached_line_is(line, "STAT");
	case MEMCACHED_REPLY_META:
	case MEMCACHED_REPLY_QUIET:
		text->is_value = memcached_line_is(line, "VA");
		return text->is_value || is_meta(line);
	case MEMCACHED_REPLY_STORED:
	case MEMCACHED_REPLY_DELETED:
	case MEMCACHED_REPLY_TOUCHED:
	case MEMCACHED_REPLY_OK:
	case MEMCACHED_REPLY_RESET:
	case MEMCACHED_REPLY_META_END:
		break;
	}
	return false;
}

/* CLIENT_ERROR's next word: who may not ask, and what leaves everything as it was. */
static void explain_error(struct memcached_text *text)
{
	enum memcached_reply reply = awaited(text);

	if (memcached_line_is(&text->reply_line, "unauthenticated"))
		memcached_text_doubt(text, REFUSAL_AUTHENTICATED);
	/* `cannot increment or decrement non-numeric value` */
	text->is_harmless = memcached_line_is(&text->reply_line, "cannot") &&
			    (reply == MEMCACHED_REPLY_NUMBER || reply == MEMCACHED_REPLY_META);
}

/* `VALUE key flags bytes [cas]`, `VA bytes flags`. */
static bool take_value_word(struct memcached_text *text)
{
	bool is_meta_value = awaited(text) != MEMCACHED_REPLY_VALUES;
	const struct memcached_line *line = &text->reply_line;
	uint64_t number;

	if (line->n_words == (is_meta_value ? 1 : 3))
		return memcached_line_number(line, MEMCACHED_DATA_LIMIT, &text->reply_length);
	if (is_meta_value)
		return true;
	return line->n_words == 1 || (line->n_words <= 4 && memcached_line_number(line, UINT64_MAX, &number));
}

/* May there be more words? */
static bool has_words(const struct memcached_text *text)
{
	switch (awaited(text)) {
	case MEMCACHED_REPLY_VERSION:
	case MEMCACHED_REPLY_META:
	case MEMCACHED_REPLY_QUIET:
		return true;
	default:
		return !text->is_end;
	}
}

static void take_word(struct memcached_text *text)
{
	struct memcached_line *line = &text->reply_line;
	bool is_good = true;

	if (!line->n_words)
		is_good = begin_line(text);
	else if (text->is_error && line->n_words == 1)
		explain_error(text);
	else if (text->is_value)
		is_good = take_value_word(text);
	else if (!text->is_error)
		is_good = has_words(text);
	if (!is_good)
		reject(text);
	memcached_line_next_word(line);
}

static void end_line(struct memcached_text *text)
{
	struct memcached_line *line = &text->reply_line;
	uint32_t n_words;

	if (line->word_length)
		take_word(text);
	n_words = line->n_words;
	*line = (struct memcached_line){0};
	if (text->is_lost)
		return;
	if (!n_words || (text->is_value && n_words < (awaited(text) == MEMCACHED_REPLY_VALUES ? 4 : 2))) {
		reject(text);
		return;
	}
	/* The server may be anywhere in what it is sent. */
	if (text->is_error && !text->is_harmless) {
		memcached_text_lose(text, REFUSAL_ERROR);
		return;
	}
	if (text->is_value) {
		text->reply_after_cr = false;
		text->reply_phase = text->reply_length ? MEMCACHED_DATA : MEMCACHED_DATA_END;
	} else if (text->is_end) {
		end_reply(text);
	}
}

static void take_line(struct memcached_text *text, char byte)
{
	if (!text->n_runs) {
		text->has_surplus = true;
		memcached_text_lose(text, REFUSAL_NOT_CANONICAL);
		return;
	}
	text->in_reply = true;
	switch (memcached_line_take(&text->reply_line, byte)) {
	case MEMCACHED_LINE_MORE:
		break;
	case MEMCACHED_LINE_WORD:
		take_word(text);
		break;
	case MEMCACHED_LINE_END:
		end_line(text);
		return;
	case MEMCACHED_LINE_BAD:
		reject(text);
		return;
	}
	if (text->reply_line.length > LINE_MAX)
		reject(text);
}

void memcached_text_pass_reply(struct memcached_text *text, uint64_t length)
{
	if (!length)
		return;
	text->reply_length -= length;
	if (!text->reply_length)
		text->reply_phase = MEMCACHED_DATA_END;
}

static size_t take_data(struct memcached_text *text, size_t length)
{
	size_t n = length < text->reply_length ? length : (size_t)text->reply_length;

	memcached_text_pass_reply(text, n);
	return n;
}

static void take_data_end(struct memcached_text *text, char byte)
{
	if (byte != (text->reply_after_cr ? '\n' : '\r')) {
		reject(text);
		return;
	}
	if (!text->reply_after_cr) {
		text->reply_after_cr = true;
		return;
	}
	text->reply_phase = MEMCACHED_LINE;
	if (awaited(text) != MEMCACHED_REPLY_VALUES)
		end_reply(text);
}

size_t memcached_text_feed_reply(struct memcached_text *text, const char *bytes, size_t length, bool only_one)
{
	uint64_t n_before = text->n_answered;
	size_t i = 0;

	while (i < length && !text->is_lost && !(only_one && text->n_answered != n_before)) {
		switch (text->reply_phase) {
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
	return text->is_lost && !only_one ? length : i;
}
