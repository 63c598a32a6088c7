/* See board.h. */
#include "shim/kept/board.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "pool/base/clock.h"
#include "pool/share/board_view.h"
#include "shim/base/home.h"
#include "shim/base/lock.h"
#include "shim/base/real.h"
#include "shim/kept/pool.h"

#define LOOK_AGAIN_NS SECOND_NS

static struct guard_lock board_lock; /* covers what follows, as far as looking goes */
static struct broker_board_view view;
static _Atomic(uint64_t) next_look_ns;
static _Atomic(bool) has_glanced; /* many a process has only one question */

/* By number: no preloaded library's own idea of files, no cancellation. */
static int stat_file(int fd, const char *path, struct stat *status)
{
	int at = path ? AT_FDCWD : fd, flags = path ? AT_SYMLINK_NOFOLLOW : AT_EMPTY_PATH;

	return (int)libc.syscall(SYS_newfstatat, at, path ? path : "", status, flags);
}

/* A pipe in its place is not to hold us. */
static int open_file(const char *path)
{
	int flags = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
	int fd = (int)libc.syscall(SYS_openat, AT_FDCWD, path, O_RDWR | flags);

	/* Another user's, or in a file system that is only to be read. */
	return fd >= 0 ? fd : (int)libc.syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | flags);
}

static int close_file(int fd)
{
	return real.close(fd);
}

static ssize_t read_file(int fd, void *bytes, size_t length, uint64_t offset)
{
	return libc.syscall(SYS_pread64, fd, bytes, length, offset);
}

static void *map_file(int fd, uint64_t length, void *place, bool *is_writable)
{
	int flags = MAP_SHARED | (place ? MAP_FIXED : 0);
	void *mapped = libc.mmap(place, length, PROT_READ | PROT_WRITE, flags, fd, 0);
	bool has_to_be = *is_writable;

	*is_writable = mapped != MAP_FAILED;
	if (mapped == MAP_FAILED && !has_to_be)
		mapped = libc.mmap(place, length, PROT_READ, flags, fd, 0);
	return mapped == MAP_FAILED ? NULL : mapped;
}

static const struct pool_sys board_sys = {
	.open_file = open_file,
	.close_file = close_file,
	.stat_file = stat_file,
	.read_file = read_file,
	.map_file = map_file,
};

static void look_again(uint64_t now_ns)
{
	int saved = errno;

	if (now_ns < next_look_ns || !guard_is_home() || !guard_lock_try(&board_lock))
		return;
	next_look_ns = now_ns + LOOK_AGAIN_NS;
	broker_board_view_look(&view, &board_sys, sock_config->broker_path, geteuid());
	guard_unlock(&board_lock);
	errno = saved;
}

static uint32_t glance(const struct destination_key *key)
{
	int saved = errno;
	uint32_t n_held;

	if (!guard_lock_try(&board_lock))
		return UINT32_MAX;
	n_held = broker_board_view_glance(&view, &board_sys, sock_config->broker_path, geteuid(), key);
	guard_unlock(&board_lock);
	errno = saved;
	return n_held;
}

uint32_t board_n_held(const struct destination_key *key, uint64_t now_ns)
{
	if (!atomic_exchange(&has_glanced, true) && guard_is_home())
		return glance(key);
	look_again(now_ns);
	return broker_board_view_n_held(&view, key);
}

struct broker_board *board_shelf(void)
{
	return broker_board_view_shelf(&view);
}

void board_after_fork(void)
{
	view.is_current = false;
	has_glanced = false;
	next_look_ns = 0;
}
