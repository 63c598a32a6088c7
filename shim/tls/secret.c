/* See secret.h. */
#include "shim/tls/secret.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "pool/conn/destination.h"
#include "shim/base/log.h"
#include "shim/base/real.h"

#define PAGE 4096u
#define SHARE 4

static _Atomic(uint64_t) limit; /* what we may lock; 0: not asked yet, 1: nothing */
static _Atomic(uint64_t) n_locked;
static _Atomic(bool) was_told;

static uintptr_t first_page(const void *memory)
{
	return (uintptr_t)memory / PAGE * PAGE;
}

static size_t pages_of(const void *memory, size_t length)
{
	return ((uintptr_t)memory + length - first_page(memory) + PAGE - 1) / PAGE * PAGE;
}

static uint64_t ask_limit(void)
{
	struct rlimit found;
	uint64_t ours = 1;

	if (libc.syscall(SYS_prlimit64, 0, RLIMIT_MEMLOCK, NULL, &found) == 0)
		ours = found.rlim_cur == RLIM_INFINITY ? UINT64_MAX : found.rlim_cur / SHARE + 1;
	limit = ours;
	return ours;
}

static void tell_once(void)
{
	static const struct destination_key none;

	if (!atomic_exchange(&was_told, true))
		log_write("not locked", &none, -1, "memlock_limit");
}

bool secret_lock(const void *memory, size_t length)
{
	size_t size = pages_of(memory, length);
	uint64_t ours = limit ? limit : ask_limit();
	int saved = errno;
	bool done;

	done = atomic_fetch_add(&n_locked, size) + size < ours &&
	       libc.syscall(SYS_mlock, first_page(memory), size) == 0;
	if (!done) {
		atomic_fetch_sub(&n_locked, size);
		tell_once();
	}
	errno = saved;
	return done;
}

void secret_unlock(const void *memory, size_t length)
{
	size_t size = pages_of(memory, length);
	int saved = errno;

	libc.syscall(SYS_munlock, first_page(memory), size);
	atomic_fetch_sub(&n_locked, size);
	errno = saved;
}
