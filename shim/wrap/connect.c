/* connect: where a kept connection takes a dial's place. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>

#include "pool/config/rules.h"
#include "shim/base/usermem.h"
#include "shim/exchange/after_eof.h"
#include "shim/connect/dial.h"
#include "shim/exchange/enter.h"
#include "shim/wrap/wrap.h"
#include "shim/process/init.h"
#include "shim/connect/lease.h"
#include "shim/connect/limit.h"
#include "shim/connect/listen.h"
#include "shim/sock/identity.h"
#include "shim/sock/options.h"
#include "shim/base/real.h"
#include "shim/sock/sock.h"
#include "shim/sock/spare.h"

/* Everything that must be equal for another connection to serve instead. */
static bool complete_key(struct sock *sock, int fd, const struct sockaddr *address, socklen_t length)
{
	if (destination_key_set_peer(&sock->key, address, length))
		return false;
	identity_fill_key(&sock->key, fd);
	sock->policy = rules_find(sock_config, &sock->key);
	return sock->key.port != 0 && sock->policy->mode != CONFIG_MODE_OFF;
}

/* A kept connection has taken the dial's place. */
static int report_lease(struct sock *sock)
{
	/* Natively a non-blocking connect never returns 0 at once. */
	bool is_pending = sock->status_flags & O_NONBLOCK;

	sock->reports_connected = is_pending;
	sock_leave(sock);
	if (is_pending)
		errno = EINPROGRESS;
	return is_pending ? -1 : 0;
}

/* While a dial waits for a port, a connection may have come back. Locked if true. */
static struct sock *lease_after_all(int fd)
{
	struct sock *sock = exchange_enter(fd);

	if (!sock)
		return NULL;
	if (sock->state == SOCK_NEW && lease_take(sock))
		return sock;
	sock_leave(sock);
	return NULL;
}

/* What becomes of a connection in progress nobody asks any more: it counts as made. */
static void leave_alone(struct sock *sock)
{
	events_settle(sock, 0);
	sock_release(sock, REFUSAL_BYPASSED);
}

static int dial(struct sock *sock, int fd, const struct sockaddr *address, socklen_t length)
{
	struct inside_token token = sock_go_inside(sock);
	struct destination_key key = sock->key;
	struct dial dial = {.fd = fd,
			    .address = address,
			    .length = length,
			    .key = &key,
			    .policy = sock->policy,
			    .is_blocking = !(sock->status_flags & O_NONBLOCK),
			    .stats = sock->tally.destination,
			    .send_timeout_ns = options_timeout_ns(sock, SOCKET_OPTION_SNDTIMEO)};
	struct tally tally = sock->tally;
	struct sock *locked = NULL;
	int result, saved = errno;

	spare_drop(sock);
	if (dial.policy->mode == CONFIG_MODE_FULL)
		dial_widen_ports(fd, &key);
	/* Unlocked: it may block, and a handler may longjmp out of it. */
	sock_leave(sock);
	errno = saved;
	if (dial.policy->max_conns_per_host) {
		int limit = limit_enter(fd, &key, dial.policy->dial_timeout_ns, &locked);

		if (limit != LIMIT_DIAL)
			sock_come_out(token);
		errno = limit < 0 ? -limit : saved;
		if (limit < 0)
			return -1;
		if (limit != LIMIT_DIAL)
			return report_lease(locked);
	}
	events_begin_dial(&tally);
	while ((result = dial_try(&dial)) < 0 && dial_waits_for_port(&dial)) {
		struct sock *leased = lease_after_all(fd);

		if (leased) {
			sock_come_out(token);
			errno = saved;
			return report_lease(leased);
		}
	}
	saved = errno;
	sock_come_out(token);
	events_end_dial(&tally, fd, result ? saved : 0);
	if (result == 0 || saved == EINPROGRESS || saved == EINTR) {
		sock = exchange_enter(fd);
		if (sock && sock->state == SOCK_NEW) {
			sock->reports_connected = result < 0;
			sock->tally.dialing_ns = tally.dialing_ns;
			if (sock->is_bypassed)
				leave_alone(sock);
			else
				lease_follow_dial(sock);
		} else if (sock) {
			sock_leave(sock);
		}
	}
	errno = saved;
	return result;
}

/* A connection that is not followed. One in progress is taken for one that will be. */
static int connect_native(struct sock *sock, int fd, const struct sockaddr *address, socklen_t length)
{
	struct tally tally = sock->tally;
	bool is_own = listen_is_own_port(sock->key.port);
	int result, saved;

	if (tally.destination)
		log_event("dial", sock, missed_names[is_own ? MISSED_OWN_PORT : MISSED_SOCKOPT]);
	sock_release(sock, is_own ? REFUSAL_POLICY : REFUSAL_SOCKOPT);
	events_begin_dial(&tally);
	result = real.connect(fd, address, length);
	saved = errno;
	events_end_dial(&tally, fd, result == 0 || saved == EINPROGRESS || saved == EINTR ? 0 : saved);
	errno = saved;
	return result;
}

/* An address that no connection can come of: the kernel says no at once. */
static bool is_malformed(const struct sock *sock, const struct sockaddr *address, socklen_t length)
{
	/* IPv6 without a scope is taken too (RFC 2133). */
	socklen_t shortest = sock->domain == AF_INET6 ? (socklen_t)offsetof(struct sockaddr_in6, sin6_scope_id)
						      : (socklen_t)sizeof(struct sockaddr_in);

	return length < shortest || length > (socklen_t)sizeof(struct sockaddr_storage) ||
	       !guard_readable(address, length) || address->sa_family != sock->domain;
}

static int connect_malformed(struct sock *sock, int fd, const struct sockaddr *address, socklen_t length)
{
	int result = real.connect(fd, address, length);

	/* It says yes to AF_UNSPEC. */
	if (result == 0)
		sock_release(sock, REFUSAL_SOCKOPT);
	else
		sock_leave(sock);
	return result;
}

static int connect_new(struct sock *sock, int fd, const struct sockaddr *address, socklen_t length, void *caller)
{
	int saved = errno;
	bool is_known;

	if (is_malformed(sock, address, length))
		return connect_malformed(sock, fd, address, length);
	is_known = complete_key(sock, fd, address, length);
	sock->caller = (uintptr_t)caller;
	if (is_known)
		events_connect(sock, caller);
	if (!is_known || sock->cannot_keep || listen_is_own_port(sock->key.port)) {
		errno = saved;
		return connect_native(sock, fd, address, length);
	}
	sock->is_bypassed = lease_is_bypassed(sock);
	if (sock->is_bypassed || !lease_take(sock)) {
		errno = saved;
		return dial(sock, fd, address, length);
	}
	errno = saved;
	return report_lease(sock);
}

/* What a further connect() on a connected socket is for. */
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
	return memcmp(&key, &sock->key, destination_key_length(&key)) == 0 ? PURPOSE_SAME_PEER : PURPOSE_OTHER_PEER;
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
	result = real.connect(fd, address, length);
	error = result ? errno : 0;
	if (error != EALREADY && error != EINPROGRESS && (sock = exchange_enter(fd))) {
		events_settle(sock, error == EISCONN ? 0 : error);
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
		return REAL(connect)(fd, address, length);
	pthread_testcancel();
	sock = exchange_enter(fd);
	if (!sock)
		return NATIVE(fd, REAL(connect)(fd, address, length));
	if (sock->state == SOCK_NEW)
		return connect_new(sock, fd, address, length, __builtin_return_address(0));
	if (sock->state == SOCK_WAITING) {
		int error = limit_await(&sock, fd, true, SOCKET_OPTION_SNDTIMEO);

		if (error)
			return FAIL(error == -EAGAIN ? EALREADY : -error);
		if (!sock)
			return REAL(connect)(fd, address, length);
	}
	switch (purpose_of(sock, address, length)) {
	case PURPOSE_DISCONNECT:
		if (sock->state == SOCK_STUB)
			return disconnect_stub(sock);
		sock_release(sock, REFUSAL_SOCKOPT);
		return real.connect(fd, address, length);
	case PURPOSE_OTHER_PEER:
		/* After a failed attempt a program may try another server on the same socket; before that it is told that it
		 * has a connection. */
		if (sock->state != SOCK_OPEN || sock->is_leased || !has_failed(fd))
			break;
		sock_release(sock, REFUSAL_SOCKOPT);
		return real.connect(fd, address, length);
	case PURPOSE_SAME_PEER:
	case PURPOSE_ERROR:
		break;
	}
	return connect_again(sock, fd, address, length);
}
