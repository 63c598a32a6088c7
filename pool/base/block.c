/* See block.h. */
#include "pool/base/block.h"

#include <string.h>

void block_store_init(struct block_store *store, const struct pool_sys *sys)
{
	arena_init(&store->small, sys, BLOCK_SMALL);
	arena_init(&store->large, sys, BLOCK_MAX);
}

static struct arena *arena_for(struct block_store *store, uint32_t capacity)
{
	return capacity == BLOCK_SMALL ? &store->small : &store->large;
}

bool block_store_grow(struct block_store *store, struct block *block, size_t used, size_t length)
{
	struct block old = *block;
	uint32_t capacity = length <= BLOCK_SMALL ? BLOCK_SMALL : BLOCK_MAX;
	char *bytes;

	if (length > BLOCK_MAX)
		return false;
	if (block_holds(block, length))
		return true;
	bytes = arena_take(arena_for(store, capacity));
	if (!bytes)
		return false;
	if (old.bytes) {
		memcpy(bytes, old.bytes, used);
		arena_put(arena_for(store, old.capacity), old.bytes);
	}
	*block = (struct block){bytes, capacity};
	return true;
}

void block_store_put(struct block_store *store, struct block *block)
{
	if (block->bytes)
		arena_put(arena_for(store, block->capacity), block->bytes);
	*block = (struct block){0};
}
