/*
 * Where reuse fails for what the server or the program is (it closes each connection, it speaks TLS), following a
 * connection is nothing but cost. After a few failures in a row connections there are left alone, for a time that
 * doubles from pause to pause; then one is followed again, and decides. The first that is reused ends it.
 *
 * Plain data, covered by the lock of whoever owns it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "pool/conn/refusal.h"

struct bypass {
	uint64_t until_ns; /* when the pause ends, 0: there has been none */
	uint32_t n_failed; /* in a row */
	uint32_t n_pauses; /* in a row */
};

/* True if a connection that begins now must not be followed. */
static inline bool bypass_is_on(const struct bypass *bypass, uint64_t now_ns)
{
	return now_ns < bypass->until_ns;
}

/* A connection was not kept. Counts where the reason is one that the next one will have, too. True if a pause
 * begins. */
bool bypass_note_failure(struct bypass *bypass, enum refusal why, uint64_t now_ns);

/* One was reused. */
void bypass_note_reuse(struct bypass *bypass);
