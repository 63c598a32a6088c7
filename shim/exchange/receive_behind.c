/* See receive_behind.h. */
#include "shim/exchange/receive_behind.h"

#include <errno.h>
#include <sys/socket.h>

#include "shim/base/real.h"
#include "shim/connect/fence_ahead.h"
#include "shim/connect/redial.h"
#include "shim/exchange/enter.h"
#include "shim/exchange/iocall.h"
#include "shim/sock/sock.h"

/* Whatever comes is not for this program. Consumes the lock. */
static struct sock *end_it(struct sock *sock, int fd)
{
	real.shutdown(fd, SHUT_RDWR);
	sock->awaits_fence = false;
	sock_untrack(sock, REFUSAL_FENCE_FAILED);
	sock_leave(sock);
	errno = ECONNRESET;
	return NULL;
}

/* Another connection, as long as nothing was asked on this one. Consumes the lock where it fails. */
static struct sock *begin_anew(struct sock *sock, int fd)
{
	int error = -ECONNRESET;

	sock->missed = MISSED_FENCE_FAILED;
	if (!sock->has_sent)
		error = redial(sock, REDIAL_FOR_UNFIT, -1);
	if (!error)
		return sock;
	if (sock->state == SOCK_OPEN && sock->awaits_fence)
		return end_it(sock, fd);
	sock_leave(sock);
	errno = ECONNRESET;
	return NULL;
}

/* As the receive would. Consumes the lock; locked again if something has come. */
static struct sock *wait(struct sock *sock, const struct transfer *transfer)
{
	struct inside_token token;
	ssize_t n;
	char byte;

	if ((sock->status_flags & O_NONBLOCK) || (transfer->flags & MSG_DONTWAIT)) {
		sock_leave(sock);
		errno = EAGAIN;
		return NULL;
	}
	token = sock_go_inside(sock);
	sock_leave(sock);
	n = real.recv(transfer->fd, &byte, 1, MSG_PEEK);
	sock_come_out(token);
	if (n < 0)
		return NULL;
	sock = exchange_return(token, transfer->fd);
	if (!sock)
		errno = EBADF;
	return sock;
}

struct sock *receive_behind_fence(struct sock *sock, struct transfer *transfer)
{
	int saved = errno;

	while (sock && sock->awaits_fence && sock->state == SOCK_OPEN) {
		enum fence_result result = fence_ahead_look(sock);

		if (result == FENCE_AWAITED)
			sock = wait(sock, transfer);
		else if (result != FENCE_GOOD)
			sock = begin_anew(sock, transfer->fd);
	}
	if (sock)
		errno = saved;
	return sock;
}
