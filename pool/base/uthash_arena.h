/*
 * uthash with its memory taken from pool_sys and with running out of it survivable: by default uthash calls malloc and
 * exit(), neither of which a host could forgive. Include before any other header that includes uthash.
 */
#pragma once

#include <stddef.h>

#include "pool/base/sys.h"

/* Immutable after the first pool's init. */
void uthash_arena_use(const struct pool_sys *sys);
void *uthash_arena_take(size_t size);
void uthash_arena_put(void *memory, size_t size);

#define HASH_NONFATAL_OOM 1
#define uthash_malloc(size) uthash_arena_take(size)
#define uthash_free(memory, size) uthash_arena_put(memory, size)
#include <uthash.h>
