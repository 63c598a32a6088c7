/* All sockets of the program at once: around fork and exec, at the end, when descriptors are needed. See sock.h. */
#include <errno.h>
#include <fcntl.h>

#include "shim/base/lock.h"
#include "shim/exchange/enter.h"
#include "shim/exchange/eof.h"
#include "shim/kept/broker_link.h"
#include "shim/exchange/park.h"
#include "shim/base/log.h"
#include "shim/exchange/handoff.h"
#include "shim/base/real.h"
#include "shim/sock/pending.h"
#include "shim/sock/reclaim.h"
#include "shim/sock/sock.h"
#include "shim/sock/spare.h"
#include "shim/sock/stub.h"
#include "shim/sock/transport.h"

static bool is_inheritable(const struct sock *sock)
{
	for (unsigned i = 0; i < sock->n_fds && i < SOCK_MAX_FDS; i++)
		if (!sock_is_close_on_exec(sock, i))
			return true;
	return false;
}

void sock_share_all(bool only_inheritable)
{
	eof_make();
	for (int fd = 0, end = fdtable_end(); fd < end; fd++) {
		struct sock *sock = fdtable_get_sock(fd);

		if (sock && (!only_inheritable || is_inheritable(sock)))
			sock_share(sock);
	}
}

/* Only the parent is told of its turn; its ticket ends with the parent. The child gets an unconnected socket. */
static void leave_waiting_room(struct sock *sock)
{
	int type = SOCK_STREAM | SOCK_CLOEXEC | (sock->status_flags & O_NONBLOCK);
	int fd = REAL(socket)(sock->domain, type, 0);

	for (unsigned i = 0; fd >= 0 && i < sock->n_fds; i++)
		real.dup3(fd, sock->fds[i], sock_is_close_on_exec(sock, i) ? O_CLOEXEC : 0);
	if (fd >= 0)
		real.close(fd);
	sock_set_state(sock, SOCK_ENDED);
	sock_mark_unfit(sock, REFUSAL_SHARED);
}

/* The child's own view of a socket that the parent has too. */
static void inherit(struct sock *sock)
{
	/* How it ends is the parent's business, and the epoll sets that it is in are. */
	if (sock->conn) {
		sock->conn->fd = -1;
		sock->conn->has_broker_dup = false;
		sock->conn->ticket = -1;
	}
	sock->is_inherited = sock->state == SOCK_OPEN;
	sock->ticket = (struct ticket){.fd = -1};
	sock->tally = (struct tally){0};
	if (sock->state == SOCK_WAITING)
		leave_waiting_room(sock);
	sock->spare = -1;
	sock->stub = (struct stub){-1, -1, 0};
	/* The thread that held its lock doesn't exist in the child, and may have been in the middle of a change. */
	if (sock->lock.owner)
		atomic_store(&sock->wants_release, true);
	sock->lock.owner = 0;
	atomic_store(&sock->inside, atomic_load(&sock->inside) >> 32 << 32);
	if (sock->transport && sock->transport->inherit)
		sock->transport->inherit(sock->transport);
	sock->n_senders = 0;
	sock->n_receivers = 0;
}

void sock_after_fork_in_child(bool is_sound)
{
	bool is_held;

	blocks_after_fork();
	guard_forget_owners();
	is_held = pool_begin_after_fork(is_sound);
	pending_forget_all();
	sock_forget_all(is_sound);
	stub_forget_all();
	spare_forget_all();
	if (is_held)
		pool_end_after_fork();
	for (int fd = fdtable_next_internal(0); fd >= 0; fd = fdtable_next_internal(fd + 1))
		if (fd != log_fd())
			fdtable_close_internal(fd);
	for (int fd = 0, end = fdtable_end(); fd < end; fd++) {
		struct sock *sock = fdtable_get_sock(fd);

		if (sock)
			inherit(sock);
	}
}

void sock_finish_all(void)
{
	for (int fd = 0, end = sock_n_tracked ? fdtable_end() : 0; fd < end; fd++) {
		struct sock *sock = fdtable_get(fd) ? exchange_enter(fd) : NULL;

		if (!sock)
			continue;
		finish_at_exit(sock);
		sock_leave(sock);
	}
}

void sock_retire_all(void)
{
	int saved = errno;

	sock_is_retired = true;
	reclaim_idle();
	for (int fd = 0, end = fdtable_end(); fd < end; fd++) {
		struct sock *sock = fdtable_get(fd) ? exchange_enter(fd) : NULL;

		if (!sock)
			continue;
		handoff_make_honest(sock);
		sock_untrack(sock, REFUSAL_POLICY);
		sock_leave(sock);
	}
	errno = saved;
}
