/* See board.h. */
#include "shim/kept/board.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "pool/base/clock.h"
#include "pool/share/board.h"
#include "shim/base/home.h"
#include "shim/base/lock.h"
#include "shim/base/real.h"
#include "shim/kept/pool.h"

#define LOOK_AGAIN_NS SECOND_NS

static struct guard_lock board_lock;	      /* covers what follows; the pointer is also read without it */
static _Atomic(struct broker_board *) memory; /* never unmapped: another board goes in its place, at once for all */
static _Atomic(bool) is_current;	      /* what is there may be believed */
static _Atomic(uint64_t) next_look_ns;
static dev_t device;
static ino_t inode;

static bool make_path(char path[PATH_MAX])
{
	size_t length = strlen(sock_config->broker_path);

	if (length + sizeof(BROKER_BOARD_SUFFIX) > PATH_MAX)
		return false;
	memcpy(path, sock_config->broker_path, length);
	memcpy(path + length, BROKER_BOARD_SUFFIX, sizeof(BROKER_BOARD_SUFFIX));
	return true;
}

/* By number: no preloaded library's own idea of files, no cancellation. `path` "": `at` itself. */
static bool find(int at, const char *path, struct stat *status)
{
	int flags = *path ? AT_SYMLINK_NOFOLLOW : AT_EMPTY_PATH;

	return libc.syscall(SYS_newfstatat, at, path, status, flags) == 0;
}

/* Only one that nobody else can write to, or cut short under us. */
static bool is_trusted(const struct stat *status)
{
	return S_ISREG(status->st_mode) && (status->st_uid == geteuid() || status->st_uid == 0) &&
	       !(status->st_mode & (S_IWGRP | S_IWOTH)) && status->st_size >= (off_t)sizeof(struct broker_board);
}

static bool map(int fd, const struct stat *status)
{
	struct broker_board *old = memory;
	void *mapped = mmap(old, sizeof(*old), PROT_READ, MAP_SHARED | (old ? MAP_FIXED : 0), fd, 0);

	if (mapped == MAP_FAILED)
		return false;
	memory = mapped;
	device = status->st_dev;
	inode = status->st_ino;
	return broker_board_is_sound(mapped, sizeof(*old));
}

static bool look(void)
{
	char path[PATH_MAX];
	struct stat status;
	bool is_found;
	int fd;

	if (!make_path(path))
		return false;
	if (is_current && find(AT_FDCWD, path, &status) && status.st_dev == device && status.st_ino == inode)
		return true;
	is_current = false;
	/* A pipe in its place is not to hold us. */
	fd = (int)libc.syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return false;
	is_found = find(fd, "", &status) && is_trusted(&status) && map(fd, &status);
	real.close(fd);
	return is_found;
}

static void look_again(uint64_t now_ns)
{
	int saved = errno;

	if (now_ns < next_look_ns || !guard_is_home() || !guard_lock_try(&board_lock))
		return;
	next_look_ns = now_ns + LOOK_AGAIN_NS;
	is_current = look();
	guard_unlock(&board_lock);
	errno = saved;
}

uint32_t board_n_held(const struct destination_key *key, uint64_t now_ns)
{
	look_again(now_ns);
	return is_current ? broker_board_n_held(memory, key) : UINT32_MAX;
}

void board_after_fork(void)
{
	board_lock.owner = 0;
	atomic_store(&board_lock.is_lost, false);
	is_current = false;
	next_look_ns = 0;
}
