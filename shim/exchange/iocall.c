/* See iocall.h. */
#include "shim/exchange/iocall.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdint.h>

#include "shim/base/fdtable.h"
#include "shim/base/real.h"
#include "shim/base/usermem.h"
#include "shim/exchange/transport.h"
#include "shim/sock/sock.h"

/* As the kernel does, which looks at the pipe before it waits for the socket, and waits for room in it first. */
static bool is_refused(const struct transfer *t, ssize_t *result)
{
	struct pollfd pipe = {.fd = t->pipe, .events = POLLOUT};
	bool may_wait = !(t->splice_flags & SPLICE_F_NONBLOCK) && !(REAL(fcntl)(t->pipe, F_GETFL) & O_NONBLOCK);
	int n = REAL(poll)(&pipe, 1, may_wait ? -1 : 0);

	/* Nobody reads it: nothing is taken. */
	if (n > 0 && (pipe.revents & POLLERR)) {
		*result = REAL(splice)(t->fd, NULL, t->pipe, NULL, t->single.iov_len, t->splice_flags);
		return true;
	}
	if (n == 0)
		errno = EAGAIN;
	return n <= 0;
}

/* Not for the stack of every other call. */
__attribute__((noinline)) static ssize_t look_and_move(const struct transfer *t)
{
	ssize_t n = -1;

	*t->pipe_refused = is_refused(t, &n);
	if (*t->pipe_refused)
		return n;
	n = real.recv(t->fd, t->single.iov_base, t->single.iov_len, MSG_PEEK);
	if (n <= 0)
		return n;
	n = REAL(splice)(t->fd, NULL, t->pipe, NULL, (size_t)n, t->splice_flags);
	*t->pipe_refused = n < 0;
	return n;
}

static ssize_t pass_through(const struct transfer *t)
{
	struct iovec bytes = t->single;
	struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1};

	return t->kind == TRANSFER_RECV ? t->through->recv(t->through, t, &bytes, 1, 0)
					: t->through->send(t->through, t->fd, &message, t->flags);
}

/* Its bytes are under other keys than the connection's, or it is none of the program's. */
static int why_never_native(const struct transfer *t)
{
	const struct sock *sock = fdtable_get(t->fd);

	if (__builtin_expect(!sock, 1))
		return 0;
	if (sock == FDTABLE_INTERNAL)
		return EBADF;
	if (sock->awaits_fence && t->kind <= TRANSFER_SPLICE)
		return EAGAIN;
	return sock->transport ? ECONNRESET : 0;
}

ssize_t transfer_native(const struct transfer *transfer)
{
	int error;

	if (transfer->through)
		return pass_through(transfer);
	error = why_never_native(transfer);
	if (error) {
		errno = error;
		return -1;
	}
	return transfer_call_kernel(transfer);
}

ssize_t transfer_call_kernel(const struct transfer *transfer)
{
	const struct transfer *t = transfer;

	switch (t->kind) {
	case TRANSFER_READ:
		return real.read(t->fd, t->single.iov_base, t->single.iov_len);
	case TRANSFER_READV:
		return real.readv(t->fd, t->iov, (int)t->n_iov);
	case TRANSFER_RECV:
		return real.recv(t->fd, t->single.iov_base, t->single.iov_len, t->flags);
	case TRANSFER_RECVFROM:
		return real.recvfrom(t->fd, t->single.iov_base, t->single.iov_len, t->flags, t->address,
				     t->address_length_out);
	case TRANSFER_RECVMSG:
		return REAL(recvmsg)(t->fd, t->message, t->flags);
	case TRANSFER_SPLICE:
		return look_and_move(t);
	case TRANSFER_WRITE:
		return real.write(t->fd, t->single.iov_base, t->single.iov_len);
	case TRANSFER_WRITEV:
		return real.writev(t->fd, t->iov, (int)t->n_iov);
	case TRANSFER_SEND:
		return real.send(t->fd, t->single.iov_base, t->single.iov_len, t->flags);
	case TRANSFER_SENDTO:
		return real.sendto(t->fd, t->single.iov_base, t->single.iov_len, t->flags, t->address,
				   t->address_length);
	case TRANSFER_SENDMSG:
		return REAL(sendmsg)(t->fd, t->message, t->flags);
	}
	errno = ENOSYS;
	return -1;
}

static bool is_vector(enum transfer_kind kind)
{
	return kind == TRANSFER_READV || kind == TRANSFER_WRITEV || kind == TRANSFER_RECVMSG ||
	       kind == TRANSFER_SENDMSG;
}

bool transfer_is_readable(const struct transfer *transfer)
{
	return !is_vector(transfer->kind) ||
	       (transfer->n_iov <= IOV_MAX && guard_readable(transfer->iov, transfer->n_iov * sizeof(struct iovec)));
}

const struct iovec *transfer_vector(const struct transfer *transfer, size_t *n)
{
	*n = is_vector(transfer->kind) ? transfer->n_iov : 1;
	return is_vector(transfer->kind) ? transfer->iov : &transfer->single;
}

size_t transfer_length(const struct transfer *transfer)
{
	size_t n, total = 0;
	const struct iovec *iov = transfer_vector(transfer, &n);

	for (size_t i = 0; i < n; i++)
		if (__builtin_add_overflow(total, iov[i].iov_len, &total))
			return SIZE_MAX;
	return total;
}
