/*
 * Memory with keys that outlive a handshake: locked, so that it is not swapped out (mlock(2)). The program's limit for
 * that (RLIMIT_MEMLOCK) is its own: a quarter of it is taken at most. What doesn't fit is not locked, and the log says
 * so once. (None of it is in core dumps: its mappings are MADV_DONTDUMP.)
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Locks the pages that it lies in, which hold nothing of anybody else's. False: they are not. */
bool secret_lock(const void *memory, size_t length);

/* ... of one that was. */
void secret_unlock(const void *memory, size_t length);
