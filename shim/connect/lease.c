/* See lease.h. */
#include "shim/connect/lease.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "pool/conn/idle_timeout.h"
#include "shim/base/alone.h"
#include "shim/base/clock.h"
#include "shim/base/real.h"
#include "shim/connect/dial.h"
#include "shim/connect/fence.h"
#include "shim/kept/shared.h"
#include "shim/sock/options.h"
#include "shim/sock/reclaim.h"
#include "shim/sock/sock.h"
#include "shim/sock/spare.h"
#include "shim/sock/swap.h"
#include "shim/sock/transport.h"

bool (*lease_begin_login)(struct sock *sock, struct conn *conn);
bool (*lease_login_is_ready)(const struct conn *conn);

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

/* As if it had not been given out. */
static void put_back(struct conn *conn)
{
	struct idle_pool *pool = pool_enter(guard_now_ns());

	if (!pool) {
		/* Its object is lost to the pool, not its descriptor. */
		fdtable_close_internal(conn->fd);
		conn->fd = -1;
		return;
	}
	stats_add(&conn->destination->stats->counts.counter[STATS_LEASED], (uint64_t)-1);
	idle_pool_take_in(pool, conn);
	pool_leave();
}

/* Is what this program will say at its login what was said on the connection? Under the pool's lock. */
static bool fits_login(const struct conn *conn, const void *what)
{
	const struct sock *sock = what;

	if (!conn->login)
		return true;
	return sock->policy->mysql_share && !conn->login->offers_tls
		       ? login_habits_allow(&conn->destination->logins, sock->caller, conn->login)
		       : login_habits_expect(&conn->destination->logins, sock->caller, conn->login);
}

/* One of another process. */
static struct conn *take_others_login(struct sock *sock)
{
	struct conn *conn = shared_take_login(&sock->key, sock->policy->mysql_share);
	struct idle_pool *pool = conn ? pool_enter(guard_now_ns()) : NULL;
	bool fits = pool && fits_login(conn, sock);

	if (pool)
		pool_leave();
	if (!conn || fits)
		return conn;
	sock->missed = MISSED_OTHER_LOGIN;
	put_back(conn);
	return NULL;
}

static struct conn *take_own(struct idle_pool *pool, struct destination *destination, struct sock *sock,
			     uint64_t now_ns, enum refusal *why)
{
	struct conn *conn;

	if (__builtin_expect(!destination->logins.next_site, 1))
		return idle_pool_lease(pool, destination, sock->caller, now_ns, why);
	conn = idle_pool_lease_fit(pool, destination, sock->caller, now_ns, fits_login, sock, why);
	/* It would take one place more of the server's than the program does. */
	if (!conn && destination->n_idle) {
		sock->missed = MISSED_OTHER_LOGIN;
		idle_pool_retire(pool, destination, REFUSAL_POOL_FULL);
	}
	return conn;
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
		conn = take_own(pool, destination, sock, now_ns, &why);
	if (destination && !conn)
		idle_pool_note_dial(destination);
	pool_leave();
	/* A ticket asks for both, a connection or leave to dial. */
	if (!conn && has_broker && sock->policy->tls == CONFIG_TLS_REUSE && sock->missed == MISSED_NONE_IDLE)
		conn = shared_take_session(&sock->key);
	if (!conn && has_broker && sock->policy->mysql_share && sock->missed == MISSED_NONE_IDLE)
		conn = take_others_login(sock);
	if (!conn && has_broker && why != REFUSAL_PROBED && sock->missed == MISSED_NONE_IDLE) {
		conn = shared_take(&sock->key, sock->caller, &answer);
		sock->missed = missed_by_answer(answer);
	}
	if (!conn && why != REFUSAL_NONE && sock->missed != MISSED_PROBED)
		sock->missed = missed_by_refusal(why);
	return conn;
}

static void discard(struct conn *conn, enum refusal why)
{
	struct idle_pool *pool = pool_enter(guard_now_ns());

	if (!pool)
		return;
	stats_refuse(conn->destination->stats, why);
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

static bool give(struct sock *sock, struct conn *conn);

/* The program need not wait for what its server still has to say to us. */
static bool may_be_ahead(const struct sock *sock, const struct conn *conn)
{
	return is_alone() && !(sock->wanted.set & 1u << SOCKET_OPTION_RCVLOWAT) &&
	       fence_may_be_ahead(conn, sock->caller, guard_now_ns());
}

enum taken {
	TAKEN,
	TAKEN_NEXT,    /* it was no good, and has been ended */
	TAKEN_LATE,    /* its server's answer is due: it is still the caller's */
	TAKEN_COLD,    /* its server has to be asked first: likewise */
	TAKEN_AWAITED, /* ... which is done: sock->conn is it */
	TAKEN_NONE,
};

/* One of a protocol with a session: whether it may be given out yet, is found out here. */
static enum taken take_with_session(struct sock *sock, struct conn *conn)
{
	if (!fence_is_allowed(sock->policy, conn->protocol)) {
		sock->missed = MISSED_POLICY;
		put_back(conn);
		return TAKEN_NONE;
	}
	/* What has to be proven of it is proven when the program reads, unless that may take long. */
	if (conn->login && conn->login->may_take_long && !lease_login_is_ready(conn)) {
		sock->missed = MISSED_COLD;
		put_back(conn);
		return TAKEN_NONE;
	}
	if (conn->login)
		return give(sock, conn) ? TAKEN : TAKEN_NEXT;
	/* One that came from elsewhere without what belongs to it. */
	if (protocol_is_greeted(conn->protocol)) {
		discard(conn, REFUSAL_ERROR);
		return TAKEN_NEXT;
	}
	switch (fence_look(conn)) {
	case FENCE_GOOD:
		return give(sock, conn) ? TAKEN : TAKEN_NEXT;
	case FENCE_AWAITED:
		if (!may_be_ahead(sock, conn))
			return TAKEN_LATE;
		return give(sock, conn) ? TAKEN : TAKEN_NEXT;
	case FENCE_COLD:
		return TAKEN_COLD;
	case FENCE_GONE:
		sock->missed = MISSED_SERVER_IDLE_CLOSE;
		discard(conn, REFUSAL_SERVER_IDLE_CLOSE);
		break;
	case FENCE_WRONG:
		sock->missed = MISSED_FENCE_FAILED;
		discard(conn, REFUSAL_FENCE_FAILED);
		break;
	}
	return TAKEN_NEXT;
}

/* Its server's answer is waited for, if the program lets us. False: it is still the caller's. */
static bool begin_to_await(struct sock *sock, struct conn *conn, bool is_asked)
{
	if (!fence_patience_ns(conn, !(sock->status_flags & O_NONBLOCK)) || (!is_asked && !fence_ask(conn)))
		return false;
	sock->conn = conn;
	return true;
}

/* So many are passed over whose answers are late. */
#define LATE_MAX 4

/* Nothing could be given at once: one that may be waited for is taken, the others go back in their order. */
static enum taken choose(struct sock *sock, struct conn *const late[], unsigned n_late, struct conn *cold,
			 bool may_wait)
{
	bool is_awaited = may_wait && n_late && begin_to_await(sock, late[0], true);

	for (unsigned i = n_late; i-- > (unsigned)is_awaited;)
		put_back(late[i]);
	if (!is_awaited && cold)
		is_awaited = may_wait && !n_late && begin_to_await(sock, cold, false);
	if (cold && sock->conn != cold)
		discard(cold, REFUSAL_IDLE_TIMEOUT);
	if (n_late || cold)
		sock->missed = MISSED_COLD;
	return is_awaited ? TAKEN_AWAITED : TAKEN_NONE;
}

static enum taken take(struct sock *sock, bool may_wait)
{
	struct conn *late[LATE_MAX], *conn, *cold = NULL;
	uint64_t now_ns = guard_now_ns();
	enum taken taken = TAKEN_NEXT;
	unsigned n_late = 0;

	sock->missed = missed_by_itself(sock);
	if (sock->missed != MISSED_NONE)
		return TAKEN_NONE;
	while (!sock->cannot_swap && n_late < LATE_MAX && (conn = take_from_pool(sock, now_ns))) {
		if (__builtin_expect(conn->protocol == 0, 1))
			taken = give(sock, conn) ? TAKEN : TAKEN_NEXT;
		else
			taken = take_with_session(sock, conn);
		if (taken == TAKEN_LATE)
			late[n_late++] = conn;
		else if (taken == TAKEN_COLD)
			cold = conn;
		if (taken != TAKEN_LATE && taken != TAKEN_NEXT)
			break;
	}
	if (__builtin_expect(n_late || cold, 0) && taken != TAKEN)
		return choose(sock, late, n_late, cold, may_wait);
	while (n_late)
		put_back(late[--n_late]);
	return taken == TAKEN ? TAKEN : TAKEN_NONE;
}

bool lease_take(struct sock *sock)
{
	return take(sock, false) == TAKEN;
}

/* The answer may have come. The last time what is too slow for this one is not asked again. */
static enum taken take_awaited(struct sock *sock, bool is_last)
{
	struct conn *conn = sock->conn;
	enum taken taken;

	sock->conn = NULL;
	taken = take_with_session(sock, conn);
	if (taken == TAKEN_LATE || taken == TAKEN_COLD)
		return choose(sock, &conn, taken == TAKEN_LATE, taken == TAKEN_COLD ? conn : NULL, !is_last);
	if (taken != TAKEN_NEXT)
		return taken;
	return is_last ? TAKEN_NONE : take(sock, true);
}

/* Unlocked meanwhile. False: it is not the same any more, and is unlocked. */
static bool await(struct sock *sock, int fd)
{
	uint64_t patience_ns = fence_patience_ns(sock->conn, !(sock->status_flags & O_NONBLOCK));
	int awaited = sock->conn->fd;
	struct inside_token token = sock_go_inside(sock);
	struct conn *conn = sock->conn;
	struct sock *again;

	sock_leave(sock);
	fence_wait(awaited, patience_ns);
	sock_come_out(token);
	again = sock_enter(fd);
	if (again == sock && (uint32_t)(atomic_load(&sock->inside) >> 32) == token.generation &&
	    sock->state == SOCK_NEW && sock->conn == conn)
		return true;
	if (again)
		sock_leave(again);
	return false;
}

bool lease_take_in_time(struct sock **sock, int fd)
{
	enum taken taken = take(*sock, true);

	/* A second time for the rest of an answer that comes in pieces, or for the next connection. */
	for (int tries = 1; taken == TAKEN_AWAITED; tries++) {
		if (!await(*sock, fd)) {
			*sock = NULL;
			return false;
		}
		taken = take_awaited(*sock, tries > 1);
	}
	return taken == TAKEN;
}

static void begin_behind_fence(struct sock *sock)
{
	sock->awaits_fence = true;
	atomic_store_explicit(&fence_was_ahead, true, memory_order_relaxed);
	/* A program that is told of something to read too early finds nothing. */
	if (!options_hide(sock, fence_n_awaited(&sock->conn->fence)))
		sock_mark_unfit(sock, REFUSAL_SOCKOPT);
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

static bool give(struct sock *sock, struct conn *conn)
{
	uint64_t now_ns = guard_now_ns();

	if (__builtin_expect(conn->login != NULL, 0) && !lease_begin_login(sock, conn)) {
		discard(conn, REFUSAL_ERROR);
		return false;
	}
	/* An option may have been set while it waited. */
	if (!destination_key_equal(&sock->key, &conn->destination->key) || !install(sock, conn, now_ns)) {
		if (sock->transport)
			sock->transport->end(sock->transport);
		sock->has_forced_timeout = false;
		discard(conn, REFUSAL_ERROR);
		return false;
	}
	sock->conn = conn;
	if (__builtin_expect(fence_n_awaited(&conn->fence), 0) && protocols[conn->protocol]->knows_each_reply)
		begin_behind_fence(sock);
	sock_set_state(sock, SOCK_OPEN);
	sock->is_leased = true;
	sock->missed = MISSED_NONE;
	sock->leased_ns = now_ns;
	if (__builtin_expect(!conn->login, 1))
		protocol_begin(&sock->protocol, may_rewrite(sock));
	if (!sock->in_window)
		sock_enter_window(sock);
	events_lease(sock);
	log_event("lease", sock, sock->awaits_fence ? "behind a fence" : NULL);
	return true;
}

bool lease_install(struct sock *sock, struct conn *conn)
{
	/* One of which something is still awaited is nobody's. */
	if (conn->protocol != 0 && !conn->login &&
	    (!fence_is_allowed(sock->policy, conn->protocol) || fence_look(conn) != FENCE_GOOD)) {
		discard(conn, REFUSAL_FENCE_FAILED);
		return false;
	}
	return give(sock, conn);
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

void lease_give_back(const struct sock *sock, struct idle_pool *pool, struct conn *conn, uint64_t now_ns)
{
	conn->status_flags = sock->status_flags;
	idle_pool_give_back(pool, conn, now_ns);
}

static bool put_in_place(struct sock *sock, struct conn *conn, uint64_t now_ns)
{
	if (sock->status_flags != conn->status_flags && real.fcntl(conn->fd, F_SETFL, sock->status_flags) < 0)
		return false;
	return options_prepare_lease(sock, conn, now_ns) == 0 && swap_files(sock, conn->fd) == 0;
}

bool lease_other_session(struct sock *sock, bool (*fits)(const struct conn *conn, const void *what), const void *what)
{
	uint64_t now_ns = guard_now_ns();
	struct idle_pool *pool = pool_enter(now_ns);
	struct conn *former = sock->conn, *conn = NULL;
	enum refusal why;

	if (pool) {
		conn = idle_pool_lease_fit(pool, former->destination, sock->caller, now_ns, fits, what, &why);
		pool_leave();
	}
	if (!conn)
		return false;
	if (!put_in_place(sock, conn, now_ns)) {
		discard(conn, REFUSAL_ERROR);
		return false;
	}
	sock->conn = conn;
	sock->n_swaps++;
	pool = pool_enter(now_ns);
	if (pool) {
		lease_give_back(sock, pool, former, now_ns);
		pool_leave();
	}
	return true;
}

/* One that is idle beside more than the program ever used, to be looked at. */
static struct conn *take_to_look_at(const struct sock *sock)
{
	uint64_t now_ns = guard_now_ns();
	struct idle_pool *pool = pool_enter(now_ns);
	struct destination *destination = sock->conn->destination;
	struct conn *conn = NULL;
	enum refusal why;
	uint32_t peak;

	if (!pool)
		return NULL;
	peak = destination->peak_open;
	if (destination->n_idle && idle_pool_is_beyond_peak(destination))
		conn = idle_pool_lease(pool, destination, sock->caller, now_ns, &why);
	/* The program has not got it. */
	destination->peak_open = peak;
	pool_leave();
	return conn;
}

bool lease_has_ready_instead(const struct sock *sock)
{
	struct conn *conn = sock->conn->login ? NULL : take_to_look_at(sock);
	enum fence_result result = FENCE_AWAITED;

	if (!conn)
		return false;
	if (conn->protocol == sock->conn->protocol && !conn->login)
		result = fence_look(conn);
	if (result == FENCE_GONE || result == FENCE_WRONG)
		discard(conn, result == FENCE_GONE ? REFUSAL_SERVER_IDLE_CLOSE : REFUSAL_FENCE_FAILED);
	else
		put_back(conn);
	return result == FENCE_GOOD;
}
