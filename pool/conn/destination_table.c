/* See destination_table.h. */
#include "pool/base/uthash_arena.h"

#include "pool/conn/destination_table.h"

#include <string.h>
#include <utlist.h>

#define REMEMBERED 1024
#define REAP_STEPS 8

void destination_table_init(struct destination_table *table, const struct pool_sys *sys, size_t object_size,
			    bool (*is_in_use)(const struct destination *destination))
{
	memset(table, 0, sizeof(*table));
	table->object_size = object_size;
	table->is_in_use = is_in_use;
	arena_init(&table->arena, sys, object_size);
	uthash_arena_use(sys);
}

/* Forgets the least recently used ones. Those in use go to the list's end, or one with a connection that stays open
 * would shield all after it; a few steps a call make up for many in use, and for times when all were. */
static void reap(struct destination_table *table)
{
	for (int i = 0; i < REAP_STEPS && table->n >= REMEMBERED; i++) {
		struct destination *destination = table->recent;

		DL_DELETE2(table->recent, destination, recent_prev, recent_next);
		if (table->is_in_use(destination)) {
			DL_APPEND2(table->recent, destination, recent_prev, recent_next);
			continue;
		}
		HASH_DEL(table->by_key, destination);
		table->n--;
		arena_put(&table->arena, destination);
	}
}

static struct destination *add(struct destination_table *table, const struct destination_key *key)
{
	unsigned length = destination_key_length(key);
	struct destination *destination;

	reap(table);
	destination = arena_take(&table->arena);
	if (!destination)
		return NULL;
	memset(destination, 0, table->object_size);
	destination->key = *key;
	HASH_ADD_KEYPTR(hh, table->by_key, &destination->key, length, destination);
	if (!destination->hh.tbl) {
		/* HASH_NONFATAL_OOM: it is not in the table. */
		arena_put(&table->arena, destination);
		return NULL;
	}
	DL_APPEND2(table->recent, destination, recent_prev, recent_next);
	table->n++;
	return destination;
}

struct destination *destination_table_find(struct destination_table *table, const struct destination_key *key)
{
	unsigned length = destination_key_length(key);
	/* A list's head's `prev` is its tail, the most recent one: most programs go there again. */
	struct destination *destination = table->recent ? table->recent->recent_prev : NULL;

	if (destination && destination_key_equal(&destination->key, key))
		return destination;
	HASH_FIND(hh, table->by_key, key, length, destination);
	if (destination) {
		DL_DELETE2(table->recent, destination, recent_prev, recent_next);
		DL_APPEND2(table->recent, destination, recent_prev, recent_next);
	}
	return destination;
}

struct destination *destination_table_take(struct destination_table *table, const struct destination_key *key)
{
	struct destination *destination = destination_table_find(table, key);

	return destination ? destination : add(table, key);
}
