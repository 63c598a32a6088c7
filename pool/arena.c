/* Chunks from the system, a free list through the objects' first bytes. See arena.h. */
#include "pool/arena.h"

#include <string.h>

#define CHUNK_MIN (64u * 1024)

void arena_init(struct arena *arena, const struct pool_sys *sys, size_t object_size)
{
	size_t align = _Alignof(max_align_t);

	arena->sys = sys;
	arena->object_size = (object_size + align - 1) / align * align;
	arena->chunk_size = arena->object_size > CHUNK_MIN ? arena->object_size : CHUNK_MIN;
	arena->free_list = NULL;
	arena->n_used = 0;
}

static int grow(struct arena *arena)
{
	char *chunk = arena->sys->map(arena->chunk_size);
	size_t n = arena->chunk_size / arena->object_size;

	if (!chunk)
		return -1;
	/* Backwards, so that objects are handed out in the order of their addresses. */
	while (n--) {
		void *object = chunk + n * arena->object_size;

		memcpy(object, &arena->free_list, sizeof(void *));
		arena->free_list = object;
	}
	return 0;
}

void *arena_take(struct arena *arena)
{
	void *object;

	if (!arena->free_list && grow(arena) < 0)
		return NULL;
	object = arena->free_list;
	memcpy(&arena->free_list, object, sizeof(void *));
	arena->n_used++;
	return object;
}

void arena_put(struct arena *arena, void *object)
{
	memcpy(object, &arena->free_list, sizeof(void *));
	arena->free_list = object;
	arena->n_used--;
}
