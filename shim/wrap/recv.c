/* read, readv, recv, recvfrom, recvmsg, recvmmsg and their fortified names. Untracked descriptors go straight
 * through. */
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "shim/base/clock.h"
#include "pool/base/clock.h"
#include "shim/base/fdtable.h"
#include "shim/base/real.h"
#include "shim/base/usermem.h"
#include "shim/exchange/iocall.h"
#include "shim/exchange/receive_parts.h"
#include "shim/sock/sock.h"
#include "shim/wrap/wrap.h"

/* An untracked descriptor costs a table look-up and a jump: everything else stays out of these functions. */
#define OUT_OF_LINE __attribute__((noinline, cold))

OUT_OF_LINE static ssize_t read_tracked(int fd, void *buffer, size_t length)
{
	struct transfer transfer = {.kind = TRANSFER_READ, .fd = fd, .single = {buffer, length}};

	return exchange_receive(&transfer);
}

EXPORT ssize_t read(int fd, void *buffer, size_t length)
{
	return __builtin_expect(!fdtable_get(fd), 1) ? real.read(fd, buffer, length) : read_tracked(fd, buffer, length);
}

OUT_OF_LINE static ssize_t readv_tracked(int fd, const struct iovec *iov, int n)
{
	struct transfer transfer = {.kind = TRANSFER_READV, .fd = fd, .iov = iov, .n_iov = (size_t)n};

	return n < 0 ? real.readv(fd, iov, n) : exchange_receive(&transfer);
}

EXPORT ssize_t readv(int fd, const struct iovec *iov, int n)
{
	return __builtin_expect(!fdtable_get(fd), 1) ? real.readv(fd, iov, n) : readv_tracked(fd, iov, n);
}

/* At the position -1 it is a readv() with flags, and the only kind that a socket knows (readv(2)). */
EXPORT ssize_t preadv2(int fd, const struct iovec *iov, int n, off_t offset, int flags)
{
	struct msghdr message = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n};

	if (fdtable_get(fd) && offset == -1 && !flags)
		return readv(fd, iov, n);
	if (fdtable_get(fd) && offset == -1 && flags == RWF_NOWAIT && n >= 0)
		return recvmsg(fd, &message, MSG_DONTWAIT);
	return NATIVE(fd, REAL(preadv2)(fd, iov, n, offset, flags));
}

OUT_OF_LINE static ssize_t recv_tracked(int fd, void *buffer, size_t length, int flags)
{
	struct transfer transfer = {.kind = TRANSFER_RECV, .fd = fd, .flags = flags, .single = {buffer, length}};

	return exchange_receive(&transfer);
}

EXPORT ssize_t recv(int fd, void *buffer, size_t length, int flags)
{
	return __builtin_expect(!fdtable_get(fd), 1) ? real.recv(fd, buffer, length, flags)
						     : recv_tracked(fd, buffer, length, flags);
}

EXPORT ssize_t recvfrom(int fd, void *buffer, size_t length, int flags, struct sockaddr *address,
			socklen_t *address_length)
{
	struct transfer transfer = {.kind = TRANSFER_RECVFROM,
				    .fd = fd,
				    .flags = flags,
				    .single = {buffer, length},
				    .address = address,
				    .address_length_out = address_length};

	if (__builtin_expect(!fdtable_get(fd), 1))
		return real.recvfrom(fd, buffer, length, flags, address, address_length);
	return exchange_receive(&transfer);
}

EXPORT ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	struct transfer transfer = {.kind = TRANSFER_RECVMSG, .fd = fd, .flags = flags, .message = message};

	if (__builtin_expect(!fdtable_get(fd), 1) || !guard_readable(message, sizeof(*message)))
		return REAL(recvmsg)(fd, message, flags);
	transfer.iov = message->msg_iov;
	transfer.n_iov = message->msg_iovlen;
	return exchange_receive(&transfer);
}

/* One message after the other, in the program's own way of waiting. Returns how many; -1: not even one. */
static int receive_messages(struct sock *sock, int fd, struct mmsghdr *messages, unsigned n, int flags,
			    struct timespec *timeout)
{
	struct timespec limit = timeout ? *timeout : (struct timespec){0}, begin = limit;
	struct receive_parts parts;
	unsigned done = 0;

	if (timeout)
		guard_get_time(CLOCK_MONOTONIC, &begin);
	receive_parts_begin(&parts, sock, fd, flags | (flags & MSG_WAITFORONE ? MSG_DONTWAIT : 0));
	sock_leave(sock);
	while (done < n && guard_readable(&messages[done], sizeof(*messages)) &&
	       (!done || receive_parts_go_on(&parts))) {
		ssize_t received = recvmsg(fd, &messages[done].msg_hdr, flags & ~MSG_WAITFORONE);

		if (received < 0)
			return done ? (int)done : -1;
		messages[done++].msg_len = (unsigned)received;
		if (flags & MSG_WAITFORONE)
			flags |= MSG_DONTWAIT;
		if (timeout)
			*timeout = clock_remaining(&limit, &begin);
		if (timeout && !timeout->tv_sec && !timeout->tv_nsec)
			break;
		receive_parts_restart_timeout(&parts);
	}
	return (int)done;
}

static bool is_timeout(struct timespec *timeout)
{
	struct timespec limit;

	if (!guard_readable(timeout, sizeof(*timeout)))
		return false;
	limit = *timeout;
	if (limit.tv_sec < 0 || limit.tv_nsec < 0 || limit.tv_nsec >= (long)SECOND_NS ||
	    !guard_take_for_writing(timeout, sizeof(*timeout)))
		return false;
	*timeout = limit;
	return true;
}

/* On a stream each message is one receive; the kernel's own loop would read past the end of the exchange. As in
 * that, the timeout is looked at after each message (recvmmsg(2), BUGS). */
EXPORT int recvmmsg(int fd, struct mmsghdr *messages, unsigned n, messages_flags flags, struct timespec *timeout)
{
	struct sock *sock;

	if (!fdtable_get(fd) || !n || !guard_readable(messages, sizeof(*messages)) || (timeout && !is_timeout(timeout)))
		return REAL(recvmmsg)(fd, messages, n, flags, timeout);
	sock = sock_enter(fd);
	if (!sock)
		return NATIVE(fd, REAL(recvmmsg)(fd, messages, n, flags, timeout));
	return receive_messages(sock, fd, messages, n, (int)flags, timeout);
}

ssize_t __read_chk(int fd, void *buffer, size_t length, size_t room);
EXPORT ssize_t __read_chk(int fd, void *buffer, size_t length, size_t room)
{
	/* The C library's own check ends the program, as it would without us. */
	return length > room ? REAL(__read_chk)(fd, buffer, length, room) : read(fd, buffer, length);
}

ssize_t __recv_chk(int fd, void *buffer, size_t length, size_t room, int flags);
EXPORT ssize_t __recv_chk(int fd, void *buffer, size_t length, size_t room, int flags)
{
	return length > room ? REAL(__recv_chk)(fd, buffer, length, room, flags) : recv(fd, buffer, length, flags);
}

ssize_t __recvfrom_chk(int fd, void *buffer, size_t length, size_t room, int flags, struct sockaddr *address,
		       socklen_t *address_length);
EXPORT ssize_t __recvfrom_chk(int fd, void *buffer, size_t length, size_t room, int flags, struct sockaddr *address,
			      socklen_t *address_length)
{
	return length > room ? REAL(__recvfrom_chk)(fd, buffer, length, room, flags, address, address_length)
			     : recvfrom(fd, buffer, length, flags, address, address_length);
}
