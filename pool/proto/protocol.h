/*
 * The table of protocols: all that an owner of a connection (the shim, a relay) needs to know of what is spoken on it.
 * HTTP/1 is its first entry (pool/proto/http1/http1.h); the others are protocols with a session (session.h): those of
 * memcached (pool/proto/memcached/memcached.h), MySQL (pool/proto/mysql/mysql.h) and Redis
 * (pool/proto/redis/redis.h). Another one is one folder, a
 * number, a member of a union, and a line in protocol.c.
 *
 * The owner feeds the bytes of both directions as the kernel accepts and delivers them, carries out the plans that this
 * makes (pool/exchange/plan.h), and asks protocol_status() for everything else: it reads no field of an entry's
 * state.
 *
 * A struct protocol_state is plain data: it may be copied by assignment, fed as a scratch copy and thrown away or
 * adopted. No allocation, no locks, no system calls; async-signal-safe; one thread at a time per object.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pool/proto/entry.h"
#include "pool/proto/http1/http1.h"
#include "pool/proto/memcached/memcached.h"
#include "pool/proto/mysql/mysql.h"
#include "pool/proto/redis/redis.h"

/* By their numbers. */
extern const struct protocol *const protocols[];

/* Begins a connection of which no byte has been seen, by the table's first entry: others are found by what is said on
 * it. */
void protocol_begin(struct protocol_state *state, bool may_edit);

/* Begins it anew by the entry of this number. */
void protocol_begin_as(struct protocol_state *state, enum protocol_number number);

/* How the bytes begin by the table's first entry. */
enum framing_first protocol_classify(const char *bytes, size_t length);

/* True if bytes begin so by the entry of this number. */
bool protocol_knows(enum protocol_number number, const char *bytes, size_t length);

/* The entry that bytes are of which the first one does not know, among those whose bits (1 << number) are set.
 * PROTOCOL_COUNT: none, as far as they go. */
enum protocol_number protocol_recognize(unsigned among, const char *bytes, size_t length);

/* The entry, likewise, whose servers speak first, and so. */
enum protocol_number protocol_recognize_greeting(unsigned among, const char *bytes, size_t length);

/* True if the servers of this entry speak first. */
static inline bool protocol_is_greeted(enum protocol_number number)
{
	return protocols[number]->is_greeting;
}

/* True if a connection that begins so is TLS (RFC 8446 5.1: a handshake record), in which nothing can be read. */
bool protocol_is_tls(const char *bytes, size_t length);

/* For exec: an address inside the library, and a number that differs where layouts do. */
uintptr_t protocol_anchor(void);
uint64_t protocol_stamp(void);

/* Makes a copy usable that was taken where the anchor was `anchor`. False if it can't be one. */
bool protocol_arrive(struct protocol_state *state, uintptr_t anchor) __attribute__((warn_unused_result));

static inline const struct protocol *protocol_of(const struct protocol_state *state)
{
	return protocols[state->number];
}

static inline void protocol_feed_request(struct protocol_state *state, struct framing_memo *memo, const char *bytes,
					 size_t length, struct framing_plan *plan)
{
	protocol_of(state)->feed_request(state, memo, bytes, length, plan);
}

static inline void protocol_feed_request_part(struct protocol_state *state, const char *bytes, size_t length,
					      const struct framing_plan *carried_out)
{
	protocol_of(state)->feed_request_part(state, bytes, length, carried_out);
}

static inline void protocol_feed_response(struct protocol_state *state, struct framing_memo *memo, const char *bytes,
					  size_t length, struct framing_plan *plan)
{
	protocol_of(state)->feed_response(state, memo, bytes, length, plan);
}

static inline size_t protocol_feed_answer(struct protocol_state *state, const char *bytes, size_t length,
					  struct framing_plan *plan)
{
	return protocol_of(state)->feed_answer(state, bytes, length, plan);
}

static inline void protocol_feed_end(struct protocol_state *state)
{
	protocol_of(state)->feed_end(state);
}

static inline void protocol_pass_request(struct protocol_state *state, uint64_t length)
{
	protocol_of(state)->pass_request(state, length);
}

static inline void protocol_pass_response(struct protocol_state *state, uint64_t length)
{
	protocol_of(state)->pass_response(state, length);
}

static inline void protocol_forbid_edits(struct protocol_state *state)
{
	protocol_of(state)->forbid_edits(state);
}

/* Inline, since it is asked a dozen times in an exchange: the compiler leaves out what the caller does not look at.
 * Where an answer is needed only sometimes, ask there: protocol_status(state).field costs no more than that field. */
static inline __attribute__((always_inline)) struct protocol_status protocol_status(const struct protocol_state *state)
{
	if (__builtin_expect(state->number == PROTOCOL_HTTP1, 1))
		return http1_status(&state->http1);
	return state->session.status;
}

/* True if the program's wish for an end was withheld from the server: its end of file is ours to make, now or later. */
static inline bool protocol_withholds_end(const struct protocol_state *state)
{
	struct protocol_status status = protocol_status(state);

	return status.owes_end || status.end_is_due;
}

static inline bool protocol_is_late_goodbye(const struct protocol_state *state, const char *bytes, size_t length)
{
	return protocol_of(state)->is_late_goodbye && protocol_of(state)->is_late_goodbye(bytes, length);
}

static inline void protocol_resume(struct protocol_state *state)
{
	if (protocol_of(state)->resume)
		protocol_of(state)->resume(state);
}

static inline bool protocol_is_goodbye(const struct protocol_state *state, const char *bytes, size_t length)
{
	return protocol_of(state)->is_goodbye && protocol_of(state)->is_goodbye(state, bytes, length);
}
