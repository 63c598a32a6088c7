/* Two arenas of blocks: nearly all requests fit the small ones. See replay.h. */
#include "shim/sock/replay.h"

#include <string.h>

#include "pool/base/arena.h"
#include "shim/base/lock.h"

#define BLOCK_SMALL 4096u

static struct guard_lock lock; /* covers both arenas */
static struct arena small_blocks, large_blocks;

void outgoing_init(const struct pool_sys *sys)
{
	arena_init(&small_blocks, sys, BLOCK_SMALL);
	arena_init(&large_blocks, sys, OUTGOING_MAX);
}

static struct arena *arena_for(uint32_t capacity)
{
	return capacity == BLOCK_SMALL ? &small_blocks : &large_blocks;
}

void outgoing_reset(struct outgoing *outgoing)
{
	outgoing->length = 0;
	outgoing->n_edits = 0;
	outgoing->inserted = 0;
	outgoing->is_complete = true;
}

void outgoing_note_blank(struct outgoing *outgoing, size_t at, size_t length)
{
	if (outgoing->n_edits == OUTGOING_MAX_EDITS || at > UINT16_MAX || length != 5)
		outgoing->is_complete = false;
	else
		outgoing->edits[outgoing->n_edits++] = (uint16_t)at;
}

void outgoing_note_insertion(struct outgoing *outgoing, size_t at, size_t length)
{
	if (outgoing->inserted || at > UINT16_MAX)
		outgoing->is_complete = false;
	outgoing->inserted_at = (uint16_t)at;
	outgoing->inserted = (uint16_t)length;
}

void outgoing_unedit(struct outgoing *outgoing)
{
	size_t behind = outgoing->inserted_at + (size_t)outgoing->inserted;

	if (outgoing->inserted) {
		memmove(outgoing->bytes + outgoing->inserted_at, outgoing->bytes + behind, outgoing->length - behind);
		outgoing->length -= outgoing->inserted;
	}
	for (unsigned i = 0; i < outgoing->n_edits; i++)
		memcpy(outgoing->bytes + outgoing->edits[i], "close", 5);
	outgoing->n_edits = 0;
	outgoing->inserted = 0;
}

bool outgoing_reserve(struct outgoing *outgoing, size_t more)
{
	struct outgoing old = *outgoing;
	char *bytes;

	if (more > OUTGOING_MAX || outgoing->length + more > OUTGOING_MAX)
		return false;
	if (outgoing->bytes && outgoing->length + more <= outgoing->capacity)
		return true;
	if (!guard_lock_try(&lock))
		return false;
	outgoing->capacity = outgoing->length + more <= BLOCK_SMALL ? BLOCK_SMALL : OUTGOING_MAX;
	bytes = arena_take(arena_for(outgoing->capacity));
	if (!bytes) {
		*outgoing = old;
	} else {
		outgoing->bytes = bytes;
		if (old.bytes) {
			memcpy(bytes, old.bytes, old.length);
			arena_put(arena_for(old.capacity), old.bytes);
		}
	}
	guard_unlock(&lock);
	return bytes != NULL;
}

void outgoing_free(struct outgoing *outgoing, bool is_complete)
{
	if (outgoing->bytes && guard_lock_try(&lock)) {
		arena_put(arena_for(outgoing->capacity), outgoing->bytes);
		guard_unlock(&lock);
	}
	/* Without the lock the block is lost: a leak of a few KiB in a signal handler's corner, better than a wait. */
	outgoing->bytes = NULL;
	outgoing->capacity = 0;
	outgoing_reset(outgoing);
	outgoing->is_complete = is_complete;
}

void outgoing_after_fork(void)
{
	if (!lock.owner)
		return;
	arena_init(&small_blocks, small_blocks.sys, BLOCK_SMALL);
	arena_init(&large_blocks, large_blocks.sys, OUTGOING_MAX);
	lock.owner = 0;
}
