/*
 * Memory for bytes in transit: blocks of two sizes from arenas, since nearly all requests fit a small one. No malloc,
 * as in arena.h; not thread-safe: the owner's lock covers it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pool/base/arena.h"

#define BLOCK_SMALL 4096u
#define BLOCK_MAX 65536u

/* Plain data: whoever has the newest copy has the block. All zero: none. */
struct block {
	char *bytes;
	uint32_t capacity;
};

struct block_store {
	struct arena small, large;
};

void block_store_init(struct block_store *store, const struct pool_sys *sys);

/* True if it holds that many bytes already. */
static inline bool block_holds(const struct block *block, size_t length)
{
	return block->bytes && length <= block->capacity;
}

/* Makes it hold `length` bytes, of which the first `used` move with it. False, and nothing has changed, if that is more
 * than BLOCK_MAX or there is no memory. */
bool block_store_grow(struct block_store *store, struct block *block, size_t used, size_t length)
	__attribute__((warn_unused_result));

/* Takes it back. */
void block_store_put(struct block_store *store, struct block *block);
