/* See fresh.h. */
#include "shim/fresh.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>

#include "shim/log.h"
#include "shim/options.h"
#include "shim/real.h"
#include "shim/sock.h"
#include "shim/swap.h"

/* How long a non-blocking program's thread may be held for a dial that it does not know of. */
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

/* `wait_ms` 0: leave the dial in progress; -1: for as long as a blocking connect() takes. */
static int dial(int fd, const struct destination_key *key, int wait_ms)
{
	struct sockaddr_in6 address;
	socklen_t length;

	if (key->is_bound) {
		length = destination_key_local(key, &address);
		if (real.bind(fd, (struct sockaddr *)&address, length) < 0)
			return -errno;
	}
	length = destination_key_peer(key, &address);
	if (real.connect(fd, (struct sockaddr *)&address, length) == 0)
		return 0;
	if (errno != EINPROGRESS && errno != EINTR)
		return -errno;
	return wait_ms ? finish_connect(fd, wait_ms) : 0;
}

static int send_all(int fd, const char *bytes, size_t length, int timeout_ms)
{
	while (length) {
		ssize_t n = real.send(fd, bytes, length, MSG_NOSIGNAL);

		if (n > 0) {
			bytes += n;
			length -= (size_t)n;
		} else if (n < 0 && errno == EAGAIN) {
			int error = wait_for(fd, POLLOUT, timeout_ms);

			if (error)
				return error;
		} else if (n < 0 && errno != EINTR) {
			return -errno;
		}
	}
	return 0;
}

/* A socket of ours that stands where the program's connect() would have brought it. Its number, or -errno. */
static int open_fresh(struct sock *sock, bool is_blocking)
{
	bool must_send = sock->outgoing.length > 0;
	int wait_ms = is_blocking ? -1 : must_send ? HOLD_MS : 0;
	int fd = fdtable_open_socket(sock->domain, SOCK_STREAM | (is_blocking ? 0 : SOCK_NONBLOCK));
	int error;

	if (fd < 0)
		return fd;
	error = options_copy_to_fresh(sock, fd) ? -ECONNABORTED : 0;
	if (!error) {
		struct inside_token token = sock_go_inside(sock);
		struct destination_key key = sock->key;
		struct outgoing block = sock->outgoing;

		/* Nobody may change the socket meanwhile, but nobody may wait for it either: it counts as busy. */
		sock->n_senders++;
		sock->n_receivers++;
		sock->outgoing = (struct outgoing){0};
		sock_leave(sock);
		error = dial(fd, &key, wait_ms);
		if (!error && must_send)
			error = send_all(fd, block.bytes, block.length, wait_ms);
		while (!guard_lock_try(&sock->lock))
			;
		sock->n_senders--;
		sock->n_receivers--;
		sock_come_out(token);
		if (sock->in_window)
			sock->outgoing = block;
		else
			outgoing_free(&block, false);
	}
	if (error) {
		real.close(fd);
		return error;
	}
	return fd;
}

/* An unfit but living connection ends by RST, through all its descriptors at once (connect(2), AF_UNSPEC): the program
 * never knew of it, and a server that serves one at a time is waiting for its end. */
static void end_old(const struct sock *sock)
{
	static const struct sockaddr nowhere = {.sa_family = AF_UNSPEC};

	real.connect(sock->fds[0], &nowhere, sizeof(nowhere));
}

static bool adopt(struct sock *sock, int fd)
{
	uint64_t now_ns = guard_now_ns();
	struct destination *destination = sock->conn->destination;
	struct idle_pool *pool = pool_enter(now_ns);
	struct conn *conn;

	if (!pool)
		return false;
	idle_pool_discard(pool, sock->conn);
	conn = idle_pool_open(pool, destination, now_ns);
	pool->stats.dialed++;
	pool_leave();
	sock->conn = conn;
	if (!conn)
		return true;
	conn->options = sock->wanted;
	conn->cookie = swap_cookie(fd);
	conn->ledger.sent = sock->outgoing.length;
	return true;
}

int fresh_replace(struct sock *sock, bool retire)
{
	int flags = sock->status_flags;
	int error, fd;

	if (!sock->conn || swap_cookie(sock->fds[0]) != sock->conn->cookie || !swap_is_ours(sock))
		return -EBADF;
	if (retire)
		end_old(sock);
	fd = open_fresh(sock, !(flags & O_NONBLOCK));
	if (fd < 0)
		return fd;
	/* The program may have closed or given away its numbers while we dialled without the lock. */
	if (sock->state != SOCK_OPEN || !sock->n_fds || !sock->conn) {
		real.close(fd);
		return -EBADF;
	}
	if ((flags & ~O_NONBLOCK) != (real.fcntl(fd, F_GETFL) & ~O_NONBLOCK))
		real.fcntl(fd, F_SETFL, flags);
	error = swap_files(sock, fd);
	if (!error && !adopt(sock, fd))
		sock_drop_conn(sock);
	real.close(fd);
	if (error)
		return error;
	log_event(sock->outgoing.length ? "replay" : "redial", sock, NULL);
	sock->is_leased = false;
	sock->has_forced_timeout = false;
	sock_leave_window(sock);
	return 0;
}
