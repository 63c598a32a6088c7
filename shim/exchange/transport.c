/* See transport.h. Plain TCP: each call is made as the program made it, but for the buffers. */
#include "shim/exchange/transport.h"

#include "pool/conn/ledger.h"
#include "shim/base/real.h"
#include "shim/exchange/iocall.h"

static ssize_t tcp_send(const struct transport *transport, int fd, const struct msghdr *message, int flags)
{
	(void)transport;
	if (message->msg_iovlen == 1 && !message->msg_name && !message->msg_controllen)
		return real.send(fd, message->msg_iov->iov_base, message->msg_iov->iov_len, flags);
	return real.sendmsg(fd, message, flags);
}

/* Into the given vector; what else there is to say goes where the program has it. */
static ssize_t tcp_recv_message(const struct transfer *transfer, struct iovec *iov, size_t n_iov, int flags)
{
	struct msghdr message = *transfer->message;
	ssize_t n;

	message.msg_iov = iov;
	message.msg_iovlen = n_iov;
	n = real.recvmsg(transfer->fd, &message, flags);
	if (n >= 0) {
		transfer->message->msg_namelen = message.msg_namelen;
		transfer->message->msg_controllen = message.msg_controllen;
		transfer->message->msg_flags = message.msg_flags;
	}
	return n;
}

static ssize_t tcp_recv(const struct transport *transport, const struct transfer *transfer, struct iovec *iov,
			size_t n_iov, int more_flags)
{
	int flags = transfer->flags | more_flags;

	(void)transport;
	if (!iov)
		return transfer_native(transfer);
	if (transfer->kind == TRANSFER_RECVMSG)
		return tcp_recv_message(transfer, iov, n_iov, flags);
	if (n_iov > 1)
		return more_flags ? real.recvmsg(transfer->fd, &(struct msghdr){.msg_iov = iov, .msg_iovlen = n_iov},
						 flags)
				  : real.readv(transfer->fd, iov, (int)n_iov);
	if (transfer->kind == TRANSFER_RECVFROM)
		return real.recvfrom(transfer->fd, iov->iov_base, iov->iov_len, flags, transfer->address,
				     transfer->address_length_out);
	if (transfer->kind == TRANSFER_RECV || more_flags)
		return real.recv(transfer->fd, iov->iov_base, iov->iov_len, flags);
	return real.read(transfer->fd, iov->iov_base, iov->iov_len);
}

static bool tcp_is_quiet(const struct transport *transport, int fd)
{
	(void)transport;
	return ledger_is_quiet(&sock_pool_sys, fd);
}

const struct transport transport_tcp = {.send = tcp_send, .recv = tcp_recv, .is_quiet = tcp_is_quiet};

ssize_t transport_peek(const struct transport *transport, int fd, char *bytes, size_t length, int flags)
{
	const struct transfer peek = {.kind = TRANSFER_RECV, .fd = fd, .flags = flags | MSG_PEEK};
	struct iovec vector = {bytes, length};

	return transport->recv(transport, &peek, &vector, 1, 0);
}
