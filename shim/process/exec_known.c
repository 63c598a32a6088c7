/* See exec_known.h. */
#include "shim/process/exec_known.h"

#include <stdatomic.h>
#include <stdint.h>
#include <sys/stat.h>

#include "shim/base/real.h"

#define KNOWN_SHIFT 60
#define KNOWN_FILES (1u << (64 - KNOWN_SHIFT))

/* Of an entry: the kind, and a bit that tells it from an empty one. The rest is the file's. */
#define KIND_BITS 2
#define IS_NOTED (1u << KIND_BITS)
#define IN_USE (IS_NOTED << 1) /* from here on */

/* A kernel's tick is shorter. */
#define CHANGED_LATELY_S 2

/* Each in the place that its own bits say. */
static _Atomic(uint64_t) known[KNOWN_FILES];

static uint64_t mix(uint64_t sum, uint64_t value)
{
	sum = (sum ^ value) * UINT64_C(0x9e3779b97f4a7c15);
	return sum ^ sum >> 32;
}

/* The time of the last change of its inode (st_ctim) cannot be set by programs. */
static uint64_t entry_of(const struct stat *status, enum exec_kind kind)
{
	uint64_t sum = mix(mix(0, (uint64_t)status->st_dev), (uint64_t)status->st_ino);

	sum = mix(mix(sum, (uint64_t)status->st_ctim.tv_sec), (uint64_t)status->st_ctim.tv_nsec);
	sum = mix(sum, (uint64_t)status->st_size);
	return (sum & ~(uint64_t)(IN_USE - 1)) | IS_NOTED | (uint64_t)kind;
}

bool exec_known_find(const struct stat *status, enum exec_kind *kind)
{
	uint64_t wanted = entry_of(status, EXEC_KIND_WITH_US);
	uint64_t found = atomic_load_explicit(&known[wanted >> KNOWN_SHIFT], memory_order_relaxed);

	if ((found & ~(uint64_t)(IS_NOTED - 1)) != wanted)
		return false;
	*kind = (enum exec_kind)(found & (IS_NOTED - 1));
	return true;
}

void exec_known_note(const struct stat *status, enum exec_kind kind)
{
	uint64_t entry = entry_of(status, kind);
	struct timespec now;

	if (libc.clock_gettime(CLOCK_REALTIME_COARSE, &now) == 0 &&
	    status->st_ctim.tv_sec + CHANGED_LATELY_S < now.tv_sec)
		atomic_store_explicit(&known[entry >> KNOWN_SHIFT], entry, memory_order_relaxed);
}
