/* write, writev, send, sendto, sendmsg, sendmmsg, and the bodies that go by sendfile and splice. */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/sendfile.h>
#include <unistd.h>
#include <fcntl.h>

#include "shim/afterlife.h"
#include "shim/exchange.h"
#include "shim/export.h"
#include "shim/finish.h"
#include "shim/fresh.h"
#include "shim/guard.h"
#include "shim/limit.h"
#include "shim/pass.h"
#include "shim/real.h"
#include "shim/sock.h"
#include "shim/transfer.h"

/* As in receive.c. */
#define OUT_OF_LINE __attribute__((noinline, cold))

OUT_OF_LINE static ssize_t write_tracked(int fd, const void *buffer, size_t length)
{
	struct transfer transfer = {.kind = TRANSFER_WRITE, .fd = fd, .single = {(void *)buffer, length}};

	return exchange_send(&transfer);
}

EXPORT ssize_t write(int fd, const void *buffer, size_t length)
{
	return __builtin_expect(!fdtable_get(fd), 1) ? real.write(fd, buffer, length)
						     : write_tracked(fd, buffer, length);
}

OUT_OF_LINE static ssize_t writev_tracked(int fd, const struct iovec *iov, int n)
{
	struct transfer transfer = {.kind = TRANSFER_WRITEV, .fd = fd, .iov = iov, .n_iov = (size_t)n};

	return n < 0 ? real.writev(fd, iov, n) : exchange_send(&transfer);
}

EXPORT ssize_t writev(int fd, const struct iovec *iov, int n)
{
	return __builtin_expect(!fdtable_get(fd), 1) ? real.writev(fd, iov, n) : writev_tracked(fd, iov, n);
}

/* As preadv2(). */
EXPORT ssize_t pwritev2(int fd, const struct iovec *iov, int n, off_t offset, int flags)
{
	struct msghdr message = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n};

	if (fdtable_get(fd) && offset == -1 && !flags)
		return writev(fd, iov, n);
	if (fdtable_get(fd) && offset == -1 && flags == RWF_NOWAIT && n >= 0)
		return sendmsg(fd, &message, MSG_DONTWAIT);
	return fdtable_is_internal(fd) ? errno = EBADF, -1 : REAL(pwritev2)(fd, iov, n, offset, flags);
}

EXPORT ssize_t pwritev64v2(int fd, const struct iovec *iov, int n, off64_t offset, int flags)
{
	return pwritev2(fd, iov, n, offset, flags);
}

OUT_OF_LINE static ssize_t send_tracked(int fd, const void *buffer, size_t length, int flags)
{
	struct transfer transfer = {
		.kind = TRANSFER_SEND, .fd = fd, .flags = flags, .single = {(void *)buffer, length}};

	return exchange_send(&transfer);
}

EXPORT ssize_t send(int fd, const void *buffer, size_t length, int flags)
{
	return __builtin_expect(!fdtable_get(fd), 1) ? real.send(fd, buffer, length, flags)
						     : send_tracked(fd, buffer, length, flags);
}

EXPORT ssize_t sendto(int fd, const void *buffer, size_t length, int flags, const struct sockaddr *address,
		      socklen_t address_length)
{
	struct transfer transfer = {.kind = TRANSFER_SENDTO,
				    .fd = fd,
				    .flags = flags,
				    .single = {(void *)buffer, length},
				    .address = (struct sockaddr *)address,
				    .address_length = address_length};

	if (__builtin_expect(!fdtable_get(fd), 1))
		return real.sendto(fd, buffer, length, flags, address, address_length);
	return exchange_send(&transfer);
}

EXPORT ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	struct transfer transfer = {
		.kind = TRANSFER_SENDMSG, .fd = fd, .flags = flags, .message = (struct msghdr *)message};

	if (__builtin_expect(!fdtable_get(fd), 1)) {
		pass_descriptors(message);
		return REAL(sendmsg)(fd, message, flags);
	}
	if (!guard_readable(message, sizeof(*message)))
		return REAL(sendmsg)(fd, message, flags);
	transfer.iov = message->msg_iov;
	transfer.n_iov = message->msg_iovlen;
	return exchange_send(&transfer);
}

EXPORT int sendmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags)
{
	unsigned done = 0;

	if (!guard_readable(messages, n * sizeof(*messages)))
		return REAL(sendmmsg)(fd, messages, n, flags);
	if (!fdtable_get(fd)) {
		for (unsigned i = 0; i < n; i++)
			pass_descriptors(&messages[i].msg_hdr);
		return REAL(sendmmsg)(fd, messages, n, flags);
	}
	while (done < n) {
		ssize_t sent = sendmsg(fd, &messages[done].msg_hdr, flags);

		if (sent < 0)
			return done ? (int)done : -1;
		messages[done++].msg_len = (unsigned)sent;
	}
	return (int)done;
}

/* The kernel will move bytes that we can't look at. A leased connection of which nothing was used yet is not risked. A stub
 * takes them like the connection that it stands for: see end_unseen(). False: it is not its turn, as errno says. Else *entered
 * is the socket, NULL if the call goes on natively. */
static bool enter_unseen(int fd, int timeout_option, struct sock **entered)
{
	struct sock *sock = sock_enter(fd);
	int error = 0;

	*entered = NULL;
	/* Whether that blocks is the socket's own business, whatever the call's flags say of the pipe. */
	if (sock && sock->state == SOCK_WAITING)
		error = limit_await(&sock, fd, true, timeout_option);
	if (error) {
		errno = -error;
		return false;
	}
	if (!sock)
		return true;
	if (sock->state != SOCK_OPEN && sock->state != SOCK_STUB) {
		sock_leave(sock);
		return true;
	}
	if (sock->state == SOCK_OPEN && sock->is_leased && !sock->has_sent &&
	    fresh_replace(sock, FRESH_FOR_UNFIT, -1) == 0 && !sock->conn) {
		sock_leave(sock);
		return true;
	}
	*entered = sock;
	return true;
}

static ssize_t end_unseen(struct inside_token token, int fd, bool is_request, ssize_t moved)
{
	int saved = errno;
	struct sock *sock;

	sock_come_out(token);
	sock = exchange_return(token, fd);

	if (sock && moved > 0 && is_request && sock->state == SOCK_STUB) {
		afterlife_send(sock, (size_t)moved);
		sock_leave(sock);
	} else if (sock && moved > 0 && sock->state == SOCK_OPEN) {
		exchange_account_unseen(sock, is_request, (size_t)moved);
	} else if (sock && !is_request && moved == 0 && sock->is_lost && sock->state == SOCK_OPEN) {
		finish_lost(sock);
		sock_leave(sock);
	} else if (sock) {
		sock_leave(sock);
	}
	errno = saved;
	return moved;
}

EXPORT ssize_t sendfile(int out, int in, off_t *offset, size_t length)
{
	struct inside_token token;
	struct sock *sock = NULL;

	if (fdtable_get(out) && length && !enter_unseen(out, SOCKET_OPTION_SNDTIMEO, &sock))
		return -1;
	if (!sock)
		return fdtable_is_internal(out) ? errno = EBADF, -1 : REAL(sendfile)(out, in, offset, length);
	token = sock_go_inside(sock);
	sock_leave(sock);
	return end_unseen(token, out, true, REAL(sendfile)(out, in, offset, length));
}

EXPORT ssize_t sendfile64(int out, int in, off64_t *offset, size_t length)
{
	return sendfile(out, in, offset, length);
}

EXPORT ssize_t splice(int in, off64_t *in_offset, int out, off64_t *out_offset, size_t length, unsigned flags)
{
	int fd = fdtable_get(out) ? out : in;
	int timeout_option = fd == out ? SOCKET_OPTION_SNDTIMEO : SOCKET_OPTION_RCVTIMEO;
	struct inside_token token;
	struct sock *sock = NULL;

	if (fdtable_get(fd))
		pthread_testcancel();
	if (fdtable_get(fd) && length && !enter_unseen(fd, timeout_option, &sock))
		return -1;
	if (!sock)
		return fdtable_is_internal(fd)	    ? errno = EBADF,
						 -1 : REAL(splice)(in, in_offset, out, out_offset, length, flags);
	/* Not past the end of the message, where the kernel would wait for a server that stays. */
	if (fd == in && sock->framing.edited && framing_skippable_response(&sock->framing) &&
	    length > framing_skippable_response(&sock->framing))
		length = framing_skippable_response(&sock->framing);
	token = sock_go_inside(sock);
	sock_leave(sock);
	return end_unseen(token, fd, fd == out, REAL(splice)(in, in_offset, out, out_offset, length, flags));
}
