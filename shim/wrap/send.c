/* write, writev, send, sendto, sendmsg, sendmmsg and the like. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "shim/base/fdtable.h"
#include "shim/base/real.h"
#include "shim/base/usermem.h"
#include "shim/exchange/handoff.h"
#include "shim/exchange/iocall.h"
#include "shim/sock/transport.h"
#include "shim/wrap/wrap.h"

/* As in recv.c. */
#define OUT_OF_LINE __attribute__((noinline, cold))

/* None of ours, and its thread sends nothing that is to be swallowed. */
static inline bool is_untracked(int fd)
{
	return __builtin_expect(!fdtable_get(fd), 1) && __builtin_expect(!sock_swallows, 1);
}

OUT_OF_LINE static ssize_t write_tracked(int fd, const void *buffer, size_t length)
{
	struct transfer transfer = {.kind = TRANSFER_WRITE, .fd = fd, .single = {(void *)buffer, length}};

	return exchange_send(&transfer);
}

EXPORT ssize_t write(int fd, const void *buffer, size_t length)
{
	return is_untracked(fd) ? real.write(fd, buffer, length) : write_tracked(fd, buffer, length);
}

OUT_OF_LINE static ssize_t writev_tracked(int fd, const struct iovec *iov, int n)
{
	struct transfer transfer = {.kind = TRANSFER_WRITEV, .fd = fd, .iov = iov, .n_iov = (size_t)n};

	return n < 0 ? real.writev(fd, iov, n) : exchange_send(&transfer);
}

EXPORT ssize_t writev(int fd, const struct iovec *iov, int n)
{
	return is_untracked(fd) ? real.writev(fd, iov, n) : writev_tracked(fd, iov, n);
}

/* As preadv2(). */
EXPORT ssize_t pwritev2(int fd, const struct iovec *iov, int n, off_t offset, int flags)
{
	struct msghdr message = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n};

	if (fdtable_get(fd) && offset == -1 && !flags)
		return writev(fd, iov, n);
	if (fdtable_get(fd) && offset == -1 && flags == RWF_NOWAIT && n >= 0)
		return sendmsg(fd, &message, MSG_DONTWAIT);
	return NATIVE(fd, REAL(pwritev2)(fd, iov, n, offset, flags));
}

OUT_OF_LINE static ssize_t send_tracked(int fd, const void *buffer, size_t length, int flags)
{
	struct transfer transfer = {
		.kind = TRANSFER_SEND, .fd = fd, .flags = flags, .single = {(void *)buffer, length}};

	return exchange_send(&transfer);
}

EXPORT ssize_t send(int fd, const void *buffer, size_t length, int flags)
{
	return is_untracked(fd) ? real.send(fd, buffer, length, flags) : send_tracked(fd, buffer, length, flags);
}

EXPORT ssize_t sendto(int fd, const void *buffer, size_t length, int flags, const struct sockaddr *address,
		      socklen_t address_length)
{
	struct transfer transfer = {.kind = TRANSFER_SENDTO,
				    .fd = fd,
				    .flags = flags,
				    .single = {(void *)buffer, length},
				    .caller = __builtin_return_address(0),
				    .address = (struct sockaddr *)address,
				    .address_length = address_length};

	if (is_untracked(fd))
		return real.sendto(fd, buffer, length, flags, address, address_length);
	return exchange_send(&transfer);
}

static ssize_t send_message(int fd, const struct msghdr *message, int flags, void *caller)
{
	struct transfer transfer = {.kind = TRANSFER_SENDMSG,
				    .fd = fd,
				    .flags = flags,
				    .message = (struct msghdr *)message,
				    .caller = caller};

	if (is_untracked(fd)) {
		if (handoff_is_possible())
			handoff_descriptors(message);
		return REAL(sendmsg)(fd, message, flags);
	}
	if (!guard_readable(message, sizeof(*message)))
		return REAL(sendmsg)(fd, message, flags);
	transfer.iov = message->msg_iov;
	transfer.n_iov = message->msg_iovlen;
	return exchange_send(&transfer);
}

EXPORT ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	return send_message(fd, message, flags, __builtin_return_address(0));
}

EXPORT int sendmmsg(int fd, struct mmsghdr *messages, unsigned n, messages_flags flags)
{
	unsigned done = 0;

	if (is_untracked(fd)) {
		for (unsigned i = 0; i < n && handoff_is_possible(); i++)
			handoff_descriptors(&messages[i].msg_hdr);
		return REAL(sendmmsg)(fd, messages, n, flags);
	}
	if (!guard_readable(messages, n * sizeof(*messages)))
		return REAL(sendmmsg)(fd, messages, n, flags);
	while (done < n) {
		ssize_t sent = send_message(fd, &messages[done].msg_hdr, flags, __builtin_return_address(0));

		if (sent < 0)
			return done ? (int)done : -1;
		messages[done++].msg_len = (unsigned)sent;
	}
	return (int)done;
}
