/*
 * The server's side of a TLS connection: records under the connection's keys, to and from the kernel. It belongs to the
 * channel of the socket that uses the connection, and while the connection is parked to that (struct conn, session).
 *
 * One thread at a time sends, one receives.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "pool/tls/farewell.h"
#include "pool/tls/record.h"
#include "pool/tls/state.h"

/* A message of HTTP/1.0 that has grown by our insertion, and a KeyUpdate before it. */
#define WIRE_OUT_MAX (2 * TLS_RECORD_MAX)

struct wire {
	struct wire *next_free;
	struct tls_state *state;  /* a copy of our own of what follows: nobody changes it while it is looked at */
	struct tls_state *shared; /* memory that others may have, too: numbers are taken there */
	int state_fd;		  /* ... a high descriptor of it; -1: none */
	const struct tls_crypto *crypto;
	const struct tls_suite *suite;
	struct tls_seal write, read;
	bool has_keys;		      /* in both of these, which lie in memory of the library's */
	size_t locked, locked_shared; /* bytes of either state that can't be swapped out */
	uint16_t epoch;
	bool is_donor;		 /* its first program has it: tickets that come are that program's */
	bool is_broken;		 /* a record of the server was not authentic, or ours could not be sealed */
	bool has_ended;		 /* its end of file has come */
	bool was_notified;	 /* ... or its close_notify */
	uint64_t sent, received; /* what the kernel should have counted */

	uint32_t in_length;  /* of a record that is still coming */
	uint32_t bad_length; /* of one in `in` that is not authentic; 0: none */
	uint8_t in[TLS_RECORD_MAX];
	struct tls_content content; /* of a record that has come */
	bool has_content;
	uint32_t content_at; /* what of it was taken */
	uint8_t bytes[TLS_RECORD_MAX];
	uint32_t out_at, out_length; /* records that the kernel has not taken yet */
	uint8_t out[WIRE_OUT_MAX];
	_Alignas(64) uint8_t copy[TLS_STATE_SIZE];
};

/* One without a state; NULL when there is no memory. */
struct wire *wire_take(void);

/* Gives it back with its state, which ends unless others hold it. Wipes its keys. No memory is freed: async-signal-safe
 * as far as locks go (blocks.h). */
void wire_put(struct wire *wire);

/* An empty state, to be filled in; then it is laid into shared memory, and counts there. */
bool wire_make_state(struct wire *wire) __attribute__((warn_unused_result));
bool wire_share_state(struct wire *wire) __attribute__((warn_unused_result));

/* One whose state has come from another process, which is not trusted: `fd` is that memory, and stays the caller's.
 * NULL: it is none. */
struct wire *wire_open(int fd);

/* Takes the keys of its state, where it has none. Where the library may allocate. */
bool wire_begin(struct wire *wire, const struct tls_crypto *crypto) __attribute__((warn_unused_result));

/* Adds a record to what is to be sent. False: it is broken. */
bool wire_seal(struct wire *wire, enum tls_type type, const uint8_t *bytes, size_t length)
	__attribute__((warn_unused_result));

/* Before it is parked: leaves what its server is told if it ends there (farewell.h), and then the library's memory has
 * no key of it. */
void wire_rest(struct wire *wire);
bool wire_take_farewell(struct wire *wire, struct pool_farewell *farewell) __attribute__((warn_unused_result));

/* Sends what is to be sent. 0; or -1 and errno: EAGAIN if the kernel has not taken all. */
int wire_flush(struct wire *wire, int fd, int flags);

/* Receives one record that is not about the keys alone, into `content`. 1; 0: the end of file; -1 and errno. */
int wire_receive(struct wire *wire, int fd, int flags);

/* The ticket that has just come goes into the state: a program that repeats the handshake gets it, too. */
void wire_keep_ticket(struct wire *wire);

static inline bool wire_is_between_records(const struct wire *wire)
{
	return !wire->is_broken && !wire->has_ended && !wire->was_notified && !wire->in_length && !wire->has_content &&
	       wire->out_at == wire->out_length;
}
