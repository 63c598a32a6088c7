/* See fdtable.h. */
#include "shim/fdtable.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "shim/real.h"
#include "shim/sock.h"

_Atomic(struct sock *) fdtable[FDTABLE_SIZE];
struct sock fdtable_internal;

static _Atomic(int) end; /* only grows */
static _Atomic(int) n_internal;

bool fdtable_set(int fd, struct sock *sock)
{
	int seen = atomic_load_explicit(&end, memory_order_relaxed);

	if ((unsigned)fd >= FDTABLE_SIZE)
		return false;
	while (sock && seen <= fd && !atomic_compare_exchange_weak(&end, &seen, fd + 1))
		;
	atomic_store_explicit(&fdtable[fd], sock, memory_order_release);
	return true;
}

int fdtable_end(void)
{
	return atomic_load_explicit(&end, memory_order_relaxed);
}

/* Room above the soft limit that we ask for, and below it where there is no room above. */
#define HIGH_ROOM 16384

/* The program's limit is raised for the instant of one system call. The window in which another thread could see it
 * raised is harmless: it may get one descriptor more than its limit. */
static bool raise_limit(struct rlimit *saved)
{
	struct rlimit raised;

	if (getrlimit(RLIMIT_NOFILE, saved) < 0 || saved->rlim_cur >= saved->rlim_max ||
	    saved->rlim_cur >= FDTABLE_SIZE)
		return false;
	raised = *saved;
	raised.rlim_cur = saved->rlim_max - saved->rlim_cur > HIGH_ROOM ? saved->rlim_cur + HIGH_ROOM : saved->rlim_max;
	return setrlimit(RLIMIT_NOFILE, &raised) == 0;
}

int fdtable_dup_high(int fd)
{
	struct rlimit limit = {0};
	bool raised = raise_limit(&limit);
	rlim_t floor = limit.rlim_cur;
	int high;

	if (!raised) {
		/* Among the program's own: a sixteenth of them at the most. */
		if (atomic_load(&n_internal) >= (int)(floor / 16))
			return -EMFILE;
		floor = floor > FDTABLE_SIZE ? FDTABLE_SIZE : floor;
		floor -= floor / 4;
	}
	high = REAL(fcntl)(fd, F_DUPFD_CLOEXEC, (int)floor);
	if (high < 0)
		high = -errno;
	if (raised)
		setrlimit(RLIMIT_NOFILE, &limit);
	if (high >= 0 && !fdtable_set(high, &fdtable_internal)) {
		real.close(high);
		return -EMFILE;
	}
	atomic_fetch_add(&n_internal, high >= 0);
	return high;
}

int fdtable_move_high(int fd)
{
	int high = fdtable_dup_high(fd);

	real.close(fd);
	return high;
}

int fdtable_close_internal(int fd)
{
	int error = errno;

	fdtable_set(fd, NULL);
	real.close(fd);
	atomic_fetch_sub(&n_internal, 1);
	errno = error;
	return 0;
}

int fdtable_open_socket(int domain, int type)
{
	int fd = REAL(socket)(domain, type | SOCK_CLOEXEC, 0);
	struct rlimit limit = {0};

	if (fd >= 0)
		return fd;
	if (errno != EMFILE)
		return -errno;
	if (!raise_limit(&limit)) {
		fd = pool_let_go_of_idle() ? REAL(socket)(domain, type | SOCK_CLOEXEC, 0) : -1;
		return fd < 0 ? -EMFILE : fd;
	}
	fd = REAL(socket)(domain, type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		fd = -errno;
	setrlimit(RLIMIT_NOFILE, &limit);
	return fd;
}
