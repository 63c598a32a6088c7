/*
 * Framing of Redis and Valkey (RESP2, RESP3: redis.io/docs/latest/develop/reference/protocol-spec): where commands and
 * replies begin and end in the two byte streams of one connection, which commands have a reply to come, and what they
 * leave on the connection.
 *
 * Commands are answered in order, one reply each, so that counting both tells whether anything is due. What only part
 * of the servers read alike (quoted inline commands, streamed types) is not followed.
 *
 * A struct redis is plain data, as HTTP/1's struct framing is: it may be copied by assignment. No allocation, no locks,
 * no system calls; async-signal-safe; one thread at a time per object.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pool/conn/refusal.h"
#include "pool/proto/plan.h"

#define REDIS_WORD_MAX 24
#define REDIS_WORDS 2 /* of a command that decide: its name and a subcommand */
#define REDIS_TEXT_MAX 32
#define REDIS_NOTES 8

/* The position in the commands. */
enum redis_request_phase {
	REDIS_REQUEST_BETWEEN,
	REDIS_REQUEST_INLINE,
	REDIS_REQUEST_COUNT,	 /* `*3`, the number of arguments */
	REDIS_REQUEST_BULK_HEAD, /* `$5`, the length of one */
	REDIS_REQUEST_BULK,
	REDIS_REQUEST_BULK_END, /* its CRLF */
};

/* The position in the replies. */
enum redis_reply_phase {
	REDIS_REPLY_BETWEEN, /* before a reply, or before an element of one */
	REDIS_REPLY_NUMBER,  /* a line that is a number: an integer, a length, a count */
	REDIS_REPLY_TEXT,    /* a line of anything else */
	REDIS_REPLY_BULK,
	REDIS_REPLY_BULK_END,
};

/* The kind of element at the top of the replies' stream. */
enum redis_reply_kind {
	REDIS_REPLY_NONE,
	REDIS_REPLY_ANSWER,
	REDIS_REPLY_PUSH,      /* answers nothing */
	REDIS_REPLY_ATTRIBUTE, /* stands before what it describes */
};

/* A decimal number and its CRLF, as Redis reads it (util.c, string2ll). */
struct redis_number {
	uint64_t value;
	uint8_t n_digits;
	bool is_negative;
	bool after_cr;
};

/* A command whose outcome decides something. */
enum redis_note {
	REDIS_NOTE_LIBRARY,	 /* CLIENT SETINFO */
	REDIS_NOTE_NAME,	 /* CLIENT SETNAME */
	REDIS_NOTE_MAINTENANCE,	 /* CLIENT MAINT_NOTIFICATIONS */
	REDIS_NOTE_END_OF_MULTI, /* EXEC, DISCARD */
};

struct redis_outcome {
	uint64_t at; /* the number of the command, from 1 */
	enum redis_note note;
};

struct redis {
	/* Commands. */
	enum redis_request_phase request_phase;
	struct redis_number request_number;
	bool is_in_bulk_head; /* its `$` has been seen */
	bool after_cr;	      /* in an inline command, and behind an argument */
	bool in_word;	      /* of an inline command */
	uint32_t line_length; /* of an inline command */
	uint32_t n_arguments; /* of the command, its name included */
	uint32_t argument;    /* whose turn it is */
	uint64_t bulk_left;
	char words[REDIS_WORDS][REDIS_WORD_MAX]; /* as far as they fit, in capitals */
	uint32_t word_lengths[REDIS_WORDS];	 /* REDIS_WORD_MAX: or longer */

	/* Replies. */
	enum redis_reply_phase reply_phase;
	enum redis_reply_kind reply_kind;
	struct redis_number reply_number;
	char reply_type;     /* of the element: its first byte */
	bool reply_is_top;   /* the element is what stands at the top */
	bool reply_after_cr; /* in a text, and behind a bulk */
	bool reply_is_error; /* the answer as a whole */
	uint8_t text_length; /* of the answer's text */
	char text[REDIS_TEXT_MAX];
	uint64_t elements_left; /* of what stands at the top */
	uint64_t reply_bulk_left;

	/* The count. */
	uint64_t n_sent; /* complete commands that have a reply */
	uint64_t n_answered;
	struct redis_outcome outcomes[REDIS_NOTES]; /* that are to come, in order */
	uint8_t n_outcomes;

	/* Knowledge of the connection. */
	enum refusal doubt;	/* why it never may be kept; the first one stays */
	bool is_lost;		/* ends of messages are not known any more */
	bool has_surplus;	/* a reply to nothing has come */
	bool has_ended;		/* by the server */
	bool has_left_state;	/* the next user would meet something of this one */
	bool in_transaction;	/* MULTI, as long as it is not known to have ended */
	bool has_authenticated; /* or tried to */
	bool ran_foreign_code;	/* scripts and modules, which may answer anything */
	bool is_restricted;	/* the server has refused something for who it is (ACL) */
	bool has_named_library; /* and the server took it */
	bool has_named_itself;	/* likewise */
	bool began_waiting;	/* its first command was WAIT: see redis_wants_fresh() */
};

/* How the first bytes of a connection begin. */
enum framing_first redis_classify_first(const char *bytes, size_t length);

void redis_init(struct redis *redis);

/* Feeds bytes that the program sends, in any pieces. */
void redis_feed_request(struct redis *redis, const char *bytes, size_t length);

/* Feeds bytes that the server sends; up to the end of the oldest answer that is due, if `only_one`. Returns how many
 * were fed. */
size_t redis_feed_reply(struct redis *redis, const char *bytes, size_t length, bool only_one);

void redis_feed_end(struct redis *redis);

/* Bytes of a bulk string that nobody looked at: at most redis_known_reply(). */
void redis_pass_reply(struct redis *redis, uint64_t length);

static inline uint64_t redis_known_reply(const struct redis *redis)
{
	return redis->reply_phase == REDIS_REPLY_BULK && !redis->is_lost ? redis->reply_bulk_left : 0;
}

static inline bool redis_in_reply(const struct redis *redis)
{
	return redis->reply_phase != REDIS_REPLY_BETWEEN || redis->elements_left;
}

/* Nothing is on its way, in either direction. */
static inline bool redis_is_settled(const struct redis *redis)
{
	return redis->request_phase == REDIS_REQUEST_BETWEEN && !redis_in_reply(redis) &&
	       redis->n_sent == redis->n_answered;
}

/* True if what was asked so far would be answered otherwise on a connection with a past, or may be: of the first
 * command nothing decisive is known yet. */
bool redis_wants_fresh(const struct redis *redis);

/* True if these bytes are a goodbye and nothing else, where nothing is on its way. */
bool redis_is_goodbye(const struct redis *redis, const char *bytes, size_t length);
