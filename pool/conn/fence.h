/*
 * A fence: a command of ours on a kept connection whose answer proves that all before it is over, and what that answer
 * has to be. The entry of the protocol's table writes the command and knows the answer (pool/proto/entry.h).
 *
 * Plain data, which processes share (pool/share/slots.h). All zero: nothing is awaited.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct fence {
	uint64_t nonce;	   /* part of the answer, where the fence has one; else the entry's own: the place in one */
	uint16_t parts;	   /* the entry's own: what was asked */
	uint16_t n_due;	   /* bytes of the answer in all, 1 for one of unknown length; 0: nothing was asked */
	uint16_t n_proven; /* of those, how many have come and were right */
	uint16_t is_plain; /* nothing but the reset was asked: a wrong answer tells of the server */
};

/* Bytes of the answer that have not been looked at. */
static inline unsigned fence_n_awaited(const struct fence *fence)
{
	return fence->n_due > fence->n_proven ? (unsigned)fence->n_due - fence->n_proven : 0;
}

/* A bit for what was asked, or none. */
static inline uint32_t fence_kind(const struct fence *fence)
{
	return fence->parts < 32 ? UINT32_C(1) << fence->parts : 0;
}

/* True if its answer can be told from what comes behind it before it is here. */
static inline bool fence_has_known_length(const struct fence *fence)
{
	return fence->n_due > 1;
}

/* How far the bytes of an answer are the proof that was asked for. */
enum fence_proof {
	FENCE_PROOF_GOOD,  /* they are right, as far as they go */
	FENCE_PROOF_WRONG, /* they are something else */
	FENCE_PROOF_NEVER, /* likewise, and this server will never answer otherwise */
};

/* Takes bytes that have to continue an answer which is known as a whole. False: they don't. */
static inline bool fence_prove_equal(struct fence *fence, const char *answer, size_t n, const char *bytes,
				     size_t length)
{
	if (n != fence->n_due || fence->n_proven > n || length > n - fence->n_proven ||
	    memcmp(answer + fence->n_proven, bytes, length) != 0)
		return false;
	fence->n_proven = (uint16_t)(fence->n_proven + length);
	return true;
}
