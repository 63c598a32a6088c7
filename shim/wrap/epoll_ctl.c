/* epoll_ctl: which sets watch a socket, and for what, is followed, so that it can be watched there after a swap as
 * before. */
#include <errno.h>
#include <sys/epoll.h>

#include "shim/base/real.h"
#include "shim/base/usermem.h"
#include "shim/exchange/enter.h"
#include "shim/exchange/eof.h"
#include "shim/sock/sock.h"
#include "shim/wrap/wrap.h"

static int register_new(struct sock *sock, int epfd, int fd, const struct epoll_event *event)
{
	if (sock->n_registrations == SOCK_MAX_REGISTRATIONS) {
		sock->cannot_swap = true;
		return 0;
	}
	sock->registrations[sock->n_registrations++] =
		(struct registration){epfd, fd, *event, event->events, eof_epoch};
	return 0;
}

/* A set may be known by two numbers (tokio registers by one, and waits by the other): what the kernel has changed
 * for one that we have not seen is ours under another. Which of several, it doesn't say. */
static struct registration *find(struct sock *sock, int epfd, int operation, int fd)
{
	struct registration *candidate = NULL;
	unsigned n = 0;

	for (unsigned i = 0; i < sock->n_registrations; i++) {
		struct registration *registration = &sock->registrations[i];

		if (registration->fd != fd)
			continue;
		if (registration->epfd == epfd)
			return registration;
		candidate = registration;
		n++;
	}
	if (operation == EPOLL_CTL_ADD)
		return NULL;
	if (n != 1) {
		sock->cannot_swap = true;
		return NULL;
	}
	candidate->epfd = epfd;
	return candidate;
}

static void note_registration(struct sock *sock, int epfd, int operation, int fd, const struct epoll_event *event)
{
	struct registration *found = find(sock, epfd, operation, fd);

	if (operation == EPOLL_CTL_DEL && found) {
		*found = sock->registrations[--sock->n_registrations];
	} else if (operation != EPOLL_CTL_DEL && found) {
		found->event = *event;
		found->events_back = event->events;
		found->epoch = eof_epoch;
	} else if (operation == EPOLL_CTL_ADD) {
		register_new(sock, epfd, fd, event);
	}
}

EXPORT int epoll_ctl(int epfd, int operation, int fd, struct epoll_event *event)
{
	struct sock *sock = NULL;
	int result;

	/* To delete an entry is no look at the socket: a postponed end of file may wait. */
	if (fdtable_get(fd))
		sock = operation == EPOLL_CTL_DEL ? sock_enter(fd) : exchange_enter(fd);
	if (!sock)
		return NATIVE(fd, REAL(epoll_ctl)(epfd, operation, fd, event));
	/* While it is out for a replacement it only changes in our list, with which it returns. */
	result = sock->registrations_are_out && (operation == EPOLL_CTL_DEL || guard_readable(event, sizeof(*event)))
			 ? 0
			 : real.epoll_ctl(epfd, operation, fd, event);
	if (result == 0)
		note_registration(sock, epfd, operation, fd, event);
	sock_leave(sock);
	return result;
}
