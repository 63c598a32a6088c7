/* See park.h. */
#include "shim/exchange/park.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "pool/conn/ending.h"
#include "pool/conn/idle_timeout.h"
#include "pool/exchange/verdict.h"
#include "shim/base/clock.h"
#include "shim/base/real.h"
#include "shim/connect/fence.h"
#include "shim/connect/fence_ahead.h"
#include "shim/connect/lease.h"
#include "shim/exchange/eof.h"
#include "shim/exchange/logins.h"
#include "shim/kept/broker_link.h"
#include "shim/kept/shared.h"
#include "shim/sock/options.h"
#include "shim/sock/sock.h"
#include "shim/sock/stub.h"
#include "shim/sock/swap.h"
#include "shim/sock/transport.h"
#include "shim/sock/witnessed.h"

static enum refusal ask_ledger(const struct sock *sock)
{
	enum ledger_verdict ledger;

	/* What has come beside the answer is taken in, and answered. */
	if (sock->transport)
		(void)sock->transport->is_quiet(sock->transport, sock->fds[0]);
	ledger = ledger_check(&sock_pool_sys, sock->fds[0], sock_ledger(sock), NULL);

	sock->conn->is_in_flight = ledger == LEDGER_IN_FLIGHT;
	return verdict_of_ledger(ledger, sock->policy->max_conns_per_host);
}

/* `state` NULL: nothing was asked on it. As far as can be told without the kernel's ledger. */
static inline __attribute__((always_inline)) struct verdict_facts facts_of(const struct sock *sock,
									   const struct protocol_state *state)
{
	return (struct verdict_facts){
		.state = state,
		.mode = sock->policy->mode,
		.has_other_users = sock->is_shared || sock->has_uncounted_waiter || sock->replacer || sock->n_senders ||
				   sock->n_receivers || sock_n_inside(sock),
		.unfit = sock->unfit != REFUSAL_NONE ? sock->unfit
			 : sock->cannot_swap	     ? REFUSAL_SOCKOPT
						     : REFUSAL_NONE,
		.cannot_reset = sock->conn && sock->conn->destination->lacks_reset,
		.is_ours = sock->conn && swap_is_ours(sock),
	};
}

static bool seems_kept(const struct sock *sock)
{
	struct verdict_facts facts = facts_of(sock, &sock->protocol);

	return verdict_keep(&facts) == REFUSAL_NONE;
}

static enum refusal why_not_kept(struct sock *sock, const struct protocol_state *state)
{
	struct verdict_facts facts = facts_of(sock, state);
	enum refusal why = verdict_keep(&facts);

	if (__builtin_expect(sock->awaits_fence, 0) && fence_ahead_look(sock) != FENCE_GOOD)
		return REFUSAL_UNFINISHED_REPLY;

	return why != REFUSAL_NONE ? why : ask_ledger(sock);
}

/* Makes the connection ready to live without the program: a descriptor of our own, its way to end, what was learned. */
static enum refusal prepare_park(struct sock *sock)
{
	struct conn *conn = sock->conn;

	if (sock->has_sent && protocol_is_greeted(sock->protocol.number)) {
		enum refusal why = logins_note(sock);

		/* Also where the program goes on, and says goodbye to the server. */
		if (why != REFUSAL_NONE) {
			sock_mark_unfit(sock, why);
			return why;
		}
	}
	conn->status_flags = sock->status_flags;
	conn->fd = conn->fd < 0 ? fdtable_dup_high(sock->fds[0]) : fdtable_renew_high(conn->fd);
	if (conn->fd < 0)
		return conn->fd == -EMFILE ? REFUSAL_POOL_FULL : REFUSAL_ERROR;
	if (options_forgo_time_wait(conn, conn->fd) || options_forgo_linger(conn, conn->fd))
		return REFUSAL_SOCKOPT;
	return sock->transport ? sock->transport->why_not_parked(sock->transport) : REFUSAL_NONE;
}

/* What its user has left on it is undone; by what it is known afterwards. */
static enum refusal leave_nothing(struct sock *sock)
{
	struct conn *conn = sock->conn;

	if (!sock->has_sent)
		return REFUSAL_NONE;
	/* What undoes a session would be sent past the transport. */
	if (sock->transport && sock->protocol.number != PROTOCOL_HTTP1)
		return REFUSAL_TLS_OPAQUE;
	conn->protocol = sock->protocol.number;
	/* An answer that comes when it has ended would be refused. */
	if (conn->login && idle_pool_is_used_up(conn, protocol_status(&sock->protocol).n_requests, guard_now_ns()))
		return REFUSAL_POLICY;
	conn->fenced_by = sock->caller;
	if (protocol_status(&sock->protocol).left_state == REFUSAL_NONE)
		return REFUSAL_NONE;
	/* One of them would have to go. */
	if (lease_has_ready_instead(sock))
		return REFUSAL_POOL_FULL;
	return fence_send_reset(conn, &sock->protocol) ? REFUSAL_NONE : REFUSAL_FENCE_FAILED;
}

/* Into the pool, or ended by it: in either case no business of this socket any more. */
static void park(struct sock *sock)
{
	uint64_t now_ns = guard_now_ns();
	struct idle_pool *pool;
	struct protocol_status status = protocol_status(&sock->protocol);
	struct conn *conn = sock->conn;
	enum refusal why = leave_nothing(sock);
	bool has_waiters;

	/* One with a slot is shared already. */
	if (conn->slot < 0)
		broker_link_connect(now_ns);
	pool = pool_enter(now_ns);
	if (!pool) {
		ending_make(&sock_pool_sys, conn->fd, &conn->ledger, conn->has_broker_dup, NULL);
		sock_drop_conn(sock);
		return;
	}
	sock->conn = NULL;
	if (sock->transport)
		sock->transport->park(sock->transport, conn);
	idle_timeout_announced(conn->destination, status.keep_alive_s);
	conn->n_requests += status.n_requests;
	conn->was_looked_at = !sock->has_sent;
	if (status.requests_left != UINT32_MAX)
		conn->requests_left = status.requests_left;
	if (why == REFUSAL_NONE)
		why = idle_pool_park(pool, conn, now_ns);
	/* Where the broker has no duplicate, our close is the end, which takes back nothing that is in flight. */
	if (why != REFUSAL_NONE)
		idle_pool_end(pool, conn);
	else if (!conn->is_in_flight)
		shared_offer(pool, conn);
	has_waiters = slots_has_waiters(&broker_link_client.slots) && !broker_link_is_connected();
	pool_leave();
	if (has_waiters)
		broker_link_ring();
	if (why == REFUSAL_NONE)
		events_park(sock);
	else
		events_refuse(sock, why);
	log_event(why == REFUSAL_NONE ? "park" : "end", sock, why == REFUSAL_NONE ? NULL : stats_refusal_names[why]);
}

static void count_refusal(struct sock *sock, enum refusal why)
{
	/* The program's wish was not withheld, and the server did as it asks. */
	if (sock->is_one_too_many && why == REFUSAL_SERVER_CLOSE)
		why = REFUSAL_POOL_FULL;
	if (why == REFUSAL_NONE)
		events_would_park(sock);
	else
		events_refuse(sock, why);
	log_event(why == REFUSAL_NONE ? "reusable" : "not kept", sock,
		  why == REFUSAL_NONE ? NULL : stats_refusal_names[why]);
}

static void end_in_place(struct sock *sock)
{
	socklen_t length = sizeof(int);
	int reset;

	sock_leave_window(sock);
	sock_set_state(sock, SOCK_ENDED);
	/* Wakes every reader and poller, in this and in other processes; what is queued stays readable. A server has
	 * reset what it thought idle if that fails: the program, whose connection had ended before, is not to hear of
	 * it. */
	if (real.shutdown(sock->fds[0], SHUT_RD) < 0)
		real.getsockopt(sock->fds[0], SOL_SOCKET, SO_ERROR, &reset, &length);
}

/* A thread that just began to wait on the old file must not be left waiting. */
static bool swap_to_stub(struct sock *sock, const char *farewell, size_t length)
{
	int error;

	if (!swap_note_names(sock) ||
	    !(length ? stub_make_with(&sock->stub, farewell, length) : stub_take(&sock->stub)))
		return false;
	sock->stub_has_words = length > 0;
	if (!stub_set_flags(&sock->stub, sock->status_flags) || !sock_close_gate(sock)) {
		stub_put(&sock->stub, !length);
		return false;
	}
	error = swap_files(sock, sock->stub.end);
	sock_open_gate(sock);
	if (error)
		stub_put(&sock->stub, !length);
	return error == 0;
}

/* The connection into the pool, a stub in its place, in which these bytes can be read; or why not. */
static enum refusal park_behind_stub(struct sock *sock, const char *farewell, size_t length)
{
	enum refusal why = why_not_kept(sock, &sock->protocol);

	if (why == REFUSAL_NONE)
		why = prepare_park(sock);
	if (why == REFUSAL_NONE && !swap_to_stub(sock, farewell, length))
		why = REFUSAL_ERROR;
	if (why != REFUSAL_NONE)
		return why;
	sock_leave_window(sock);
	sock_set_state(sock, SOCK_STUB);
	sock->parked = sock->conn;
	sock->parked_cookie = sock->conn->cookie;
	park(sock);
	return REFUSAL_NONE;
}

void finish_with_end_of_file(struct sock *sock)
{
	int saved = errno;
	enum refusal why = park_behind_stub(sock, NULL, 0);

	if (why != REFUSAL_NONE) {
		count_refusal(sock, why);
		/* A server that sends more than it said is the only one to know how much. */
		if (why == REFUSAL_BODY_UNREAD || protocol_status(&sock->protocol).has_surplus)
			sock_end_by_server(sock, why);
		else
			end_in_place(sock);
	}
	errno = saved;
}

bool finish_with_farewell(struct sock *sock, const char *goodbye)
{
	char farewell[PROTOCOL_FAREWELL_MAX];
	size_t length = protocol_of(&sock->protocol)->farewell(goodbye, farewell);
	int saved = errno;
	bool is_parked = park_behind_stub(sock, farewell, length) == REFUSAL_NONE;

	errno = saved;
	return is_parked;
}

void finish_with_end_of_file_later(struct sock *sock)
{
	if (!eof_is_possible(sock) || !seems_kept(sock) || !eof_begin(sock))
		finish_with_end_of_file(sock);
}

void finish_make_end_of_file(struct sock *sock)
{
	eof_end(sock);
	finish_with_end_of_file(sock);
}

void finish_at_exit(struct sock *sock)
{
	int saved = errno;

	if (sock->state == SOCK_OPEN)
		park_behind_stub(sock, NULL, 0);
	errno = saved;
}

void finish_lost(struct sock *sock)
{
	int saved = errno;

	count_refusal(sock, verdict_at_server_end(&sock->protocol));
	if (swap_to_stub(sock, NULL, 0)) {
		sock_set_state(sock, SOCK_STUB);
		sock->stub_asks_fresh = true;
		sock_drop_conn(sock);
	} else {
		sock_set_state(sock, SOCK_ENDED);
	}
	errno = saved;
}

/* An unused lease goes back as it was; but a program that often opens connections without using them wants to know
 * whether the server lives. */
static bool note_look(struct sock *sock)
{
	struct idle_pool *pool;

	if (sock->has_sent)
		return false;
	/* The loser of a race between addresses is closed while it is still being dialled: that is no probe. */
	if (!sock->is_leased && ask_ledger(sock) != REFUSAL_NONE)
		return true;
	broker_link_connect(guard_now_ns());
	pool = pool_enter(guard_now_ns());
	if (pool) {
		habit_looks_note(&sock->conn->destination->looks, sock->caller, true);
		shared_note_look(pool, &sock->key);
		pool_leave();
	}
	return true;
}

void finish_observed(struct sock *sock, bool by_server)
{
	count_refusal(sock, verdict_observed(&sock->protocol, by_server));
}

void finish_ended(struct sock *sock)
{
	int saved = errno;

	/* If it fails there is a TIME_WAIT. */
	if (!atomic_load(&sock->is_shared) && protocol_status(&sock->protocol).wants_end && sock->conn &&
	    swap_is_ours(sock) && options_forgo_time_wait(sock->conn, sock->fds[0]))
		log_event("time wait", sock, NULL);
	if (swap_is_ours(sock))
		witnessed_end(sock, true);
	errno = saved;
}

void finish_at_close(struct sock *sock)
{
	int saved = errno;
	enum refusal why = REFUSAL_CLIENT_CLOSE;
	bool is_look = sock->conn && note_look(sock);
	bool has_ended = sock->state == SOCK_ENDING;

	if (has_ended)
		eof_end(sock);

	if (sock->policy->mode == CONFIG_MODE_OBSERVE) {
		if (!is_look)
			finish_observed(sock, false);
		errno = saved;
		return;
	}
	if (sock->conn && (!is_look || sock->is_leased))
		why = why_not_kept(sock, is_look ? NULL : &sock->protocol);
	if (why == REFUSAL_NONE)
		why = prepare_park(sock);
	if (why == REFUSAL_NONE && !swap_delete_registrations(sock, sock->fds[0]))
		why = REFUSAL_SOCKOPT;
	if (why == REFUSAL_NONE) {
		sock_leave_window(sock);
		park(sock);
	} else if (has_ended) {
		count_refusal(sock, why);
		finish_ended(sock);
	} else {
		count_refusal(sock, why);
		if (sock->conn && sock->is_leased)
			options_restore(sock, sock->fds[0]);
		witnessed_end(sock, false);
	}
	errno = saved;
}

void finish_released(struct sock *sock)
{
	int saved = errno;

	witnessed_end(sock, false);
	errno = saved;
}
