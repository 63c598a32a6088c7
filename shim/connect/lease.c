/* See lease.h. */
#include "shim/connect/lease.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "pool/conn/idle_timeout.h"
#include "shim/base/clock.h"
#include "shim/base/real.h"
#include "shim/connect/dial.h"
#include "shim/kept/shared.h"
#include "shim/sock/options.h"
#include "shim/sock/reclaim.h"
#include "shim/sock/sock.h"
#include "shim/sock/spare.h"
#include "shim/sock/swap.h"

static bool may_rewrite(const struct sock *sock)
{
	return sock->policy->mode == CONFIG_MODE_FULL && sock->policy->rewrite && !sock->is_shared;
}

static bool install(struct sock *sock, struct conn *conn, uint64_t now_ns)
{
	if (sock->status_flags != conn->status_flags && real.fcntl(conn->fd, F_SETFL, sock->status_flags) < 0)
		return false;
	if (options_prepare_lease(sock, conn, now_ns))
		return false;
	/* The socket that is swapped away was never connected: it can be the next socket(). */
	spare_prepare(sock);
	if (swap_files(sock, conn->fd)) {
		spare_drop(sock);
		return false;
	}
	spare_keep(sock);
	return true;
}

static enum missed missed_by_refusal(enum refusal why)
{
	switch (why) {
	case REFUSAL_PROBED:
		return MISSED_PROBED;
	case REFUSAL_IDLE_TIMEOUT:
		return MISSED_IDLE_TIMEOUT;
	case REFUSAL_SERVER_IDLE_CLOSE:
		return MISSED_SERVER_IDLE_CLOSE;
	default:
		return MISSED_LEDGER;
	}
}

/* From the answer of shared_take(). */
static enum missed missed_by_answer(int answer)
{
	switch (answer) {
	case BROKER_GIVEN: /* and it was no good */
		return MISSED_SERVER_IDLE_CLOSE;
	case BROKER_NONE:
	case BROKER_DIAL:
		return MISSED_BROKER_NONE;
	case BROKER_UNHEARD:
		return MISSED_PROBED;
	case BROKER_UNFIT:
		return MISSED_UNSAFE_METHOD;
	default:
		return MISSED_BROKER_SILENT;
	}
}

/* Own ones first: they cost no message. */
static struct conn *take_from_pool(struct sock *sock, uint64_t now_ns)
{
	struct idle_pool *pool = pool_enter(now_ns);
	struct destination *destination;
	struct conn *conn = NULL;
	enum refusal why = REFUSAL_NONE;
	bool has_broker;
	int answer;

	sock->missed = MISSED_ERROR;
	if (!pool)
		return NULL;
	destination = idle_pool_find(pool, &sock->key);
	has_broker = pool->broker;
	if (sock->policy->max_conns_per_host)
		sock->missed = MISSED_LIMIT;
	else if (destination)
		sock->missed = MISSED_NONE_IDLE;
	/* With max-conns, waiting programs are served in order, which the broker knows. */
	if (sock->policy->max_conns_per_host && pool->broker && slots_has_waiters(&pool->broker->slots)) {
		pool_leave();
		return NULL;
	}
	if (destination)
		conn = idle_pool_lease(pool, destination, sock->caller, now_ns, &why);
	pool_leave();
	/* A ticket asks for both, a connection or leave to dial. */
	if (!conn && has_broker && why != REFUSAL_PROBED && sock->missed == MISSED_NONE_IDLE) {
		conn = shared_take(&sock->key, sock->caller, &answer);
		sock->missed = missed_by_answer(answer);
	}
	if (!conn && why != REFUSAL_NONE && sock->missed != MISSED_PROBED)
		sock->missed = missed_by_refusal(why);
	return conn;
}

static void discard(struct conn *conn)
{
	struct idle_pool *pool = pool_enter(guard_now_ns());

	if (!pool)
		return;
	stats_refuse(conn->destination->stats, REFUSAL_ERROR);
	idle_pool_end(pool, conn);
	pool_leave();
}

/* Why it can't have a kept connection, whatever there is. */
static enum missed missed_by_itself(const struct sock *sock)
{
	if (sock->policy->mode != CONFIG_MODE_FULL)
		return MISSED_POLICY;
	if (atomic_load(&sock->is_shared))
		return MISSED_SHARED;
	return sock->cannot_swap ? MISSED_SOCKOPT : MISSED_NONE;
}

bool lease_take(struct sock *sock)
{
	uint64_t now_ns = guard_now_ns();
	struct conn *conn;

	sock->missed = missed_by_itself(sock);
	if (sock->missed != MISSED_NONE)
		return false;
	while (!sock->cannot_swap && (conn = take_from_pool(sock, now_ns)))
		if (lease_install(sock, conn))
			return true;
	return false;
}

bool lease_is_bypassed(const struct sock *sock)
{
	uint64_t now_ns = guard_now_ns();
	struct idle_pool *pool;
	struct destination *destination;
	bool is_bypassed;

	/* With max-conns, every connection has to be tracked. */
	if (sock->policy->mode != CONFIG_MODE_FULL || sock->policy->max_conns_per_host || !(pool = pool_enter(now_ns)))
		return false;
	destination = idle_pool_find(pool, &sock->key);
	is_bypassed = destination && !destination->n_idle && bypass_is_on(&destination->bypass, now_ns);
	pool_leave();
	return is_bypassed;
}

bool lease_install(struct sock *sock, struct conn *conn)
{
	uint64_t now_ns = guard_now_ns();

	/* An option may have been set while it waited. */
	if (!destination_key_equal(&sock->key, &conn->destination->key) || !install(sock, conn, now_ns)) {
		sock->has_forced_timeout = false;
		discard(conn);
		return false;
	}
	sock->conn = conn;
	sock_set_state(sock, SOCK_OPEN);
	sock->is_leased = true;
	sock->missed = MISSED_NONE;
	sock->leased_ns = now_ns;
	protocol_begin(&sock->protocol, may_rewrite(sock));
	if (!sock->in_window)
		sock_enter_window(sock);
	events_lease(sock);
	log_event("lease", sock, NULL);
	return true;
}

bool lease_adopt_dial(struct sock *sock)
{
	uint64_t now_ns = guard_now_ns();
	struct idle_pool *pool = pool_enter(now_ns);
	struct destination *destination = pool ? idle_pool_find(pool, &sock->key) : NULL;

	if (destination)
		sock->conn = idle_pool_open(pool, destination, now_ns);
	if (pool)
		pool_leave();
	if (!sock->conn)
		return false;
	sock->conn->ticket = sock->ticket.fd;
	sock->conn->ticket_number = sock->ticket.number;
	sock->ticket.fd = -1;
	options_begin(sock);
	sock_set_state(sock, SOCK_OPEN);
	protocol_begin(&sock->protocol, may_rewrite(sock));
	replay_reset(&sock->replay);
	log_event("dial", sock, missed_names[sock->missed]);
	return true;
}

bool lease_begin_dial(const struct sock *sock, int fd)
{
	if (options_copy_to_fresh(sock, fd))
		return false;
	/* A dial's error stays pending on it (SO_ERROR) for the program. */
	dial_begin(fd, &sock->key);
	if (sock->status_flags != (O_RDWR | O_NONBLOCK))
		real.fcntl(fd, F_SETFL, sock->status_flags);
	return true;
}

static int dial_in_place(struct sock *sock)
{
	int fd = reclaim_open_socket(sock->domain, SOCK_STREAM | SOCK_NONBLOCK);
	int error;

	if (fd < 0)
		return fd;
	events_begin_dial(&sock->tally);
	error = lease_begin_dial(sock, fd) ? swap_files(sock, fd) : -ENOBUFS;
	real.close(fd);
	return error;
}

bool lease_dial_in_place(struct sock *sock)
{
	return dial_in_place(sock) == 0 && lease_adopt_dial(sock);
}
