/* See connect.h. */
#include "shim/connect/connect.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stddef.h>

#include "pool/config/rules.h"
#include "shim/base/relayed.h"
#include "shim/base/usermem.h"
#include "shim/connect/dial.h"
#include "shim/connect/lease.h"
#include "shim/connect/limit.h"
#include "shim/connect/listen.h"
#include "shim/sock/identity.h"
#include "shim/sock/options.h"
#include "shim/sock/sock.h"
#include "shim/sock/spare.h"

__thread int connect_last __attribute__((tls_model("initial-exec"))) = -1;

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
	struct sock *sock = sock_enter(fd);

	if (!sock)
		return NULL;
	if (sock->state == SOCK_NEW && lease_take(sock))
		return sock;
	sock_leave(sock);
	return NULL;
}

/* The program's own socket has a connection, or will have one: 0, -EINPROGRESS or -EINTR (it goes on in the
 * background). */
static void follow(int fd, const struct tally *tally, int error)
{
	struct sock *sock = sock_enter(fd);

	if (!sock)
		return;
	if (sock->state == SOCK_NEW) {
		sock->reports_connected = error != 0;
		sock->tally.dialing_ns = tally->dialing_ns;
		if (sock->is_bypassed) {
			/* Nobody will learn how a connection in progress ends: it counts as made. */
			events_dial_done(sock, 0);
			sock_untrack(sock, REFUSAL_BYPASSED);
		} else if (!lease_adopt_dial(sock)) {
			sock_untrack(sock, REFUSAL_ERROR);
		}
	}
	sock_leave(sock);
}

/* Dials until there is a port for it, or a connection has come back: then *leased is the socket, locked. 0 or
 * -errno. */
static int dial_or_lease(struct dial *dial, struct tally *tally, struct sock **leased)
{
	int error;

	events_begin_dial(tally);
	do
		error = dial_try(dial) ? -errno : 0;
	while (error && dial_waits_for_port(dial) && !(*leased = lease_after_all(dial->fd)));
	if (!*leased)
		events_end_dial(tally, dial->fd, -error);
	return error;
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
	struct sock *leased = NULL;
	int limit = LIMIT_DIAL, error, saved = errno;

	spare_drop(sock);
	if (dial.policy->mode == CONFIG_MODE_FULL)
		dial_widen_ports(fd, &key);
	/* Unlocked: it may block, and a handler may longjmp out of it. */
	sock_leave(sock);
	if (dial.policy->max_conns_per_host)
		limit = limit_enter(fd, &key, dial.policy->dial_timeout_ns, &leased);
	error = limit == LIMIT_DIAL ? dial_or_lease(&dial, &tally, &leased) : limit;
	sock_come_out(token);
	if (leased) {
		errno = saved;
		return report_lease(leased);
	}
	if (limit == LIMIT_DIAL && (error == 0 || error == -EINPROGRESS || error == -EINTR))
		follow(fd, &tally, error);
	errno = error ? -error : saved;
	return error ? -1 : 0;
}

/* A connection that is not followed. One in progress is taken for one that will be. */
static int dial_native(struct sock *sock, int fd, const struct sockaddr *address, socklen_t length, bool is_own)
{
	struct tally tally = sock->tally;
	int result, saved;

	if (tally.destination)
		log_event("dial", sock, missed_names[is_own ? MISSED_OWN_PORT : MISSED_SOCKOPT]);
	sock_untrack(sock, is_own || sock->policy->mode == CONFIG_MODE_OFF ? REFUSAL_POLICY
									   : sock->unfit ?: REFUSAL_SOCKOPT);
	sock_leave(sock);
	events_begin_dial(&tally);
	result = relayed_connect(fd, address, length);
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

static int dial_malformed(struct sock *sock, int fd, const struct sockaddr *address, socklen_t length)
{
	int result = relayed_connect(fd, address, length);

	/* It says yes to AF_UNSPEC. */
	if (result == 0)
		sock_untrack(sock, REFUSAL_SOCKOPT);
	sock_leave(sock);
	return result;
}

int connect_new(struct sock *sock, int fd, const struct sockaddr *address, socklen_t length, void *caller)
{
	int saved = errno;
	struct sock *locked = sock;
	bool is_known, is_own, is_leased;

	if (is_malformed(sock, address, length))
		return dial_malformed(sock, fd, address, length);
	connect_last = fd;
	is_known = complete_key(sock, fd, address, length);
	sock->caller = (uintptr_t)caller;
	if (is_known)
		events_connect(sock, caller);
	is_own = is_known && listen_is_own(&sock->key);
	if (!is_known || sock->unfit || is_own) {
		errno = saved;
		return dial_native(sock, fd, address, length, is_own);
	}
	/* A thread that awaited a connection for it has left that by longjmp. */
	if (sock->conn)
		sock_drop_conn(sock);
	sock->is_bypassed = lease_is_bypassed(sock);
	is_leased = !sock->is_bypassed && lease_take_in_time(&locked, fd);
	errno = saved;
	if (!locked)
		return relayed_connect(fd, address, length);
	return is_leased ? report_lease(locked) : dial(locked, fd, address, length);
}
