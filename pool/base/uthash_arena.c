/* Memory for hash tables. Few and long-lived, so pages straight from the system do. See uthash_arena.h. */
#include "pool/base/uthash_arena.h"

static const struct pool_sys *table_sys;

void uthash_arena_use(const struct pool_sys *sys)
{
	table_sys = sys;
}

void *uthash_arena_take(size_t size)
{
	return table_sys->map(size);
}

void uthash_arena_put(void *memory, size_t size)
{
	table_sys->unmap(memory, size);
}
