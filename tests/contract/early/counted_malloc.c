/* See counted_malloc.h. Freed memory is not reused: the runs are short. */
#include "tests/contract/early/counted_malloc.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#define ROOM (64u << 20)
#define ALIGNMENT 16u

__thread const char *counted_inside;
static _Alignas(ALIGNMENT) char room[ROOM];
static size_t used; /* under the lock, like `setup` */
static struct counted_setup setup;
static atomic_bool locked;
static _Atomic(const void *) owner; /* a variable of the thread that holds the lock */
static _Atomic(unsigned) n_allocations, n_refusals;
static __thread bool is_telling;

/* Precedes each block. */
struct header {
	_Alignas(ALIGNMENT) size_t size;
};

static void lock(void)
{
	/* A real allocator would hang here: a function that it called asks it for memory. */
	if (owner == &counted_inside)
		abort();
	while (atomic_exchange(&locked, true))
		;
	owner = &counted_inside;
}

static void unlock(void)
{
	owner = NULL;
	locked = false;
}

/* The start of jemalloc and tcmalloc: sizes, settings from files, by libc's functions and by system calls of their
 * own. */
static void set_up(void)
{
	struct pollfd pollfd = {.fd = -1};
	struct rlimit limit;
	char bytes[64];
	int fd;

	setup.times++;
	setup.page_size = sysconf(_SC_PAGESIZE);
	setup.open_max = sysconf(_SC_OPEN_MAX);
	setup.processors = sysconf(_SC_NPROCESSORS_ONLN);
	setup.thread = syscall(SYS_gettid) - getpid();
	fd = open("/proc/sys/vm/overcommit_memory", O_RDONLY | O_CLOEXEC);
	setup.flags = fcntl(fd, F_GETFD);
	setup.bytes_read = read(fd, bytes, sizeof bytes);
	setup.closed = close(fd);
	fd = (int)syscall(SYS_openat, AT_FDCWD, "/dev/zero", O_RDONLY | O_CLOEXEC);
	setup.bytes_read += syscall(SYS_read, fd, bytes, sizeof bytes);
	setup.closed += syscall(SYS_close, fd);
	setup.limit = getrlimit(RLIMIT_NOFILE, &limit);
	setup.poll_result = poll(&pollfd, 1, 0);
}

static bool refuse(const char *function, size_t size)
{
	const char *inside = counted_inside;

	if (!inside || is_telling)
		return false;
	is_telling = true;
	n_refusals++;
	say("%s of %zu bytes refused inside %s", function, size, inside);
	is_telling = false;
	return true;
}

/* Never used before, so all of it is zero. */
static void *take(const char *function, size_t alignment, size_t size)
{
	int saved = errno;
	uintptr_t begin;

	if (refuse(function, size) || size > ROOM) {
		errno = ENOMEM;
		return NULL;
	}
	lock();
	if (!setup.times)
		set_up();
	/* Later, too, nothing is asked of it outside its lock. */
	sysconf(_SC_OPEN_MAX);
	syscall(SYS_gettid);
	begin = ((uintptr_t)room + used + sizeof(struct header) + alignment - 1) & ~(uintptr_t)(alignment - 1);
	if (begin + size > (uintptr_t)room + ROOM) {
		unlock();
		errno = ENOMEM;
		return NULL;
	}
	used = (begin + size - (uintptr_t)room + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
	unlock();
	n_allocations++;
	((struct header *)begin)[-1].size = size;
	errno = saved;
	return (void *)begin;
}

void *malloc(size_t size)
{
	return take("malloc", ALIGNMENT, size);
}

void *calloc(size_t n, size_t size)
{
	size_t all;

	if (__builtin_mul_overflow(n, size, &all)) {
		errno = ENOMEM;
		return NULL;
	}
	return take("calloc", ALIGNMENT, all);
}

void *realloc(void *block, size_t size)
{
	void *other = take("realloc", ALIGNMENT, size);

	if (block && other)
		memcpy(other, block, size < malloc_usable_size(block) ? size : malloc_usable_size(block));
	return other;
}

void free(void *block)
{
	if (block)
		refuse("free", malloc_usable_size(block));
}

void *memalign(size_t alignment, size_t size)
{
	return take("memalign", alignment < ALIGNMENT ? ALIGNMENT : alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	return memalign(alignment, size);
}

int posix_memalign(void **block, size_t alignment, size_t size)
{
	*block = memalign(alignment, size);
	return *block ? 0 : ENOMEM;
}

void *valloc(size_t size)
{
	return memalign(4096, size);
}

void *pvalloc(size_t size)
{
	return memalign(4096, (size + 4095) & ~(size_t)4095);
}

size_t malloc_usable_size(void *block)
{
	return block ? ((struct header *)block)[-1].size : 0;
}

unsigned counted_allocations(void)
{
	return n_allocations;
}

unsigned counted_refusals(void)
{
	return n_refusals;
}

struct counted_setup counted_setup(void)
{
	return setup;
}
