/* See handoff.h. */
#include "shim/exchange/handoff.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "shim/base/alone.h"
#include "shim/base/clock.h"
#include "shim/base/home.h"
#include "shim/base/real.h"
#include "shim/base/usermem.h"
#include "shim/connect/fence_ahead.h"
#include "shim/connect/limit.h"
#include "shim/connect/redial.h"
#include "shim/exchange/enter.h"
#include "shim/exchange/eof.h"
#include "shim/exchange/park.h"
#include "shim/exchange/read_ahead.h"
#include "shim/sock/sock.h"

/* The requests can still be put to a fresh connection as they were written, for which nothing is owed. (Between two
 * answers the next one may be here already.) */
static bool can_be_asked_again(struct sock *sock)
{
	struct protocol_status status = protocol_status(&sock->protocol);

	return status.owes_end && !status.in_request && !sock->was_heard &&
	       replay_prepare(&sock->replay, &sock->protocol) && sock->replay.length;
}

/* Another thread is on the old file: what is put in its place it would not see, or see twice. */
static bool is_in_use(const struct sock *sock)
{
	return sock->n_senders || sock->n_receivers || sock->replacer || sock_n_inside(sock);
}

/* Somebody has ended a direction of it: its end has come, or will. */
static bool is_ending(const struct sock *sock)
{
	struct tcp_info info = {.tcpi_state = TCP_ESTABLISHED};
	socklen_t length = sizeof(info);

	real.getsockopt(sock->fds[0], IPPROTO_TCP, TCP_INFO, &info, &length);
	return info.tcpi_state != TCP_ESTABLISHED;
}

static bool finish_ahead(struct sock *sock)
{
	return !is_in_use(sock) && read_ahead_finish(sock);
}

static bool is_standard_stream(const struct sock *sock)
{
	for (unsigned i = 0; i < sock->n_fds; i++)
		if (sock->fds[i] <= STDERR_FILENO)
			return true;
	return false;
}

/* A program reads its standard streams, and its parent must not read what that takes over, too. Other numbers are
 * mostly open by accident: the answer stays there for the parent. */
static bool hand_on(struct sock *sock)
{
	if (is_ending(sock))
		return true;
	if (is_standard_stream(sock))
		return finish_ahead(sock);
	return !is_in_use(sock) && read_ahead_leave(sock, !can_be_asked_again(sock));
}

/* The end of file that we owe is made independent of us, one way or another. */
static void honor_end_of_file(struct sock *sock)
{
	struct protocol_state before = sock->protocol;
	unsigned n_fed = sock->n_fed;

	if (sock->is_inherited && hand_on(sock))
		return;
	if (!is_in_use(sock) && can_be_asked_again(sock)) {
		if (redial(sock, REDIAL_FOR_STRANGER, -1) == 0 || sock->state != SOCK_OPEN)
			return;
		/* The old connection lives on, asked to stay. */
		if (sock->n_fed == n_fed)
			sock->protocol = before;
		sock_leave_window(sock);
		sock_drop_replay(&sock->replay);
	} else if (!sock->is_inherited && finish_ahead(sock)) {
		return;
	}
	if (!sock->n_senders)
		sock_end_by_server(sock, REFUSAL_SHARED);
}

static bool is_owed(const struct sock *sock)
{
	return sock->state == SOCK_OPEN && protocol_status(&sock->protocol).owes_end;
}

static bool is_unused_lease(const struct sock *sock)
{
	return sock->state == SOCK_OPEN && sock->is_leased && !sock->has_sent && !atomic_load(&sock->is_shared) &&
	       !is_in_use(sock);
}

/* If it can't be replaced it stays what it was: alive when last seen. */
static void renew_unused(struct sock *sock)
{
	if (is_unused_lease(sock) && redial(sock, REDIAL_FOR_UNFIT, -1))
		log_event("not replaced", sock, NULL);
}

static void let_through(struct sock *sock)
{
	if (sock->state == SOCK_WAITING)
		limit_let_through(sock);
}

void handoff_make_honest(struct sock *sock)
{
	let_through(sock);
	if (sock->awaits_fence)
		fence_ahead_settle(sock);
	if (is_owed(sock))
		honor_end_of_file(sock);
	else
		renew_unused(sock);
	sock_share(sock);
}

void handoff_to_stranger(int fd)
{
	int saved = errno;
	struct sock *sock = fdtable_get(fd) ? exchange_enter(fd) : NULL;

	if (sock && (sock->state == SOCK_NEW || sock->state == SOCK_WAITING || sock->state == SOCK_OPEN)) {
		handoff_make_honest(sock);
		sock_untrack(sock, REFUSAL_LEDGER);
	}
	if (sock)
		sock_leave(sock);
	errno = saved;
}

static void share(int fd)
{
	struct sock *sock = exchange_enter(fd);

	if (!sock)
		return;
	handoff_make_honest(sock);
	sock_leave(sock);
}

static bool is_inherited(const struct sock *sock, int fd)
{
	for (unsigned i = 0; i < sock->n_fds; i++)
		if (sock->fds[i] == fd)
			return !sock_is_close_on_exec(sock, i);
	return false;
}

static void visit_inheritable(void (*visit)(struct sock *sock))
{
	for (int fd = 0, end = fdtable_end(); fd < end; fd++) {
		struct sock *sock = fdtable_get(fd) ? exchange_enter(fd) : NULL;

		if (!sock)
			continue;
		if (is_inherited(sock, fd))
			visit(sock);
		sock_leave(sock);
	}
}

void handoff_inheritable(void)
{
	visit_inheritable(handoff_make_honest);
}

void handoff_unused_inheritable(void)
{
	/* Another thread may be about to use its own. */
	if (is_alone())
		visit_inheritable(renew_unused);
}

/* Two processes would read it. */
void handoff_settle_fences(bool only_inheritable)
{
	uint64_t end_ns = guard_clock_ns() + FENCE_SETTLE_NS;

	for (int fd = 0, end = fdtable_end(); fence_was_ahead && fd < end; fd++) {
		struct sock *sock = fdtable_get(fd) ? sock_enter(fd) : NULL;

		if (!sock)
			continue;
		if (sock->awaits_fence && (!only_inheritable || is_inherited(sock, fd)))
			fence_ahead_settle_by(sock, end_ns);
		sock_leave(sock);
	}
}

void handoff_waiting(void)
{
	if (limit_has_placed && guard_is_home())
		visit_inheritable(let_through);
	else if (limit_has_placed)
		handoff_waiting_in_child();
}

bool handoff_waiting_one(int fd)
{
	struct sock *sock = limit_has_placed && fdtable_get(fd) ? exchange_enter(fd) : NULL;
	bool waited;

	if (!sock)
		return false;
	waited = sock->state == SOCK_WAITING;
	let_through(sock);
	sock_leave(sock);
	return waited;
}

bool handoff_is_possible(void)
{
	return atomic_load_explicit(&sock_n_tracked, memory_order_relaxed);
}

void handoff_descriptors(const struct msghdr *message)
{
	struct msghdr copy;

	if (!guard_readable(message, sizeof(*message)) || !message->msg_control ||
	    !guard_readable(message->msg_control, message->msg_controllen))
		return;
	/* A set that is handed on is watched by others. */
	eof_make();
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
