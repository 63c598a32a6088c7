/* See after_eof.h. */
#include "shim/exchange/after_eof.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "shim/base/real.h"
#include "shim/connect/lease.h"
#include "shim/connect/limit.h"
#include "shim/exchange/eof.h"
#include "shim/sock/events.h"
#include "shim/sock/options.h"
#include "shim/sock/reclaim.h"
#include "shim/sock/sock.h"
#include "shim/sock/spare.h"
#include "shim/sock/stub.h"
#include "shim/sock/swap.h"

/* A reset, made by the kernel: an AF_UNIX end whose peer closes with bytes unread shows ERR and HUP beside the rest. */
static void reset(struct sock *sock)
{
	sock->stub_is_closed = true;
	sock->stub_has_error = true;
	if (sock->stub.peer < 0)
		return;
	real.send(sock->stub.end, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	fdtable_close_internal(sock->stub.peer);
	sock->stub.peer = -1;
}

int after_eof_take_error(struct sock *sock)
{
	int kernels;
	socklen_t length = sizeof(kernels);

	if (!sock->stub_has_error)
		return 0;
	sock->stub_has_error = false;
	real.getsockopt(sock->fds[0], SOL_SOCKET, SO_ERROR, &kernels, &length);
	return EPIPE;
}

ssize_t after_eof_send(struct sock *sock, size_t length)
{
	if (sock->stub_is_closed) {
		after_eof_take_error(sock);
		return -EPIPE;
	}
	reset(sock);
	return (ssize_t)length;
}

int after_eof_shutdown(struct sock *sock, int how)
{
	if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR)
		return -EINVAL;
	if (sock->stub_is_closed)
		return -ENOTCONN;
	if (how == SHUT_RD)
		return 0;
	sock->stub_is_closed = true;
	return real.shutdown(sock->fds[0], SHUT_RDWR) < 0 ? -errno : 0;
}

/* A new socket of the program's in the stub's place. */
static int leave_stub(struct sock *sock)
{
	int fd = reclaim_open_socket(sock->domain, SOCK_STREAM);
	int error;

	if (fd < 0)
		return fd;
	error = options_copy_to_fresh(sock, fd) ? -ENOBUFS : 0;
	if (!error && sock->status_flags != O_RDWR && real.fcntl(fd, F_SETFL, sock->status_flags) < 0)
		error = -errno;
	if (!error)
		error = swap_files(sock, fd);
	real.close(fd);
	if (error)
		return error;
	if (atomic_load(&sock->is_shared))
		stub_abandon(&sock->stub);
	else
		stub_put(&sock->stub, false);
	sock_set_state(sock, SOCK_NEW);
	return 0;
}

int after_eof_disconnect(struct sock *sock)
{
	int error = leave_stub(sock);

	if (!error)
		sock_mark_unfit(sock, REFUSAL_SOCKOPT);
	return error;
}

static bool is_taken_for_kept(const struct sock *sock)
{
	return !sock->transport && !protocol_status(&sock->protocol).end_is_shown && !sock->end_was_read &&
	       !sock->stub_is_closed && !sock->stub_asks_fresh && !atomic_load(&sock->is_shared) &&
	       !sock->has_uncounted_waiter && !sock->cannot_swap && !sock_n_inside(sock);
}

bool after_eof_begin_again(struct sock *sock)
{
	if (!is_taken_for_kept(sock) || leave_stub(sock))
		return false;
	spare_note_file(sock);
	sock->has_sent = false;
	sock->parked = NULL;
	replay_reset(&sock->replay);
	events_connect_again(sock);
	eof_make_for(&sock->key);
	if (lease_take(sock))
		return true;
	limit_force(sock);
	return lease_dial_in_place(sock);
}
