/*
 * The table of protocols: all that an owner of a connection (the shim, a relay) needs to know of what is spoken on it.
 * HTTP/1 is its first entry (pool/proto/http1/http1.h). A second one is one folder, a number, a member of the union, a
 * line in protocol.c and a case in protocol_status().
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

/* By their numbers. */
extern const struct protocol *const protocols[];

/* Begins a connection of which no byte has been seen, by the table's first entry: others are found by what is said on
 * it. */
void protocol_begin(struct protocol_state *state, bool may_edit);

/* How the bytes begin by that entry of the table which knows them. */
enum framing_first protocol_classify(const char *bytes, size_t length);

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
	switch (state->number) {
	case PROTOCOL_HTTP1:
		return http1_status(&state->http1);
	}
	__builtin_unreachable();
}

/* True if the program's wish for an end was withheld from the server: its end of file is ours to make, now or later. */
static inline bool protocol_withholds_end(const struct protocol_state *state)
{
	struct protocol_status status = protocol_status(state);

	return status.owes_end || status.end_is_due;
}

static inline bool protocol_wants_fresh(const struct protocol_state *state, const char *bytes, size_t length)
{
	return protocol_of(state)->wants_fresh && protocol_of(state)->wants_fresh(bytes, length);
}

static inline bool protocol_is_late_goodbye(const struct protocol_state *state, const char *bytes, size_t length)
{
	return protocol_of(state)->is_late_goodbye && protocol_of(state)->is_late_goodbye(bytes, length);
}

static inline enum protocol_reset protocol_reset(const struct protocol_state *state, uint64_t nonce, char *bytes,
						 size_t *length)
{
	return protocol_of(state)->reset ? protocol_of(state)->reset(state, nonce, bytes, length)
					 : PROTOCOL_RESET_NEEDLESS;
}

static inline size_t protocol_farewell(const struct protocol_state *state, char *bytes)
{
	return protocol_of(state)->farewell ? protocol_of(state)->farewell(state, bytes) : 0;
}
