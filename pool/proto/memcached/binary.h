/*
 * Framing of memcached's binary protocol (memcached, doc/protocol-binary.txt): requests and responses of 24 bytes and a
 * body whose length those say. Quiet commands are answered only by what is worth telling; another command's response
 * shows that they are over.
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

#define MEMCACHED_HEAD 24
#define MEMCACHED_BINARY_RUNS 8

/* Commands of one kind in a row that have a response, and what was said before them that may have some. */
struct memcached_binary_run {
	uint64_t quiet; /* a bit for each opcode, by that of the command which is not quiet */
	uint32_t n;
	uint8_t opcode;
};

struct memcached_packet {
	uint8_t head[MEMCACHED_HEAD];
	uint8_t n_head;
	uint32_t body_left;
};

struct memcached_binary {
	struct memcached_packet request, response;
	struct memcached_binary_run runs[MEMCACHED_BINARY_RUNS]; /* that are to come, in order */
	uint8_t n_runs;
	uint64_t quiet;	 /* likewise, said behind all of these */
	uint64_t n_sent; /* commands that have a response */
	uint64_t n_answered;
	bool ends_command; /* the response, where its body ends */

	enum refusal doubt; /* why it never may be kept; the first one stays */
	bool is_lost;	    /* ends of messages are not known any more */
	bool has_surplus;   /* a response to nothing has come */
	bool has_ended;	    /* by the server */
	bool has_begun;	    /* its first command is known */
};

enum framing_first memcached_binary_classify(const char *bytes, size_t length);

void memcached_binary_init(struct memcached_binary *binary);

/* Feeds bytes that the program sends, in any pieces. */
void memcached_binary_feed_request(struct memcached_binary *binary, const char *bytes, size_t length);

/* Feeds bytes that the server sends; up to the end of the oldest answer that is due, if `only_one`. Returns how many
 * were fed. */
size_t memcached_binary_feed_reply(struct memcached_binary *binary, const char *bytes, size_t length, bool only_one);

/* Bytes of a body that nobody looked at: at most memcached_binary_known_reply(). */
void memcached_binary_pass_reply(struct memcached_binary *binary, uint64_t length);

/* True if these bytes are QUIT or its quiet form, and nothing else. */
bool memcached_binary_is_quit(const char *bytes, size_t length);
bool memcached_binary_is_quiet_quit(const char *bytes);

static inline uint64_t memcached_binary_known_reply(const struct memcached_binary *binary)
{
	return binary->is_lost ? 0 : binary->response.body_left;
}

static inline bool memcached_packet_is_open(const struct memcached_packet *packet)
{
	return packet->n_head || packet->body_left;
}

/* Nothing is on its way, in either direction, but what quiet commands may be answered by. */
static inline bool memcached_binary_is_settled(const struct memcached_binary *binary)
{
	return !memcached_packet_is_open(&binary->request) && !memcached_packet_is_open(&binary->response) &&
	       binary->n_sent == binary->n_answered;
}
