/* Hands off queued sockets in a vfork child that is about to execute a program. See handoff.h. */
#include "shim/base/cookie.h"
#include "shim/exchange/handoff.h"

#include <fcntl.h>
#include <sys/socket.h>

#include "shim/base/lock.h"
#include "shim/base/real.h"
#include "shim/connect/lease.h"
#include "shim/sock/sock.h"

/* The numbers that its own duplicates are looked for among. */
#define SCANNED_FDS 1024

/* The child of a vfork() may neither leave its parent's queue nor take a ticket: both are changes of its parent's
 * memory. What is its own are its descriptors. So the placeholder's numbers there get a connection of their own, by
 * calls to the kernel alone. */
static int dial_for_child(const struct sock *sock)
{
	int fd = REAL(socket)(sock->domain, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 || lease_begin_dial(sock, fd))
		return fd;
	real.close(fd);
	return -1;
}

/* *source: that connection, once there is one. */
static void replace_in_child(const struct sock *sock, int fd, int *source)
{
	int flags = REAL(fcntl)(fd, F_GETFD);

	if (flags < 0 || (flags & FD_CLOEXEC) || cookie_of(fd) != sock->ticket.cookie)
		return;
	if (*source < 0)
		*source = dial_for_child(sock);
	if (*source >= 0)
		real.dup3(*source, fd, 0);
}

/* Under its lock, which a vfork child shares with its parent. The child may have made duplicates of its own. */
static void replace(int fd)
{
	struct sock *sock = fdtable_get(fd);
	int source = -1;

	if (!guard_lock_try(&sock->lock))
		return;
	if (fdtable_get(fd) == sock && sock->fds[0] == fd && sock->state == SOCK_WAITING && sock->ticket.cookie) {
		for (unsigned i = 0; i < sock->n_fds; i++)
			replace_in_child(sock, sock->fds[i], &source);
		for (int other = 0; other < SCANNED_FDS; other++)
			replace_in_child(sock, other, &source);
	}
	if (source >= 0)
		real.close(source);
	guard_unlock(&sock->lock);
}

void handoff_waiting_in_child(void)
{
	for (int fd = 0, end = fdtable_end(); fd < end; fd++) {
		const struct sock *sock = fdtable_get_sock(fd);

		/* A first look without the lock. */
		if (sock && sock->state == SOCK_WAITING)
			replace(fd);
	}
}
