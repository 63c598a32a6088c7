/* See pass.h. */
#include "shim/pass.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include "shim/ahead.h"
#include "shim/deferred.h"
#include "shim/finish.h"
#include "shim/fresh.h"
#include "shim/lease.h"
#include "shim/limit.h"
#include "shim/log.h"
#include "shim/real.h"
#include "shim/sock.h"
#include "shim/swap.h"

/* The numbers that a vfork child's own duplicates are looked for among. */
#define SCANNED_FDS 1024

/* The request as it was written can still be put to a fresh connection, for which nothing is owed. */
static bool can_be_asked_again(const struct sock *sock)
{
	const struct framing *framing = &sock->framing;

	return framing->edited && !framing->response_started && !framing->response_ended &&
	       !framing->request.in_message && framing_can_replay(framing) && sock->outgoing.is_complete &&
	       sock->outgoing.length;
}

/* Another thread is on the old file: what is put in its place it would not see, or see twice. */
static bool is_in_use(const struct sock *sock)
{
	return sock->n_senders || sock->n_receivers || sock->replacer || sock_n_inside(sock);
}

/* The end of file that we owe is made independent of us, one way or another. */
static void settle_debt(struct sock *sock)
{
	struct framing before = sock->framing;
	unsigned n_fed = sock->n_fed;

	if (!is_in_use(sock) && can_be_asked_again(sock)) {
		if (fresh_replace(sock, FRESH_FOR_STRANGER, -1) == 0 || sock->state != SOCK_OPEN)
			return;
		/* The old connection lives on, asked to stay. */
		if (sock->n_fed == n_fed)
			sock->framing = before;
		sock_leave_window(sock);
		outgoing_free(&sock->outgoing, false);
	} else if (!is_in_use(sock) && ahead_finish(sock)) {
		return;
	}
	if (!sock->n_senders)
		finish_by_server(sock);
}

void pass_make_honest(struct sock *sock)
{
	bool is_ours_alone = !atomic_load(&sock->is_shared);

	if (sock->state == SOCK_WAITING)
		limit_let_through(sock);
	/* If it can't be replaced it stays what it was: alive when last seen. */
	if (sock->state == SOCK_OPEN && sock->is_leased && !sock->has_sent && is_ours_alone && !is_in_use(sock) &&
	    fresh_replace(sock, FRESH_FOR_UNFIT, -1))
		log_event("not replaced", sock, NULL);
	else if (sock->state == SOCK_OPEN && sock->framing.edited && !sock->framing.response_ended)
		settle_debt(sock);
	sock_share(sock);
}

void pass_to_stranger(int fd)
{
	int saved = errno;
	struct sock *sock = fdtable_get(fd) ? sock_enter(fd) : NULL;

	if (sock && (sock->state == SOCK_NEW || sock->state == SOCK_WAITING || sock->state == SOCK_OPEN)) {
		pass_make_honest(sock);
		sock_release(sock, REFUSAL_LEDGER);
	} else if (sock) {
		sock_leave(sock);
	}
	errno = saved;
}

static void share(int fd)
{
	struct sock *sock = sock_enter(fd);

	if (!sock)
		return;
	pass_make_honest(sock);
	sock_leave(sock);
}

static bool is_inherited(const struct sock *sock, int fd)
{
	for (unsigned i = 0; i < sock->n_fds; i++)
		if (sock->fds[i] == fd)
			return !sock_is_close_on_exec(sock, i);
	return false;
}

void pass_inheritable(void)
{
	for (int fd = 0, end = fdtable_end(); fd < end; fd++) {
		struct sock *sock = fdtable_get(fd) ? sock_enter(fd) : NULL;

		if (!sock)
			continue;
		if (is_inherited(sock, fd))
			pass_make_honest(sock);
		sock_leave(sock);
	}
}

/* The child of a vfork() may neither leave its parent's queue nor take a ticket: both are changes of its parent's memory. What is
 * its own are its descriptors. So the placeholder's numbers there get a connection of their own, by calls to the kernel alone. */
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

	if (flags < 0 || (flags & FD_CLOEXEC) || swap_cookie(fd) != sock->ticket.cookie)
		return;
	if (*source < 0)
		*source = dial_for_child(sock);
	if (*source >= 0)
		real.dup3(*source, fd, 0);
}

/* Under its lock, which a vfork child shares with its parent. The child may have made duplicates of its own. */
static void pass_in_child(int fd)
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

static void pass_at_home(int fd)
{
	struct sock *sock = sock_enter(fd);

	if (!sock)
		return;
	if (sock->state == SOCK_WAITING && is_inherited(sock, fd))
		limit_let_through(sock);
	sock_leave(sock);
}

void pass_waiting(void)
{
	bool is_home = guard_is_home();

	for (int fd = 0, end = fdtable_end(); fd < end; fd++) {
		struct sock *sock = fdtable_get(fd);

		/* A first look without the lock. */
		if (!sock || sock == &fdtable_internal || sock->state != SOCK_WAITING)
			continue;
		if (is_home)
			pass_at_home(fd);
		else
			pass_in_child(fd);
	}
}

void pass_waiting_one(int fd)
{
	struct sock *sock = fdtable_get(fd) ? sock_enter(fd) : NULL;

	if (sock && sock->state == SOCK_WAITING)
		limit_let_through(sock);
	if (sock)
		sock_leave(sock);
}

void pass_descriptors(const struct msghdr *message)
{
	struct msghdr copy;

	if (!atomic_load_explicit(&sock_n_tracked, memory_order_relaxed) ||
	    !guard_readable(message, sizeof(*message)) || !message->msg_control ||
	    !guard_readable(message->msg_control, message->msg_controllen))
		return;
	/* A set that is handed on is watched by others. */
	deferred_settle();
	copy = *message;
	for (struct cmsghdr *header = CMSG_FIRSTHDR(&copy); header; header = CMSG_NXTHDR(&copy, header)) {
		size_t length = header->cmsg_len - CMSG_LEN(0);
		size_t room = message->msg_controllen - (size_t)((char *)header - (char *)message->msg_control);

		if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS ||
		    header->cmsg_len < CMSG_LEN(0) || header->cmsg_len > room)
			continue;
		for (size_t at = 0; at + sizeof(int) <= length; at += sizeof(int)) {
			int fd;

			memcpy(&fd, CMSG_DATA(header) + at, sizeof(fd));
			if (fdtable_get(fd))
				share(fd);
		}
	}
}
