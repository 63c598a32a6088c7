/* See redial.h. */
#include "shim/connect/redial.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>

#include "pool/conn/ending.h"
#include "shim/base/clock.h"
#include "shim/base/cookie.h"
#include "shim/base/lock.h"
#include "shim/base/real.h"
#include "shim/connect/dial.h"
#include "shim/connect/lease.h"
#include "shim/connect/limit.h"
#include "shim/sock/options.h"
#include "shim/sock/pending.h"
#include "shim/sock/reclaim.h"
#include "shim/sock/sock.h"
#include "shim/sock/swap.h"
#include "shim/sock/transport.h"

/* How long a thread may be held, though it said that it would not wait, for a dial that it does not know of: a dial
 * that is given up too soon begins anew each time. */
#define HOLD_MS 3000
/* For so long, and some round trips, a session's server may take for another connection while the first still stands.
 * One that serves one at a time does not. */
#define GENTLE_MS 50
#define GENTLE_ROUND_TRIPS 4
/* A server with several certificates may show the right one again. */
#define SESSION_TRIES 3

static int wait_for(int fd, short events, int timeout_ms)
{
	struct pollfd entry = {.fd = fd, .events = events};
	int n;

	do
		n = REAL(poll)(&entry, 1, timeout_ms);
	while (n < 0 && errno == EINTR);
	return n > 0 ? 0 : n == 0 ? -ETIMEDOUT : -errno;
}

static int finish_connect(int fd, int timeout_ms)
{
	int result = 0;
	socklen_t length = sizeof(result);
	int error = wait_for(fd, POLLOUT, timeout_ms);

	if (error)
		return error;
	if (real.getsockopt(fd, SOL_SOCKET, SO_ERROR, &result, &length) < 0)
		return -errno;
	return -result;
}

/* `wait_ms` 0: leave the dial in progress; -1: for as long as a blocking connect() takes, or another limit on a
 * socket that doesn't block. */
static int dial(int fd, const struct destination_key *key, int wait_ms)
{
	int error = dial_begin(fd, key);

	if (error != -EINPROGRESS)
		return error;
	return wait_ms ? finish_connect(fd, wait_ms) : 0;
}

static int send_all(int fd, const char *bytes, size_t length, int timeout_ms)
{
	while (length) {
		ssize_t n = real.send(fd, bytes, length, MSG_NOSIGNAL);

		if (n > 0) {
			bytes += n;
			length -= (size_t)n;
		} else if (n < 0 && (errno == EAGAIN || errno == EINPROGRESS)) { /* TCP Fast Open dials only now */
			int error = wait_for(fd, POLLOUT, timeout_ms);

			if (error)
				return error;
		} else if (n < 0 && errno != EINTR) {
			return -errno;
		}
	}
	return 0;
}

/* One replacement, on the stack of the thread that makes it. */
struct replacement {
	struct sock *sock;
	int fd; /* the fresh connection's */
	int status_flags;
	int longest_ms;
	bool keeps_old;	  /* the connection lives on until the other one has taken its place */
	bool begins_only; /* the program must not be held, and will be woken for what is left to do: one is pending */
	bool is_unlocked;
	struct replay replay; /* the socket's, while it is unlocked */
	struct tally tally;   /* likewise */
};

/* Locked again. False if the socket has ended meanwhile. */
static bool return_to_lock(struct replacement *replacement)
{
	struct sock *sock = replacement->sock;

	while (!guard_lock_try(&sock->lock))
		;
	replacement->is_unlocked = false;
	sock->replacer = 0;
	if (sock->state != SOCK_OPEN || !sock->n_fds || !sock->conn) {
		sock_drop_replay(&replacement->replay);
		return false;
	}
	sock->replay = replacement->replay;
	sock->tally.dialing_ns = replacement->tally.dialing_ns;
	return true;
}

/* Also where the thread is cancelled inside: the program's socket is what it was, the old connection's. */
static void end_replacement(void *argument)
{
	struct replacement *replacement = argument;

	if (replacement->is_unlocked) {
		if (return_to_lock(replacement))
			swap_bring_registrations_back(replacement->sock);
		sock_leave(replacement->sock);
	}
	if (replacement->fd >= 0)
		real.close(replacement->fd);
	if (replacement->begins_only)
		pending_drop();
}

static int gentle_ms(const struct sock *sock)
{
	struct tcp_info info = {0};
	socklen_t length = sizeof(info);

	real.getsockopt(sock->fds[0], IPPROTO_TCP, TCP_INFO, &info, &length);
	return GENTLE_MS + (int)(info.tcpi_rtt / 1000) * GENTLE_ROUND_TRIPS;
}

/* What it does on a connection begins with something that takes its time. */
static bool is_session(const struct transport *transport)
{
	return transport && transport->redial;
}

/* Where another thread may be the one that waits, and has begun to before there was anything to push, it blocks. */
static bool can_begin_only(const struct sock *sock)
{
	if (!is_session(sock->transport) || !(sock->status_flags & O_NONBLOCK) || !pending_is_awaited ||
	    atomic_load(&sock->has_uncounted_waiter) || !pending_take())
		return false;
	if (!sock_n_inside(sock))
		return true;
	pending_drop();
	return false;
}

/* Dials and sends again on a socket of ours, unlocked: it blocks, and other threads must find the socket meanwhile. */
static int dial_unlocked(struct replacement *replacement)
{
	struct sock *sock = replacement->sock;
	struct destination_key key = sock->key;
	struct replay *replay = &replacement->replay;
	struct transport *transport = sock->transport;
	bool has_session = is_session(transport); /* what is no session may be gone when we are back */
	int wait_ms = replacement->longest_ms, error;

	if (wait_ms >= 0 && wait_ms < HOLD_MS)
		wait_ms = HOLD_MS;
	if (sock->status_flags & O_NONBLOCK)
		wait_ms = sock->replay.length || has_session ? HOLD_MS : 0;
	if (replacement->keeps_old)
		wait_ms = gentle_ms(sock);
	replacement->begins_only = can_begin_only(sock);
	if (replacement->begins_only)
		wait_ms = 0;

	*replay = sock->replay;
	replacement->tally = sock->tally;
	sock->replay = (struct replay){0};
	sock->replacer = (unsigned long)pthread_self();
	replacement->is_unlocked = true;
	sock_leave(sock);
	events_begin_dial(&replacement->tally);
	error = dial(replacement->fd, &key, wait_ms);
	events_end_dial(&replacement->tally, replacement->fd, error ? -error : wait_ms ? 0 : EINPROGRESS);
	if (!error && has_session)
		error = transport->redial(transport, replacement->fd, wait_ms, replay->block.bytes, replay->length);
	else if (!error && replay->length)
		error = send_all(replacement->fd, replay->block.bytes, replay->length, wait_ms);
	return return_to_lock(replacement) ? error : -EBADF;
}

/* An unfit but living connection is ended at once for all holders, a server that serves one at a time is waiting for
 * that; or it ends when the fresh one has taken its place, which nothing but the socket's own end prevents. */
static void end_old(const struct sock *sock)
{
	struct pool_farewell farewell = {0};

	if (is_session(sock->transport) && !sock->transport->take_farewell(sock->transport, &farewell))
		farewell.length = 0;
	if (sock->conn->login)
		farewell = login_farewell(sock->conn->login);
	ending_make_for_all(&sock_pool_sys, sock->fds[0], &farewell);
}

static void adopt(struct sock *sock, int fd, enum redial_reason reason)
{
	uint64_t now_ns = guard_now_ns();
	struct destination *destination = sock->conn->destination;
	struct idle_pool *pool = pool_enter(now_ns);
	uint32_t peak = destination->peak_open;
	bool is_held = false;

	if (!pool) {
		sock_drop_conn(sock);
		if (sock->transport && !is_session(sock->transport))
			sock->transport->adopt(sock->transport);
		return;
	}
	if (atomic_load(&sock->is_shared))
		idle_pool_discard(pool, sock->conn);
	else if (reason == REDIAL_FOR_OTHER_SESSION)
		lease_give_back(sock, pool, sock->conn, now_ns);
	else
		is_held = reason == REDIAL_FOR_UNFIT && is_session(sock->transport) &&
			  sock->transport->hold(sock->transport, sock->conn);
	if (!atomic_load(&sock->is_shared) && reason != REDIAL_FOR_OTHER_SESSION && !is_held)
		idle_pool_end(pool, sock->conn);
	sock->conn = idle_pool_open(pool, destination, now_ns);
	/* One that is held is not the program's any more. */
	if (is_held)
		destination->peak_open = peak;
	pool_leave();
	if (sock->transport)
		sock->transport->adopt(sock->transport);
	if (!sock->conn)
		return;
	sock->conn->ticket = sock->ticket.fd;
	sock->conn->ticket_number = sock->ticket.number;
	sock->ticket.fd = -1;
	options_begin(sock);
	sock->conn->cookie = cookie_of(fd);
	sock->conn->ledger.sent = sock->replay.length;
}

/* The request as the program wrote it, framed anew. */
static void undo_edits(struct sock *sock)
{
	replay_undo_edits(&sock->replay, protocol_of(&sock->protocol));
	protocol_begin(&sock->protocol, false);
	protocol_feed_request(&sock->protocol, NULL, sock->replay.block.bytes, sock->replay.length, NULL);
}

/* With a descriptor for the new connection in hand nothing but the dial itself can fail. */
static int replace_with(struct replacement *replacement, enum redial_reason reason)
{
	struct sock *sock = replacement->sock;
	int fd = replacement->fd;
	int error;

	if (options_copy_to_fresh(sock, fd))
		return -ECONNABORTED;
	if (!swap_take_registrations_out(sock))
		return -EAGAIN;
	limit_force(sock);
	if (reason == REDIAL_FOR_UNFIT && !replacement->keeps_old)
		end_old(sock);
	if (reason == REDIAL_FOR_STRANGER)
		undo_edits(sock);
	error = dial_unlocked(replacement);
	if (sock->state == SOCK_FREE)
		return error;
	if (!error && replacement->status_flags != sock->status_flags &&
	    real.fcntl(fd, F_SETFL, sock->status_flags) < 0)
		error = -errno;
	if (!error && reason == REDIAL_FOR_UNFIT && replacement->keeps_old && !replacement->begins_only)
		end_old(sock);
	if (!error && sock->is_half_closed)
		real.shutdown(fd, SHUT_WR);
	if (!error)
		error = swap_files(sock, fd);
	swap_bring_registrations_back(sock);
	return error;
}

/* For the log. */
static const char *why_missed(const struct sock *sock, enum redial_reason reason)
{
	if (reason == REDIAL_FOR_STALE)
		return missed_names[MISSED_STALE];
	if (reason == REDIAL_FOR_OTHER_SESSION)
		return missed_names[MISSED_OTHER_HELLO];
	if (reason == REDIAL_FOR_UNFIT && sock->missed != MISSED_NONE)
		return missed_names[sock->missed];
	return missed_names[MISSED_SHARED];
}

static int replace(struct replacement *replacement, enum redial_reason reason)
{
	struct sock *sock = replacement->sock;
	int error;

	if (!sock->conn || sock->replacer || cookie_of(sock->fds[0]) != sock->conn->cookie || !swap_is_ours(sock))
		return -EBADF;
	replacement->fd = reclaim_open_socket(sock->domain, SOCK_STREAM | (replacement->status_flags & O_NONBLOCK));
	if (replacement->fd < 0)
		return replacement->fd;
	error = replace_with(replacement, reason);
	if (error)
		return error;
	adopt(sock, replacement->fd, reason);
	log_event(sock->replay.length ? "replay" : "redial", sock, why_missed(sock, reason));
	sock->n_swaps++;
	atomic_fetch_add(&sock_n_replaced, 1);
	sock->is_leased = sock->awaits_fence = sock->is_inherited = false;
	sock->has_forced_timeout = false;
	sock_leave_window(sock);
	return 0;
}

static int redial_once(struct sock *sock, enum redial_reason reason, int longest_ms, bool keeps_old)
{
	struct replacement replacement = {
		.sock = sock, .fd = -1, .status_flags = O_RDWR, .longest_ms = longest_ms, .keeps_old = keeps_old};
	int error;

	if ((sock->status_flags & O_NONBLOCK) || longest_ms >= 0 || keeps_old)
		replacement.status_flags |= O_NONBLOCK;
	pthread_cleanup_push(end_replacement, &replacement);
	error = replace(&replacement, reason);
	pthread_cleanup_pop(true);
	return error;
}

static bool serves_one(const struct sock *sock)
{
	struct idle_pool *pool = pool_enter(guard_now_ns());
	bool does = pool && sock->conn && sock->conn->destination->serves_one;

	if (pool)
		pool_leave();
	return does;
}

static void note_serves_one(const struct sock *sock)
{
	struct idle_pool *pool = pool_enter(guard_now_ns());

	if (!pool)
		return;
	if (sock->conn)
		sock->conn->destination->serves_one = true;
	pool_leave();
}

/* Below a session of which the program knows the server's certificate. */
static int redial_session(struct sock *sock, enum redial_reason reason, int longest_ms)
{
	bool keeps_old = reason == REDIAL_FOR_UNFIT && !serves_one(sock);
	int error = -EKEYREJECTED;

	for (unsigned i = 0; i < SESSION_TRIES && error == -EKEYREJECTED && sock->state == SOCK_OPEN; i++) {
		error = redial_once(sock, reason, longest_ms, keeps_old);
		if (error == -ETIMEDOUT && keeps_old && sock->state == SOCK_OPEN) {
			keeps_old = false;
			error = redial_once(sock, reason, longest_ms, keeps_old);
			if (!error)
				note_serves_one(sock);
		}
	}
	return error == -EKEYREJECTED && !keeps_old ? -ECONNRESET : error;
}

int redial(struct sock *sock, enum redial_reason reason, int longest_ms)
{
	/* Whoever waits on it wakes when it ends. */
	if (reason == REDIAL_FOR_OTHER_SESSION && sock_n_inside(sock))
		reason = REDIAL_FOR_UNFIT;
	return is_session(sock->transport) ? redial_session(sock, reason, longest_ms)
					   : redial_once(sock, reason, longest_ms, false);
}

int redial_once_more(struct sock *sock)
{
	int fd = reclaim_open_socket(sock->domain, SOCK_STREAM | O_NONBLOCK), error = -ECONNABORTED;

	if (fd < 0)
		return fd;
	if (sock->conn && !sock->replacer && !options_copy_to_fresh(sock, fd))
		error = dial(fd, &sock->key, 0);
	if (!error && real.fcntl(fd, F_SETFL, sock->status_flags) < 0)
		error = -errno;
	if (!error)
		error = swap_files(sock, fd);
	if (!error) {
		sock->conn->cookie = cookie_of(fd);
		sock->n_swaps++;
		atomic_fetch_add(&sock_n_replaced, 1);
	}
	real.close(fd);
	return error;
}

int redial_return(struct sock *sock, struct conn *held)
{
	struct idle_pool *pool;
	int error;

	if (!sock->conn || sock->replacer)
		return -EBUSY;
	if (ledger_check(&sock_pool_sys, held->fd, &held->ledger, NULL) == LEDGER_CLOSED)
		return -ECONNRESET;
	pool = pool_enter(guard_now_ns());
	if (!pool)
		return -EAGAIN;
	error = real.fcntl(held->fd, F_SETFL, sock->status_flags) < 0 ? -errno : swap_files(sock, held->fd);
	if (!error) {
		idle_pool_end(pool, sock->conn);
		sock->conn = held;
		sock->is_leased = true;
		sock->n_swaps++;
		atomic_fetch_add(&sock_n_replaced, 1);
	}
	pool_leave();
	return error;
}

void redial_end_held(struct conn *held, bool serves_one)
{
	struct idle_pool *pool = held ? pool_enter(guard_now_ns()) : NULL;

	if (!pool)
		return;
	held->destination->serves_one |= serves_one;
	idle_pool_end(pool, held);
	pool_leave();
}
