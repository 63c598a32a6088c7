/* See blocks.h. */
#include "shim/base/blocks.h"

#include "shim/base/lock.h"

static struct guard_lock lock; /* covers `store` */
static struct block_store store;

void blocks_init(const struct pool_sys *sys)
{
	block_store_init(&store, sys);
}

bool blocks_grow(struct block *block, size_t used, size_t length)
{
	bool done;

	if (block_holds(block, length))
		return true;
	if (length > BLOCK_MAX || !guard_lock_try(&lock))
		return false;
	done = block_store_grow(&store, block, used, length);
	guard_unlock(&lock);
	return done;
}

void blocks_put(struct block *block)
{
	if (block->bytes && guard_lock_try(&lock)) {
		block_store_put(&store, block);
		guard_unlock(&lock);
	}
	/* Without the lock the block is lost: a leak of a few KiB in a signal handler's corner, better than a wait. */
	*block = (struct block){0};
}

void blocks_after_fork(void)
{
	if (lock.owner)
		block_store_init(&store, store.small.sys);
}
