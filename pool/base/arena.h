/*
 * Memory for objects of one size, taken from the system in chunks and never given back: a pointer into an arena stays
 * readable for the life of the process, which lets a reader look at an object first and prove it current afterwards.
 * Not thread-safe: the owner's lock covers it. No malloc, because the host's malloc may be what called us.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "pool/base/sys.h"

struct arena {
	const struct pool_sys *sys;
	size_t object_size;
	size_t chunk_size;
	void *free_list;
	char *untouched; /* the rest of the newest chunk, never written to */
	size_t n_untouched;
	unsigned n_chunks;
	uint32_t n_used;
};

/* `object_size` in bytes, at least sizeof(void *). Chunks grow: the first has room for one, each further
 * one for eight times as many, up to 64 KiB. */
void arena_init(struct arena *arena, const struct pool_sys *sys, size_t object_size);

/* An object with unspecified contents, or NULL when the system has no memory. */
void *arena_take(struct arena *arena) __attribute__((warn_unused_result));

/* Gives one back. Its first pointer's worth of bytes is overwritten. */
void arena_put(struct arena *arena, void *object);
