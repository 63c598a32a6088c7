/* See receive_behind.h. */
#include "shim/exchange/receive_behind.h"

#include <errno.h>
#include <sys/socket.h>

#include "shim/base/real.h"
#include "shim/connect/fence_ahead.h"
#include "shim/connect/redial.h"
#include "shim/exchange/advance.h"
#include "shim/exchange/enter.h"
#include "shim/exchange/iocall.h"
#include "shim/sock/sock.h"

/* Nothing that comes is for this program. Consumes the lock. */
static struct sock *end_it(struct sock *sock)
{
	fence_ahead_end(sock);
	sock_untrack(sock, REFUSAL_FENCE_FAILED);
	sock_leave(sock);
	errno = ECONNRESET;
	return NULL;
}

/* Another connection, as long as nothing was asked on this one. Consumes the lock where it fails. */
static struct sock *begin_anew(struct sock *sock)
{
	int error = -ECONNRESET;

	sock->missed = MISSED_FENCE_FAILED;
	if (!sock->has_sent)
		error = redial(sock, REDIAL_FOR_UNFIT, -1);
	if (!error)
		return sock;
	if (sock->state == SOCK_OPEN && sock->awaits_fence)
		return end_it(sock);
	sock_leave(sock);
	errno = ECONNRESET;
	return NULL;
}

/* As the receive would. Consumes the lock; locked again if something has come. */
static struct sock *wait(struct sock *sock, const struct transfer *transfer, ssize_t *result)
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
	if (n < 0 && !exchange_is_hang_up(n, errno))
		return NULL;
	sock = exchange_return(token, transfer->fd);
	/* The kernel knows what became of it. */
	*result = sock ? 0 : transfer_native(transfer);
	return sock;
}

struct sock *receive_behind_fence(struct sock *sock, const struct transfer *transfer, ssize_t *result)
{
	int saved = errno;

	while (sock && sock->awaits_fence && sock->state == SOCK_OPEN) {
		enum fence_result fence = fence_ahead_look(sock);

		*result = -1;
		if (fence == FENCE_AWAITED)
			sock = wait(sock, transfer, result);
		else if (fence != FENCE_GOOD)
			sock = begin_anew(sock);
	}
	if (sock)
		errno = saved;
	return sock;
}
