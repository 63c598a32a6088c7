/* Chunks from the system, handed out one object after the other; what comes back is a list through the objects'
 * first bytes. See arena.h. */
#include "pool/base/arena.h"

#include <string.h>

#define CHUNK_MIN (64u * 1024)
/* Each chunk has room for so many times what the one before it had. */
#define GROWTH_SHIFT 3u
#define MAX_GROWTHS 5u

void arena_init(struct arena *arena, const struct pool_sys *sys, size_t object_size)
{
	size_t align = _Alignof(max_align_t);

	arena->sys = sys;
	arena->object_size = (object_size + align - 1) / align * align;
	arena->chunk_size = arena->object_size > CHUNK_MIN ? arena->object_size : CHUNK_MIN;
	arena->free_list = NULL;
	arena->untouched = NULL;
	arena->n_untouched = 0;
	arena->n_chunks = 0;
	arena->n_used = 0;
}

static int grow(struct arena *arena)
{
	/* Most processes need one of a thing, or a few: those lie together, on few pages. */
	unsigned shift = GROWTH_SHIFT * (arena->n_chunks < MAX_GROWTHS ? arena->n_chunks : MAX_GROWTHS);
	size_t size = arena->object_size << shift;

	if (size > arena->chunk_size)
		size = arena->chunk_size;
	arena->untouched = arena->sys->map(size);
	if (!arena->untouched)
		return -1;
	arena->n_untouched = size / arena->object_size;
	arena->n_chunks++;
	return 0;
}

/* The next one of a chunk, whose memory the system gives when it is first written to. */
static void *take_untouched(struct arena *arena)
{
	void *object = arena->untouched;

	arena->untouched += arena->object_size;
	arena->n_untouched--;
	return object;
}

void *arena_take(struct arena *arena)
{
	void *object = arena->free_list;

	if (object)
		memcpy(&arena->free_list, object, sizeof(void *));
	else if (arena->n_untouched || grow(arena) == 0)
		object = take_untouched(arena);
	else
		return NULL;
	arena->n_used++;
	return object;
}

void arena_put(struct arena *arena, void *object)
{
	memcpy(object, &arena->free_list, sizeof(void *));
	arena->free_list = object;
	arena->n_used--;
}
