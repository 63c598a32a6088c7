/*
 * POSIX aio and io_uring: reading and writing that happens where no wrapper sees it, in other threads of the C library
 * and in the kernel. A socket that is given to aio goes native; a program that sets up a ring does so altogether, since
 * nothing says what the ring is for, and it may close descriptors.
 */
#include <aio.h>
#include <errno.h>
#include <limits.h>

#include "shim/base/home.h"
#include "shim/base/real.h"
#include "shim/base/symbols.h"
#include "shim/exchange/handoff.h"
#include "shim/sock/sock.h"
#include "shim/wrap/wrap.h"

/* A request that the C library refuses at once changes nothing. */
static void pass(int fd, int priority)
{
	if (priority >= 0 && priority <= AIO_PRIO_DELTA_MAX)
		handoff_to_stranger(fd);
}

EXPORT int aio_read(struct aiocb *control)
{
	int (*next)(struct aiocb *) = REAL_OR_LATE(aio_read);

	if (!next)
		return FAIL(ENOSYS);
	pass(control->aio_fildes, control->aio_reqprio);
	return next(control);
}

EXPORT int aio_write(struct aiocb *control)
{
	int (*next)(struct aiocb *) = REAL_OR_LATE(aio_write);

	if (!next)
		return FAIL(ENOSYS);
	pass(control->aio_fildes, control->aio_reqprio);
	return next(control);
}

static bool is_mode(int mode)
{
	return mode == LIO_WAIT || mode == LIO_NOWAIT;
}

EXPORT int lio_listio(int mode, LIO_LIST(list), int n, struct sigevent *event)
{
	int (*next)(int, LIO_LIST(), int, struct sigevent *) = REAL_OR_LATE(lio_listio);

	if (!next)
		return FAIL(ENOSYS);
	for (int i = 0; i < n && is_mode(mode); i++)
		if (list[i] && list[i]->aio_lio_opcode != LIO_NOP)
			pass(list[i]->aio_fildes, list[i]->aio_reqprio);
	return next(mode, list, n, event);
}

static int went_native(int result)
{
	if (result == 0 && guard_is_home_to_be())
		sock_retire_all();
	return result;
}

/* liburing's, whose system calls are instructions of its own. That library may have been loaded by dlopen(), and be
 * behind nobody: then the loader has found ours by the name, and only a look at all objects finds its. */
int io_uring_queue_init(unsigned n, void *ring, unsigned flags);
EXPORT int io_uring_queue_init(unsigned n, void *ring, unsigned flags)
{
	int (*next)(unsigned, void *, unsigned) =
		(int (*)(unsigned, void *, unsigned))symbols_find_anywhere("io_uring_queue_init");

	return next ? went_native(next(n, ring, flags)) : -ENOSYS;
}

int io_uring_queue_init_params(unsigned n, void *ring, void *parameters);
EXPORT int io_uring_queue_init_params(unsigned n, void *ring, void *parameters)
{
	int (*next)(unsigned, void *, void *) =
		(int (*)(unsigned, void *, void *))symbols_find_anywhere("io_uring_queue_init_params");

	return next ? went_native(next(n, ring, parameters)) : -ENOSYS;
}
