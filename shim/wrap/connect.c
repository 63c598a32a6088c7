/* connect: what it means depends on what the socket is; see connect.h for a new one. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>

#include "shim/base/real.h"
#include "shim/base/relayed.h"
#include "shim/base/usermem.h"
#include "shim/connect/connect.h"
#include "shim/connect/limit.h"
#include "shim/exchange/after_eof.h"
#include "shim/exchange/enter.h"
#include "shim/exchange/eof.h"
#include "shim/sock/options.h"
#include "shim/sock/sock.h"
#include "shim/wrap/wrap.h"

/* The purpose of a further connect() on a connected socket. */
enum purpose { PURPOSE_SAME_PEER, PURPOSE_OTHER_PEER, PURPOSE_DISCONNECT, PURPOSE_ERROR };

static enum purpose purpose_of(const struct sock *sock, const struct sockaddr *address, socklen_t length)
{
	struct destination_key key = sock->key;

	if (length < (socklen_t)sizeof(address->sa_family) || length > (socklen_t)sizeof(struct sockaddr_storage) ||
	    !guard_readable(address, length))
		return PURPOSE_ERROR;
	if (address->sa_family == AF_UNSPEC)
		return PURPOSE_DISCONNECT;
	if (address->sa_family != sock->domain || destination_key_set_peer(&key, address, length))
		return PURPOSE_ERROR;
	return destination_key_equal(&key, &sock->key) ? PURPOSE_SAME_PEER : PURPOSE_OTHER_PEER;
}

static bool has_failed(int fd)
{
	uint8_t state = 0; /* tcp_info's first field */
	socklen_t length = sizeof(state);

	return real.getsockopt(fd, IPPROTO_TCP, TCP_INFO, &state, &length) < 0 || state == TCP_CLOSE;
}

static int disconnect_stub(struct sock *sock)
{
	int error = after_eof_disconnect(sock);

	sock_leave(sock);
	return error ? FAIL(-error) : 0;
}

/* After a non-blocking connect() the next one tells of its success, once, whatever has happened since. */
static int connect_again(struct sock *sock, int fd, const struct sockaddr *address, socklen_t length)
{
	bool is_told_now = sock->reports_connected && (sock->is_leased || sock->state != SOCK_OPEN);
	bool is_stub = sock->state == SOCK_STUB;
	int result, error;

	if (is_told_now)
		sock->reports_connected = false;
	sock_leave(sock);
	if (is_told_now)
		return 0;
	if (is_stub) {
		errno = EISCONN;
		return -1;
	}
	result = relayed_connect(fd, address, length);
	error = result ? errno : 0;
	if (error != EALREADY && error != EINPROGRESS && (sock = exchange_enter(fd))) {
		events_dial_done(sock, error == EISCONN ? 0 : error);
		sock->reports_connected &= result < 0;
		sock_leave(sock);
	}
	if (error)
		errno = error;
	return result;
}

EXPORT int connect(int fd, const struct sockaddr *address, socklen_t length)
{
	struct sock *sock;

	if (!fdtable_get(fd))
		return relayed_connect(fd, address, length);
	pthread_testcancel();
	sock = exchange_enter(fd);
	if (!sock)
		return NATIVE(fd, relayed_connect(fd, address, length));
	if (sock->state == SOCK_NEW) {
		eof_make_for_peer(sock, fd, address, length);
		return connect_new(sock, fd, address, length, __builtin_return_address(0));
	}
	if (sock->state == SOCK_WAITING) {
		int error = limit_await(&sock, fd, true, SOCKET_OPTION_SNDTIMEO);

		if (error)
			return FAIL(error == -EAGAIN ? EALREADY : -error);
		if (!sock)
			return relayed_connect(fd, address, length);
	}
	switch (purpose_of(sock, address, length)) {
	case PURPOSE_DISCONNECT:
		if (sock->state == SOCK_STUB)
			return disconnect_stub(sock);
		sock_untrack(sock, REFUSAL_SOCKOPT);
		sock_leave(sock);
		return relayed_connect(fd, address, length);
	case PURPOSE_OTHER_PEER:
		/* After a failed attempt a program may try another server on the same socket; before that it is told
		 * that it has a connection. */
		if (sock->state != SOCK_OPEN || sock->is_leased || !has_failed(fd))
			break;
		sock_untrack(sock, REFUSAL_SOCKOPT);
		sock_leave(sock);
		return relayed_connect(fd, address, length);
	case PURPOSE_SAME_PEER:
	case PURPOSE_ERROR:
		break;
	}
	return connect_again(sock, fd, address, length);
}
