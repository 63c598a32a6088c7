/*
 * See fastopen.h. MSG_FASTOPEN is the option TCP_FASTOPEN_CONNECT, a connect() and a send() in one: with a cookie at
 * hand that connect() sends nothing, and the send's bytes go out with the SYN; without one it dials, and a socket that
 * doesn't block says EINPROGRESS either way. Taken apart, a kept connection can stand in for the dial, and a fresh one
 * is followed.
 */
#include "shim/exchange/fastopen.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "shim/base/real.h"
#include "shim/base/usermem.h"
#include "shim/connect/connect.h"
#include "shim/exchange/eof.h"
#include "shim/exchange/iocall.h"
#include "shim/sock/options.h"
#include "shim/sock/sock.h"
#include "shim/sock/spare.h"

static const struct sockaddr *address_of(const struct transfer *transfer, socklen_t *length)
{
	if (transfer->kind == TRANSFER_SENDMSG) {
		*length = transfer->message->msg_namelen;
		return transfer->message->msg_name;
	}
	*length = transfer->kind == TRANSFER_SENDTO ? transfer->address_length : 0;
	return transfer->kind == TRANSFER_SENDTO ? transfer->address : NULL;
}

/* The kernel says best why any other address is wrong. */
static bool is_for(const struct sock *sock, const struct sockaddr *address, socklen_t length)
{
	return length >= (socklen_t)sizeof(struct sockaddr_in) &&
	       length <= (socklen_t)sizeof(struct sockaddr_storage) && guard_readable(address, length) &&
	       address->sa_family == sock->domain;
}

ssize_t fastopen_send(struct sock *sock, struct transfer *transfer)
{
	static const int on = 1;
	int saved = errno;
	socklen_t length;
	const struct sockaddr *address = address_of(transfer, &length);
	bool is_sound = is_for(sock, address, length);

	if (!is_sound || real.setsockopt(transfer->fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof(on))) {
		sock_leave(sock);
		return transfer_native(transfer);
	}
	spare_drop(sock);
	options_note_set(sock, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof(on));
	eof_make_for_peer(sock, transfer->fd, address, length);
	if (connect_new(sock, transfer->fd, address, length, transfer->caller))
		return -1;
	errno = saved;
	transfer->flags &= ~MSG_FASTOPEN;
	return exchange_send(transfer);
}
