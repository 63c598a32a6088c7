/* See fdtable.h. */
#include "shim/fdtable.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "shim/fdlimit.h"
#include "shim/large.h"
#include "shim/real.h"
#include "shim/sock.h"

LARGE _Atomic(struct sock *) fdtable[FDTABLE_SIZE];
LARGE struct sock fdtable_internal;

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

int fdtable_dup_high(int fd)
{
	struct rlimit own = {0};
	enum fdlimit_result limit = fdlimit_raise(&own);
	rlim_t floor = own.rlim_cur;
	int high;

	if (limit == FDLIMIT_BUSY)
		return -EMFILE;
	if (limit == FDLIMIT_NO_ROOM) {
		/* Among the program's own: a sixteenth of them at the most. */
		if (atomic_load(&n_internal) >= (int)(floor / 16))
			return -EMFILE;
		floor = floor > FDTABLE_SIZE ? FDTABLE_SIZE : floor;
		floor -= floor / 4;
	}
	high = REAL(fcntl)(fd, F_DUPFD_CLOEXEC, (int)floor);
	if (high < 0)
		high = -errno;
	if (limit == FDLIMIT_RAISED)
		fdlimit_restore();
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
	struct rlimit own;

	if (fd >= 0)
		return fd;
	if (errno != EMFILE)
		return -errno;
	if (fdlimit_raise(&own) != FDLIMIT_RAISED) {
		fd = pool_let_go_of_idle() ? REAL(socket)(domain, type | SOCK_CLOEXEC, 0) : -1;
		return fd < 0 ? -EMFILE : fd;
	}
	fd = REAL(socket)(domain, type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		fd = -errno;
	fdlimit_restore();
	return fd;
}
