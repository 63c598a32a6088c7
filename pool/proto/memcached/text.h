/*
 * Framing of memcached's text protocol, with its meta commands (memcached, doc/protocol.txt): where commands and
 * replies begin and end, which commands have a reply to come, and which may have one.
 *
 * Commands are answered in order. What kind of reply the oldest command has decides where that ends. Commands that say
 * `noreply`, or `q` among the meta commands, are answered only if they fail: whether they were is known when a later
 * command has been answered. Of a line that servers may read otherwise than we, and behind an error (after which a
 * server may go on at another place), nothing is followed.
 *
 * Plain data: it may be copied by assignment. No allocation, no locks, no system calls; async-signal-safe; one thread
 * at a time per object.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pool/conn/refusal.h"
#include "pool/proto/plan.h"

#define MEMCACHED_WORD_MAX 24
#define MEMCACHED_RUNS 8

/* The answer to a command, if nothing is wrong. */
enum memcached_reply {
	MEMCACHED_REPLY_STORED,
	MEMCACHED_REPLY_DELETED,
	MEMCACHED_REPLY_NUMBER,
	MEMCACHED_REPLY_TOUCHED,
	MEMCACHED_REPLY_OK,
	MEMCACHED_REPLY_RESET,
	MEMCACHED_REPLY_VERSION,
	MEMCACHED_REPLY_VALUES, /* values, and END */
	MEMCACHED_REPLY_STATS,	/* lines, and END */
	MEMCACHED_REPLY_META,
	MEMCACHED_REPLY_META_END, /* MN */
	MEMCACHED_REPLY_QUIET,	  /* any number of those of quiet meta commands, before MN */
};

/* So many replies of one kind, in a row. */
struct memcached_run {
	uint32_t n;
	uint8_t reply; /* enum memcached_reply */
};

/* A line, as far as it has come. */
struct memcached_line {
	char word[MEMCACHED_WORD_MAX]; /* the newest, as far as it fits */
	uint32_t word_length;
	uint32_t n_words; /* that are complete */
	uint32_t length;
	bool after_cr;
};

enum memcached_phase {
	MEMCACHED_LINE,
	MEMCACHED_DATA,
	MEMCACHED_DATA_END, /* its CRLF */
};

struct memcached_text {
	/* Commands. */
	enum memcached_phase request_phase;
	struct memcached_line request_line;
	uint8_t command;	 /* its index in the table of commands */
	uint8_t argument;	 /* the place in its pattern */
	bool is_quiet;		 /* it said so */
	bool is_reset;		 /* of statistics */
	bool request_after_cr;	 /* behind its data */
	uint64_t request_length; /* of its data, as it said; what of that is to come */

	/* Replies. */
	enum memcached_phase reply_phase;
	struct memcached_line reply_line;
	bool in_reply;	     /* the oldest one's, which may have several lines */
	bool is_value;	     /* of a value, its data follows this line */
	bool is_end;	     /* the line ends the reply */
	bool is_error;	     /* the line says so */
	bool is_harmless;    /* ... and of one that leaves everything as it was */
	bool reply_after_cr; /* behind data */
	uint64_t reply_length;

	/* The count. */
	struct memcached_run runs[MEMCACHED_RUNS]; /* that are to come, in order */
	uint8_t n_runs;
	uint64_t n_sent; /* complete commands that have a reply */
	uint64_t n_answered;
	uint64_t quiet_at; /* n_sent before the newest quiet command, plus one; 0: all before it are known to be over */

	/* Knowledge of the connection. */
	enum refusal doubt;    /* why it never may be kept; the first one stays */
	bool is_lost;	       /* ends of messages are not known any more */
	bool has_surplus;      /* a reply to nothing has come */
	bool has_ended;	       /* by the server */
	bool has_begun;	       /* its first command is known */
	bool was_kept;	       /* others had it before, so its server wants no logins */
	bool may_be_logged_in; /* that was one which may have been a login: see memcached.h */
};

enum framing_first memcached_text_classify(const char *bytes, size_t length);

void memcached_text_init(struct memcached_text *text);

/* Feeds bytes that the program sends, in any pieces. */
void memcached_text_feed_request(struct memcached_text *text, const char *bytes, size_t length);

/* Feeds bytes that the server sends; up to the end of the oldest answer that is due, if `only_one`. Returns how many
 * were fed. */
size_t memcached_text_feed_reply(struct memcached_text *text, const char *bytes, size_t length, bool only_one);

/* Bytes of a value that nobody looked at: at most memcached_text_known_reply(). */
void memcached_text_pass_reply(struct memcached_text *text, uint64_t length);

static inline uint64_t memcached_text_known_reply(const struct memcached_text *text)
{
	return text->reply_phase == MEMCACHED_DATA && !text->is_lost ? text->reply_length : 0;
}

static inline bool memcached_text_in_request(const struct memcached_text *text)
{
	return text->request_phase != MEMCACHED_LINE || text->request_line.length;
}

/* Nothing is on its way, in either direction, but what quiet commands may be answered by. */
static inline bool memcached_text_is_settled(const struct memcached_text *text)
{
	return !memcached_text_in_request(text) && !text->in_reply && text->n_sent == text->n_answered;
}
