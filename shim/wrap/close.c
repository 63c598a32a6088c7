/* close, shutdown, close_range, closefrom. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shim/base/home.h"
#include "shim/base/libcs.h"
#include "shim/base/real.h"
#include "shim/connect/limit.h"
#include "shim/exchange/advance.h"
#include "shim/exchange/after_eof.h"
#include "shim/exchange/close.h"
#include "shim/exchange/enter.h"
#include "shim/exchange/eof.h"
#include "shim/exchange/park.h"
#include "shim/sock/sock.h"
#include "shim/sock/transport.h"
#include "shim/sock/spare.h"
#include "shim/wrap/wrap.h"

/* Where it is not open, another thread may be taking its number for us. */
static int close_foreign(int fd)
{
	bool is_held = fdtable_hold_number(fd);
	int result = is_held && fdtable_is_internal(fd) ? FAIL(EBADF) : real.close(fd);

	if (is_held)
		fdtable_release_number();
	return result;
}

EXPORT int close(int fd)
{
	if (__builtin_expect(!fdtable_get(fd), 1)) {
		/* It may be a set that waits for such an end. */
		eof_make();
		return close_foreign(fd);
	}
	if (fdtable_is_internal(fd))
		return FAIL(EBADF);
	/* Before anything has been given up: afterwards it would be too late to act upon it. */
	pthread_testcancel();
	return close_begin(fd) ? real.close(fd) : 0;
}

/* A program that shuts down a finished connection before closing it would end one that can be kept. It gets a stub that
 * is shut down instead. */
static void finish_before_shutdown(struct sock *sock, int how)
{
	if (how == SHUT_RD || sock->state != SOCK_OPEN || protocol_status(&sock->protocol).refusal != REFUSAL_NONE)
		return;
	finish_with_end_of_file(sock);
}

/* A request that is whole can be sent again, and the end behind it. */
static bool stays_in_window(struct sock *sock, int how)
{
	return how == SHUT_WR && sock_in_window(sock) && sock->state == SOCK_OPEN && sock->is_leased &&
	       sock->has_sent && !sock->transport && !sock->n_senders && replay_prepare(&sock->replay, &sock->protocol);
}

/* The end of a stale connection may have come before the program's own. */
static int shut_down(struct sock *sock, int fd, int how)
{
	int saved = errno, result = real.shutdown(fd, how);

	if (result == 0 || errno != ENOTCONN || !sock->is_half_closed)
		return result;
	if (exchange_recover(sock, -1))
		return FAIL(ENOTCONN);
	errno = saved;
	return 0;
}

EXPORT int shutdown(int fd, int how)
{
	struct sock *sock = exchange_enter(fd);
	int result;

	if (!sock)
		return NATIVE(fd, REAL(shutdown)(fd, how));
	if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR) {
		sock_leave(sock);
		return FAIL(EINVAL);
	}
	if (sock->state == SOCK_WAITING)
		limit_check_turn(sock);
	if (sock->state == SOCK_WAITING) {
		sock_leave(sock);
		return FAIL(ENOTCONN);
	}
	sock_leave_stand_in(sock);
	finish_before_shutdown(sock, how);
	if (sock->state == SOCK_STUB) {
		result = after_eof_shutdown(sock, how);
		sock_leave(sock);
		return result < 0 ? FAIL(-result) : 0;
	}
	spare_drop(sock);
	/* From here on an end of file is the program's own doing. (A socket without a connection is shut down too,
	 * though the kernel says ENOTCONN.) */
	sock_mark_unfit(sock, REFUSAL_CLIENT_CLOSE);
	if (sock->state == SOCK_OPEN) {
		sock->is_half_closed = stays_in_window(sock, how);
		sock->has_sent = true;
		if (!sock->is_half_closed)
			sock_leave_window(sock);
	}
	result = shut_down(sock, fd, how);
	sock_leave(sock);
	return result;
}

static void forget_close_on_exec(int fd)
{
	struct sock *sock = fdtable_get(fd) ? exchange_enter(fd) : NULL;

	if (!sock)
		return;
	sock_note_close_on_exec(sock, fd, SOCK_ASK_KERNEL);
	sock_leave(sock);
}

/* Closes first..last but for our own descriptors, which are not there as far as the program knows. */
static int close_around_internal(unsigned first, unsigned last, int flags)
{
	unsigned end = (unsigned)fdtable_end(), internal_end = (unsigned)fdtable_internal_end();
	unsigned from = first;

	if (internal_end > end)
		end = internal_end;

	eof_make();
	for (unsigned fd = first; fd < end && fd <= last; fd++) {
		if (!fdtable_is_internal((int)fd)) {
			if (flags & CLOSE_RANGE_CLOEXEC)
				forget_close_on_exec((int)fd);
			else
				close_begin((int)fd);
			continue;
		}
		if (fd > from && real.close_range(from, fd - 1, flags) < 0)
			return -1;
		from = fd + 1;
	}
	return from <= last ? real.close_range(from, last, flags) : 0;
}

EXPORT int close_range(unsigned first, unsigned last, int flags)
{
	if (first > last || (flags & ~(int)(CLOSE_RANGE_UNSHARE | CLOSE_RANGE_CLOEXEC)))
		return REAL(close_range)(first, last, flags);
	/* As unshare(CLONE_FILES). */
	if ((flags & CLOSE_RANGE_UNSHARE) && guard_is_home_to_be())
		sock_retire_all();
	if (!guard_is_home())
		return REAL(close_range)(first, last, flags);
	return close_around_internal(first, last, flags);
}

EXPORT void closefrom(int first)
{
	if (!guard_is_home() || first < 0) {
		REAL(closefrom)(first);
		return;
	}
	if (REAL(close_range) && close_around_internal((unsigned)first, UINT_MAX, 0) == 0)
		return;
	for (int fd = first; fd < fdtable_end(); fd++)
		close_begin(fd);
	real.closefrom(first);
}
