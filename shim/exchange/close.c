/* See close.h. */
#include "shim/exchange/close.h"

#include <errno.h>

#include "shim/base/home.h"
#include "shim/base/lock.h"
#include "shim/exchange/park.h"
#include "shim/sock/sock.h"
#include "shim/sock/spare.h"
#include "shim/sock/stub.h"
#include "shim/sock/swap.h"
#include "shim/sock/transport.h"

static void drop_stub(struct sock *sock, int fd)
{
	struct stub stub = sock->stub;
	bool is_unwatched = swap_delete_registrations(sock, fd);

	stub.status_flags = sock->status_flags;
	sock->stub = (struct stub){-1, -1, 0};
	/* A registration under a number that was closed before lives as long as the file: then the file must end. */
	if (atomic_load(&sock->is_shared))
		stub_abandon(&stub);
	else
		stub_put(&stub, is_unwatched && !sock->stub_is_closed && !sock->stub_has_words && !sock->cannot_swap &&
					!sock->unfit && !sock_n_inside(sock));
}

static void end_last(struct sock *sock, int fd)
{
	bool was_connected = sock->state != SOCK_NEW && sock->state != SOCK_WAITING;

	sock_leave_stand_in(sock);
	events_ask_dial(sock, false);
	switch (sock->state) {
	case SOCK_OPEN:
	case SOCK_ENDING:
		finish_at_close(sock);
		break;
	case SOCK_STUB:
		drop_stub(sock, fd);
		break;
	case SOCK_ENDED:
		finish_ended(sock);
		break;
	case SOCK_RELEASED:
		finish_released(sock);
		break;
	case SOCK_NEW:
	case SOCK_WAITING:
		/* If that fails: a spare is another number of the file, but not for long. */
		swap_delete_registrations(sock, fd);
		spare_drop(sock);
		break;
	case SOCK_FREE:
		break;
	}
	if (was_connected)
		events_close(sock, fd);
}

static bool has_registration(const struct sock *sock, int fd)
{
	for (unsigned i = 0; i < sock->n_registrations; i++)
		if (sock->registrations[i].fd == fd)
			return true;
	return false;
}

bool close_begin(int fd)
{
	struct sock *sock = fdtable_get_sock(fd);
	int saved = errno;

	if (!sock || !guard_is_home())
		return true;
	if (guard_lock_is_own(&sock->lock) && !guard_lock_is_abandoned(&sock->lock)) {
		atomic_store(&sock->wants_close, fd + 1);
		atomic_store(&sock->wants_release, true);
		return false;
	}
	sock = sock_enter(fd);
	if (!sock) {
		/* Its holder will find it without numbers and end it. */
		fdtable_set(fd, NULL);
		errno = saved;
		return true;
	}
	if (sock->n_fds > 1) {
		/* epoll goes on watching the file under the closed number (epoll(7), Q6): we can't move that one. */
		if (has_registration(sock, fd))
			sock->cannot_swap = true;
		sock_remove_fd(sock, fd);
		sock_leave(sock);
		errno = saved;
		return true;
	}
	end_last(sock, fd);
	sock_remove_fd(sock, fd);
	sock_drop_conn(sock);
	sock_end(sock);
	sock_leave(sock);
	errno = saved;
	return true;
}
