/* See receive_all.h. */
#include "shim/exchange/receive_all.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "shim/exchange/iocall.h"
#include "shim/exchange/receive_parts.h"
#include "shim/sock/sock.h"

#define VECTOR_MAX 64

static bool is_truncating(const struct transfer *transfer)
{
	return (transfer->flags & (MSG_TRUNC | MSG_PEEK)) == MSG_TRUNC;
}

bool receive_all_is_asked(const struct transfer *transfer)
{
	return (transfer->flags & (MSG_WAITALL | MSG_PEEK | MSG_DONTWAIT)) == MSG_WAITALL ||
	       (is_truncating(transfer) && transfer->kind != TRANSFER_RECVMSG);
}

bool receive_all_is_beyond_us(const struct sock *sock, const struct transfer *transfer)
{
	int flags = transfer->flags & (MSG_WAITALL | MSG_PEEK | MSG_DONTWAIT);

	if (flags == (MSG_WAITALL | MSG_PEEK) && protocol_withholds_end(&sock->protocol) &&
	    !(sock->status_flags & O_NONBLOCK))
		return true;
	return transfer->kind == TRANSFER_RECVMSG &&
	       ((flags == MSG_WAITALL && transfer->n_iov > VECTOR_MAX) || is_truncating(transfer));
}

static struct iovec rest_of(const struct iovec *buffer, size_t received)
{
	return (struct iovec){(char *)buffer->iov_base + received, buffer->iov_len - received};
}

/* Where the next part goes of what fills the buffers of `whole` from their beginning. */
static void aim_behind(struct transfer *part, const struct transfer *whole, size_t received, struct iovec *vector)
{
	part->n_iov = 0;
	if (whole->kind != TRANSFER_RECVMSG)
		part->single = rest_of(&whole->single, received);
	for (size_t i = 0; i < whole->n_iov && part->n_iov < VECTOR_MAX; i++) {
		size_t length = whole->iov[i].iov_len;

		if (length > received)
			vector[part->n_iov++] = rest_of(&whole->iov[i], received);
		received = received > length ? received - length : 0;
	}
}

static ssize_t receive_message(struct transfer *part, const struct transfer *whole, struct iovec *vector, bool is_first)
{
	struct msghdr message = *whole->message;
	struct transfer transfer = *part;
	ssize_t n;

	message.msg_iov = vector;
	message.msg_iovlen = part->n_iov;
	transfer.iov = vector;
	transfer.message = &message;
	n = exchange_receive_once(&transfer);
	if (n > 0 || (n == 0 && is_first)) {
		whole->message->msg_namelen = message.msg_namelen;
		whole->message->msg_controllen = message.msg_controllen;
		whole->message->msg_flags = message.msg_flags;
	}
	return n;
}

static ssize_t receive_part(struct transfer *part, const struct transfer *whole, size_t received)
{
	struct iovec vector[VECTOR_MAX];

	aim_behind(part, whole, received, vector);
	return whole->kind == TRANSFER_RECVMSG ? receive_message(part, whole, vector, !received)
					       : exchange_receive_once(part);
}

/* Discarded bytes (MSG_TRUNC) need no buffers of the program's. */
static ssize_t drop_part(struct transfer *part, const struct transfer *whole, size_t dropped)
{
	char bytes[1024];

	part->flags &= ~MSG_TRUNC;
	part->single.iov_base = bytes;
	part->single.iov_len = whole->single.iov_len - dropped;
	if (part->single.iov_len > sizeof(bytes))
		part->single.iov_len = sizeof(bytes);
	return exchange_receive_once(part);
}

/* On a stack of its own size: small ones have no room for what only this needs. */
__attribute__((noinline)) ssize_t receive_all(struct sock *sock, struct transfer *transfer, size_t length)
{
	struct transfer part = *transfer;
	struct receive_parts parts;
	size_t received = 0;

	/* A receive without MSG_WAITALL takes the available bytes. */
	receive_parts_begin(&parts, sock, transfer->fd,
			    transfer->flags | (transfer->flags & MSG_WAITALL ? 0 : MSG_DONTWAIT));
	sock_leave(sock);
	part.flags &= ~MSG_WAITALL;
	while (received < length && (!received || receive_parts_go_on(&parts))) {
		int saved = errno;
		ssize_t n = is_truncating(transfer) ? drop_part(&part, transfer, received)
						    : receive_part(&part, transfer, received);

		if (n <= 0 && !received)
			return n;
		if (n < 0)
			errno = saved;
		if (n <= 0)
			break;
		received += (size_t)n;
		part.flags |= MSG_DONTWAIT;
	}
	return (ssize_t)received;
}
