/*
 * The commands that are followed, and what each must look like so that every server takes it as we do. What a server
 * might refuse for its form it might also go on behind at another place: in the midst of data.
 */
#include <string.h>

#include "pool/proto/memcached/text_private.h"

/* (memcached, doc/protocol.txt; proto_text.c of 1.4 to 1.6) Not followed, among others: watch, shutdown, lru_crawler,
 * slabs, cache_memlimit, refresh_certs. */
const struct memcached_command memcached_commands[] = {
	{"add", "kuidN", MEMCACHED_REPLY_STORED},     {"append", "kuidN", MEMCACHED_REPLY_STORED},
	{"cas", "kuidcN", MEMCACHED_REPLY_STORED},    {"decr", "kcN", MEMCACHED_REPLY_NUMBER},
	{"delete", "kZN", MEMCACHED_REPLY_DELETED},   {"flush_all", "UN", MEMCACHED_REPLY_OK},
	{"gat", "ikK", MEMCACHED_REPLY_VALUES},	      {"gats", "ikK", MEMCACHED_REPLY_VALUES},
	{"get", "kK", MEMCACHED_REPLY_VALUES},	      {"gets", "kK", MEMCACHED_REPLY_VALUES},
	{"incr", "kcN", MEMCACHED_REPLY_NUMBER},      {"ma", "kF", MEMCACHED_REPLY_META},
	{"md", "kF", MEMCACHED_REPLY_META},	      {"me", "kF", MEMCACHED_REPLY_META},
	{"mg", "kF", MEMCACHED_REPLY_META},	      {"mn", "", MEMCACHED_REPLY_META_END},
	{"ms", "kdF", MEMCACHED_REPLY_META},	      {"prepend", "kuidN", MEMCACHED_REPLY_STORED},
	{"replace", "kuidN", MEMCACHED_REPLY_STORED}, {"set", "kuidN", MEMCACHED_REPLY_STORED},
	{"stats", "S", MEMCACHED_REPLY_STATS},	      {"touch", "kiN", MEMCACHED_REPLY_TOUCHED},
	{"verbosity", "uN", MEMCACHED_REPLY_OK},      {"version", "", MEMCACHED_REPLY_VERSION},
};

#define N_COMMANDS (sizeof(memcached_commands) / sizeof(memcached_commands[0]))

bool memcached_command_find(const char *name, size_t length, uint8_t *index)
{
	for (size_t i = 0; i < N_COMMANDS; i++) {
		if (strlen(memcached_commands[i].name) != length ||
		    memcmp(memcached_commands[i].name, name, length) != 0)
			continue;
		*index = (uint8_t)i;
		return true;
	}
	return false;
}

static bool is_key(const struct memcached_line *line)
{
	return line->word_length <= MEMCACHED_KEY_MAX;
}

/* Seconds, which may be negative. */
static bool is_time(const struct memcached_line *line)
{
	struct memcached_line digits = *line;
	uint64_t number;

	if (digits.word_length > 1 && digits.word_length <= sizeof(digits.word) && digits.word[0] == '-') {
		digits.word_length--;
		memmove(digits.word, digits.word + 1, digits.word_length);
	}
	return memcached_line_number(&digits, INT32_MAX, &number);
}

/* A flag of a meta command is a letter, and of some a token. (Servers before 1.6 took letters in a heap.) */
static bool is_flag(struct memcached_text *text)
{
	const struct memcached_line *line = &text->request_line;
	bool takes_token = line->word[0] >= 'A' && line->word[0] <= 'Z';

	text->is_quiet |= memcached_line_is(line, "q");
	return takes_token || (line->word_length == 1 && line->word[0] >= 'a' && line->word[0] <= 'z');
}

/* Statistics that are answered by lines and END, or by RESET: those of `detail` and others change the server, or tell
 * of connections. */
static bool is_statistic(const struct memcached_line *line)
{
	static const char *const followed[] = {"items", "reset", "settings", "sizes", "slabs"};

	for (size_t i = 0; i < sizeof(followed) / sizeof(followed[0]); i++)
		if (memcached_line_is(line, followed[i]))
			return true;
	return false;
}

static bool fits(struct memcached_text *text, char what)
{
	const struct memcached_line *line = &text->request_line;
	uint64_t number;

	switch (what) {
	case 'k': /* a key */
	case 'K': /* any number of them */
		return is_key(line);
	case 'u': /* 32 bits */
	case 'U': /* likewise, or nothing */
		return memcached_line_number(line, UINT32_MAX, &number);
	case 'c': /* 64 bits */
		return memcached_line_number(line, UINT64_MAX, &number);
	case 'i':
		return is_time(line);
	case 'd': /* the length of data */
		return memcached_line_number(line, MEMCACHED_DATA_LIMIT, &text->request_length);
	case 'Z': /* zero, or nothing */
		return memcached_line_is(line, "0");
	case 'N':
		if (!memcached_line_is(line, "noreply"))
			return false;
		text->is_quiet = true;
		return true;
	case 'F':
		return is_flag(text);
	case 'S': /* a statistic, or nothing */
		if (!is_statistic(line))
			return false;
		text->is_reset |= memcached_line_is(line, "reset");
		return true;
	}
	return false;
}

static const char *pattern_of(const struct memcached_text *text)
{
	return memcached_commands[text->command].pattern + text->argument;
}

static bool may_be_left_out(char what)
{
	return what >= 'A' && what <= 'Z';
}

bool memcached_command_take(struct memcached_text *text)
{
	for (; *pattern_of(text); text->argument++) {
		char what = *pattern_of(text);

		if (fits(text, what)) {
			text->argument += what != 'K' && what != 'F';
			return true;
		}
		if (!may_be_left_out(what))
			break;
	}
	return false;
}

bool memcached_command_end(const struct memcached_text *text, bool *has_data)
{
	*has_data = strchr(memcached_commands[text->command].pattern, 'd') != NULL;
	for (const char *left = pattern_of(text); *left; left++)
		if (!may_be_left_out(*left))
			return false;
	return true;
}

enum memcached_reply memcached_command_reply(const struct memcached_text *text)
{
	return text->is_reset ? MEMCACHED_REPLY_RESET : memcached_commands[text->command].reply;
}
