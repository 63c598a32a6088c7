/* See upstream.h. */
#include "tools/relay/upstream.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#include "pool/base/clock.h"
#include "pool/conn/ending.h"
#include "pool/exchange/verdict.h"
#include "tools/relay/core.h"

#define READ_SIZE (64u << 10)

bool upstream_has_room;

/* By descriptor: the pool knows them by that. */
static struct upstream **by_fd;
static size_t n_by_fd;

static bool enter(struct upstream *upstream, int fd)
{
	size_t wanted = n_by_fd ? n_by_fd : 64;
	struct upstream **table;

	while (wanted <= (size_t)fd)
		wanted *= 2;
	if (wanted != n_by_fd) {
		table = realloc(by_fd, wanted * sizeof(table[0]));
		if (!table)
			return false;
		memset(table + n_by_fd, 0, (wanted - n_by_fd) * sizeof(table[0]));
		by_fd = table;
		n_by_fd = wanted;
	}
	by_fd[fd] = upstream;
	return true;
}

int upstream_close_fd(int fd)
{
	struct upstream *upstream = (size_t)fd < n_by_fd ? by_fd[fd] : NULL;

	if (upstream) {
		by_fd[fd] = NULL;
		link_close(&upstream->link, false);
		link_bury(&upstream->link);
		upstream_has_room = true;
		return 0;
	}
	return close(fd);
}

void upstream_end(struct upstream *upstream, enum refusal why)
{
	struct conn *conn = upstream->conn;

	if (why != REFUSAL_NONE)
		stats_refuse(conn->destination->stats, why);
	idle_pool_end(&relay_core.pool, conn);
}

static void tell_dialled(struct upstream *upstream, int error)
{
	struct stats_destination *stats = upstream->conn->destination->stats;

	upstream->is_dialling = false;
	if (error)
		stats_count_failure(stats, error);
	else
		stats_count_dial(stats, relay_now_ns() - upstream->dialled_ns);
	upstream->user->dialled(upstream, error);
	if (error)
		upstream_end(upstream, REFUSAL_NONE);
}

static void end_dial(struct upstream *upstream)
{
	int error = 0;
	socklen_t length = sizeof(error);

	getsockopt(upstream->link.fd, SOL_SOCKET, SO_ERROR, &error, &length);
	if (!error && link_flush(&upstream->link, &upstream->conn->ledger.sent) < 0)
		error = ECONNRESET;
	tell_dialled(upstream, error);
}

/* A server that writes its answer in pieces waits for the first one's acknowledgement, which only a young connection
 * gives at once. */
static void acknowledge(const struct upstream *upstream)
{
	static const int on = 1;

	if (upstream->is_leased && upstream->user && upstream->link.fd >= 0)
		setsockopt(upstream->link.fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
}

static void receive(struct upstream *upstream)
{
	static char bytes[READ_SIZE];
	ssize_t n = recv(upstream->link.fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	bool is_first;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (!upstream->user) {
		/* Nobody has asked for anything: it is of no use any more, whatever this is. */
		stats_refuse(upstream->conn->destination->stats, n > 0 ? REFUSAL_LEDGER : REFUSAL_SERVER_IDLE_CLOSE);
		idle_pool_discard(&relay_core.pool, upstream->conn);
	} else if (n > 0) {
		upstream->conn->ledger.received += (uint64_t)n;
		is_first = !upstream->was_heard;
		upstream->user->came(upstream, bytes, (size_t)n);
		if (is_first)
			acknowledge(upstream);
	} else {
		upstream->has_ended = true;
		link_want_input(&upstream->link, false);
		upstream->user->ended(upstream, n < 0 ? errno : 0);
	}
}

static void send_waiting(struct upstream *upstream)
{
	int error = link_flush(&upstream->link, &upstream->conn->ledger.sent);

	/* The reading side tells of the error, behind what the server still said. */
	if (error || upstream->link.out.length || !upstream->user)
		return;
	if (upstream->was_asked)
		shutdown(upstream->link.fd, SHUT_WR);
	upstream->user->drained(upstream);
}

static void on_event(struct link *link, uint32_t events)
{
	struct upstream *upstream = (struct upstream *)link;

	if (upstream->is_dialling) {
		if (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
			end_dial(upstream);
		return;
	}
	if (events & EPOLLOUT)
		send_waiting(upstream);
	if (link->fd >= 0 && (events & EPOLLIN || (!upstream->has_ended && events & (EPOLLERR | EPOLLHUP))))
		receive(upstream);
	else if (link->fd >= 0 && upstream->has_ended && upstream->user && events & (EPOLLERR | EPOLLHUP))
		upstream->user->ended(upstream, ECONNRESET);
}

/* The options of every connection of ours: answers are not held back by the other side's delayed acknowledgements, and
 * its end leaves no TIME_WAIT (pool/conn/ending.h). */
static void set_options(int fd, const struct policy *policy)
{
	static const int on = 1, forgo = -1;
	int idle_s = (int)((policy->keep_alive_ns + SECOND_NS - 1) / SECOND_NS);

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_LINGER2, &forgo, sizeof(forgo));
	if (!idle_s)
		return;
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &idle_s, sizeof(idle_s));
}

static int start_connect(int fd, const struct destination_key *key)
{
	struct sockaddr_in6 address;
	socklen_t length = destination_key_peer(key, &address);

	if (connect(fd, (struct sockaddr *)&address, length) == 0 || errno == EINPROGRESS)
		return 0;
	if (errno != EADDRNOTAVAIL)
		return -errno;
	/* Idle connections there have the ports. */
	idle_pool_retire_peer(&relay_core.pool, key);
	return connect(fd, (struct sockaddr *)&address, length) == 0 || errno == EINPROGRESS ? 0 : -errno;
}

/* -errno; on success the descriptor is the upstream's. */
static int open_socket(struct upstream *upstream, struct destination *destination)
{
	int fd = socket(destination->key.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), error;

	if (fd < 0)
		return -errno;
	set_options(fd, destination->policy);
	error = start_connect(fd, &destination->key);
	if (error) {
		stats_count_failure(destination->stats, -error);
		close(fd);
		return error;
	}
	error = link_open(&upstream->link, fd, on_event);
	if (!error && !enter(upstream, fd)) {
		link_close(&upstream->link, false);
		error = -ENOMEM;
	}
	return error;
}

struct upstream *upstream_dial(struct destination *destination, const struct upstream_user *user, void *object)
{
	struct upstream *upstream = calloc(1, sizeof(*upstream));
	uint64_t now_ns = relay_now_ns();
	int error = upstream ? open_socket(upstream, destination) : -ENOMEM;

	if (!error) {
		upstream->conn = idle_pool_open(&relay_core.pool, destination, now_ns);
		if (!upstream->conn) {
			upstream_close_fd(upstream->link.fd);
			errno = ENOMEM;
			return NULL;
		}
		upstream->conn->fd = upstream->link.fd;
		upstream->is_dialling = true;
		upstream->dialled_ns = now_ns;
		upstream_give(upstream, user, object);
		link_want_output(&upstream->link);
		return upstream;
	}
	free(upstream);
	errno = -error;
	return NULL;
}

struct upstream *upstream_lease(struct destination *destination, const struct upstream_user *user, void *object)
{
	enum refusal why;
	struct conn *conn = idle_pool_lease(&relay_core.pool, destination, RELAY_WHO, relay_now_ns(), &why);
	struct upstream *upstream = conn ? by_fd[conn->fd] : NULL;

	if (!upstream)
		return NULL;
	upstream->is_leased = true;
	upstream->was_heard = false;
	upstream_give(upstream, user, object);
	return upstream;
}

struct upstream *upstream_next_in_use(const struct destination *destination, const struct upstream *upstream)
{
	for (size_t fd = upstream ? (size_t)upstream->link.fd + 1 : 0; fd < n_by_fd; fd++)
		if (by_fd[fd] && by_fd[fd]->user && by_fd[fd]->conn->destination == destination)
			return by_fd[fd];
	return NULL;
}

void upstream_give(struct upstream *upstream, const struct upstream_user *user, void *object)
{
	upstream->user = user;
	upstream->object = object;
}

int upstream_send(struct upstream *upstream, const char *bytes, size_t length)
{
	if (upstream->is_dialling)
		return -link_send_later(&upstream->link, bytes, length);
	return -link_send(&upstream->link, bytes, length, &upstream->conn->ledger.sent);
}

void upstream_shut(struct upstream *upstream)
{
	upstream->was_asked = true;
	upstream->unfit = REFUSAL_CLIENT_CLOSE;
	if (!upstream->is_dialling && !upstream->link.out.length)
		shutdown(upstream->link.fd, SHUT_WR);
}

/* REFUSAL_NONE: it may be kept, as far as the kernel knows. */
static enum refusal ask_kernel(struct upstream *upstream)
{
	struct conn *conn = upstream->conn;
	enum ledger_verdict ledger;

	if (upstream->unfit != REFUSAL_NONE)
		return upstream->unfit;
	if (upstream->link.out.length || upstream->has_ended)
		return upstream->has_ended ? REFUSAL_SERVER_CLOSE : REFUSAL_ERROR;
	ledger = ledger_check(relay_core.pool.sys, conn->fd, &conn->ledger, NULL);
	conn->is_in_flight = ledger == LEDGER_IN_FLIGHT;
	return verdict_of_ledger(ledger, false);
}

void upstream_park(struct upstream *upstream)
{
	enum refusal why = ask_kernel(upstream);

	if (why == REFUSAL_NONE)
		why = idle_pool_park(&relay_core.pool, upstream->conn, relay_now_ns());
	if (why != REFUSAL_NONE) {
		upstream_end(upstream, why);
		return;
	}
	upstream_give(upstream, NULL, NULL);
	link_want_input(&upstream->link, true);
	upstream_has_room = true;
}

void upstream_tick(void)
{
	uint64_t now_ns = relay_now_ns();

	for (size_t fd = 0; fd < n_by_fd; fd++) {
		struct upstream *upstream = by_fd[fd];
		uint64_t limit_ns = upstream ? upstream->conn->destination->policy->dial_timeout_ns : 0;

		if (limit_ns && upstream->is_dialling && now_ns - upstream->dialled_ns >= limit_ns)
			tell_dialled(upstream, ETIMEDOUT);
	}
}
