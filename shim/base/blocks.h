/*
 * The process's blocks of memory for bytes in transit (pool/base/block.h), with their lock: for wrappers, which can't
 * use malloc.
 */
#pragma once

#include "pool/base/block.h"

void blocks_init(const struct pool_sys *sys);

/* Makes a block hold `length` bytes, of which the first `used` are kept. False, and nothing has changed, if that is
 * more than BLOCK_MAX, or there is no memory, or the lock can't be had. */
bool blocks_grow(struct block *block, size_t used, size_t length) __attribute__((warn_unused_result));

/* Gives it back. */
void blocks_put(struct block *block);

/* In a fork's child, before locks lose their owners: start from nothing if it was held. */
void blocks_after_fork(void);
