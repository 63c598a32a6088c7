/* See redial.h. */
#include "shim/connect/redial.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>

#include "pool/conn/ending.h"
#include "shim/base/clock.h"
#include "shim/base/cookie.h"
#include "shim/base/lock.h"
#include "shim/base/real.h"
#include "shim/connect/dial.h"
#include "shim/connect/limit.h"
#include "shim/sock/options.h"
#include "shim/sock/reclaim.h"
#include "shim/sock/sock.h"
#include "shim/sock/swap.h"

/* How long a thread may be held, though it said that it would not wait, for a dial that it does not know of: a dial
 * that is given up too soon begins anew each time. */
#define HOLD_MS 3000

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
}

/* Dials and sends again on a socket of ours, unlocked: it blocks, and other threads must find the socket meanwhile. */
static int dial_unlocked(struct replacement *replacement)
{
	struct sock *sock = replacement->sock;
	struct destination_key key = sock->key;
	struct replay *replay = &replacement->replay;
	int wait_ms = replacement->longest_ms, error;

	if (wait_ms >= 0 && wait_ms < HOLD_MS)
		wait_ms = HOLD_MS;
	if (sock->status_flags & O_NONBLOCK)
		wait_ms = sock->replay.length ? HOLD_MS : 0;

	*replay = sock->replay;
	replacement->tally = sock->tally;
	sock->replay = (struct replay){0};
	sock->replacer = (unsigned long)pthread_self();
	replacement->is_unlocked = true;
	sock_leave(sock);
	events_begin_dial(&replacement->tally);
	error = dial(replacement->fd, &key, wait_ms);
	events_end_dial(&replacement->tally, replacement->fd, error ? -error : wait_ms ? 0 : EINPROGRESS);
	if (!error && replay->length)
		error = send_all(replacement->fd, replay->block.bytes, replay->length, wait_ms);
	return return_to_lock(replacement) ? error : -EBADF;
}

/* An unfit but living connection is ended at once for all holders: a server that serves one at a time is waiting for
 * that. */
static void end_old(const struct sock *sock)
{
	ending_make_for_all(&sock_pool_sys, sock->fds[0]);
}

static void adopt(struct sock *sock, int fd)
{
	uint64_t now_ns = guard_now_ns();
	struct destination *destination = sock->conn->destination;
	struct idle_pool *pool = pool_enter(now_ns);

	if (!pool) {
		sock_drop_conn(sock);
		return;
	}
	if (atomic_load(&sock->is_shared))
		idle_pool_discard(pool, sock->conn);
	else
		idle_pool_end(pool, sock->conn);
	sock->conn = idle_pool_open(pool, destination, now_ns);
	pool_leave();
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
	if (reason == REDIAL_FOR_UNFIT)
		end_old(sock);
	if (reason == REDIAL_FOR_STRANGER)
		undo_edits(sock);
	error = dial_unlocked(replacement);
	if (sock->state == SOCK_FREE)
		return error;
	if (!error && replacement->status_flags != sock->status_flags &&
	    real.fcntl(fd, F_SETFL, sock->status_flags) < 0)
		error = -errno;
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
	adopt(sock, replacement->fd);
	log_event(sock->replay.length ? "replay" : "redial", sock, why_missed(sock, reason));
	sock->n_swaps++;
	atomic_fetch_add(&sock_n_replaced, 1);
	sock->is_leased = false;
	sock->has_forced_timeout = false;
	sock_leave_window(sock);
	return 0;
}

int redial(struct sock *sock, enum redial_reason reason, int longest_ms)
{
	struct replacement replacement = {.sock = sock, .fd = -1, .status_flags = O_RDWR, .longest_ms = longest_ms};
	int error;

	if ((sock->status_flags & O_NONBLOCK) || longest_ms >= 0)
		replacement.status_flags |= O_NONBLOCK;
	pthread_cleanup_push(end_replacement, &replacement);
	error = replace(&replacement, reason);
	pthread_cleanup_pop(true);
	return error;
}
