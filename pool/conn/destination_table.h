/*
 * Destinations by key (uthash), remembered for what was learned about them, but not without end: those that are in use,
 * and the most recently used thousand.
 * Not thread-safe. No allocation but through pool_sys.map; running out of memory is reported, never fatal.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "pool/base/arena.h"
#include "pool/conn/destination.h"

struct destination_table {
	struct destination *by_key; /* hash table */
	struct destination *recent; /* the same, least recently used first */
	uint32_t n;
	size_t object_size;
	bool (*is_in_use)(const struct destination *destination);
	struct arena arena;
};

/* `object_size`: of an object that begins with a struct destination. `sys` is borrowed. */
void destination_table_init(struct destination_table *table, const struct pool_sys *sys, size_t object_size,
			    bool (*is_in_use)(const struct destination *destination));

/* The destination for a key; NULL if there is none. Borrowed: it may be reaped once it is not in use any more and
 * another one is added. */
struct destination *destination_table_find(struct destination_table *table, const struct destination_key *key);

/* The same, made if it is new, zeroed but for its key. NULL when there is no memory. */
struct destination *destination_table_take(struct destination_table *table, const struct destination_key *key);
