/* Shared by the files of the text protocol. See text.h. */
#pragma once

#include "pool/proto/memcached/text.h"

#define MEMCACHED_KEY_MAX 250u	       /* longer ones are refused by every server */
#define MEMCACHED_DATA_LIMIT (1 << 30) /* no server takes as much */

/* Patterns: a letter for each argument, see command_fits() in text_commands.c. No pointers,
 * which the loader would have to set in each process. */
struct memcached_command {
	char name[sizeof("flush_all")];
	char pattern[sizeof("kuidcN")];
	enum memcached_reply reply;
};

extern const struct memcached_command memcached_commands[];

/* The index of a command's name. False: there is none that is followed. */
bool memcached_command_find(const char *name, size_t length, uint8_t *index);

/* The newest word of the line is an argument of the command. False: not one that every server reads alike. */
bool memcached_command_take(struct memcached_text *text);

/* The line has ended. False: likewise. *has_data: its data follows. */
bool memcached_command_end(const struct memcached_text *text, bool *has_data);

/* The reply that it will have, if it is no quiet one. */
enum memcached_reply memcached_command_reply(const struct memcached_text *text);

enum memcached_line_event {
	MEMCACHED_LINE_MORE,
	MEMCACHED_LINE_WORD, /* a word is complete */
	MEMCACHED_LINE_END,  /* the line is; a last word may be, too */
	MEMCACHED_LINE_BAD,
};

enum memcached_line_event memcached_line_take(struct memcached_line *line, char byte);

/* After MEMCACHED_LINE_WORD, and when the last word has been looked at. */
void memcached_line_next_word(struct memcached_line *line);

bool memcached_line_is(const struct memcached_line *line, const char *word);

/* The newest word as a decimal number of at most `max`. False: it is none. */
bool memcached_line_number(const struct memcached_line *line, uint64_t max, uint64_t *number);

static inline void memcached_text_doubt(struct memcached_text *text, enum refusal why)
{
	if (text->doubt == REFUSAL_NONE)
		text->doubt = why;
}

/* Nothing can be told any more. */
static inline void memcached_text_lose(struct memcached_text *text, enum refusal why)
{
	memcached_text_doubt(text, why);
	text->is_lost = true;
}
