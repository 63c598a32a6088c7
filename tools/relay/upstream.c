/* See upstream.h. */
#include "tools/relay/upstream.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utlist.h>

#include "pool/base/clock.h"
#include "pool/conn/cold.h"
#include "pool/conn/ending.h"
#include "pool/conn/idle_timeout.h"
#include "pool/exchange/verdict.h"
#include "pool/proto/protocol.h"
#include "tools/relay/core.h"
#include "tools/relay/sharing.h"

/* Of the open file, for whoever has it next. */
#define STATUS_FLAGS (O_RDWR | O_NONBLOCK)
/* The kernel's limit (tcp(7), TCP_KEEPIDLE). */
#define KEEP_ALIVE_MAX_S 32767u

#define READ_SIZE (64u << 10)

bool upstream_has_room;
void (*upstream_on_idle_end)(const struct destination_key *key, uint64_t since_ns);

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
		/* The broker, or who has borrowed it, may hold a duplicate: epoll goes on watching the open file unless
		   it is told not to (epoll(7), Q6), as link_close() does. */
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

/* Sends the end of file that was asked for, behind all that waits. */
static void end_sending(struct upstream *upstream)
{
	if (upstream->was_asked && !upstream->is_dialling && !upstream->link.out.length && upstream->link.fd >= 0)
		shutdown(upstream->link.fd, SHUT_WR);
}

/* Nothing waits to be sent any more. */
static void tell_drained(struct upstream *upstream)
{
	if (upstream->link.fd < 0 || upstream->link.out.length || !upstream->user)
		return;
	end_sending(upstream);
	upstream->user->drained(upstream);
}

/* The reading side tells of the error, behind what the server still said. It would find an end of file there: the
 * kernel tells of an RST once. (EPIPE comes behind an end of file, or behind an error that was told.) */
static int note_sent(struct upstream *upstream, int error)
{
	if (error && error != -EPIPE && !upstream->send_error)
		upstream->send_error = -error;
	return error;
}

static int flush(struct upstream *upstream)
{
	return note_sent(upstream, link_flush(&upstream->link, &upstream->conn->ledger.sent));
}

static void end_dial(struct upstream *upstream)
{
	int error = 0;
	socklen_t length = sizeof(error);

	getsockopt(upstream->link.fd, SOL_SOCKET, SO_ERROR, &error, &length);
	if (!error)
		(void)!flush(upstream);
	tell_dialled(upstream, error);
	/* A user whose bytes waited for nothing but the dial may hear of it by this alone. */
	if (!error)
		tell_drained(upstream);
}

static void want(struct socket_options *wanted, enum socket_option_index index, int value)
{
	memcpy(wanted->value[index], &value, sizeof(value));
	wanted->set |= 1u << index;
}

/* The options of every connection of ours: answers are not held back by the other side's delayed acknowledgements, and
 * its end leaves no TIME_WAIT (pool/conn/ending.h). */
static struct socket_options wanted_options(const struct policy *policy)
{
	uint64_t seconds = (policy->keep_alive_ns + SECOND_NS - 1) / SECOND_NS;
	int idle_s = (int)(seconds < KEEP_ALIVE_MAX_S ? seconds : KEEP_ALIVE_MAX_S);
	struct socket_options wanted = {0};

	want(&wanted, SOCKET_OPTION_NODELAY, 1);
	want(&wanted, SOCKET_OPTION_LINGER2, -1);
	if (!idle_s)
		return wanted;
	want(&wanted, SOCKET_OPTION_KEEPALIVE, 1);
	want(&wanted, SOCKET_OPTION_KEEPIDLE, idle_s);
	want(&wanted, SOCKET_OPTION_KEEPINTVL, idle_s);
	return wanted;
}

/* Those of a fresh socket, which are read when they are first needed. NULL: they can't be. */
static const struct socket_options *fresh_options(uint16_t family)
{
	static struct socket_options known[2];
	struct socket_options *options = &known[family == AF_INET6];
	uint32_t all = (1u << SOCKET_OPTION_COUNT) - 1;
	int fd = options->set == all ? -1 : socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0) {
		if (socket_options_read(relay_core.pool.sys, fd, all, options) < 0)
			options->set = 0;
		close(fd);
	}
	return options->set == all ? options : NULL;
}

/* Does an answer that comes late mean that the server's host has gone? */
static void begin_cold(struct upstream *upstream, uint64_t now_ns)
{
	struct conn *conn = upstream->conn;
	unsigned timeout_ms = cold_timeout_ms(relay_core.pool.sys, conn, now_ns);

	upstream->is_cold = timeout_ms && socket_options_apply(relay_core.pool.sys, conn->fd, &conn->options,
							       SOCKET_OPTION_USER_TIMEOUT, &timeout_ms) == 0;
}

/* Something has come: the rest may take its time. */
static void end_cold(struct upstream *upstream)
{
	const struct socket_options *fresh = fresh_options(upstream->conn->destination->key.family);

	upstream->is_cold = false;
	if (!fresh || socket_options_apply(relay_core.pool.sys, upstream->conn->fd, &upstream->conn->options,
					   SOCKET_OPTION_USER_TIMEOUT, fresh->value[SOCKET_OPTION_USER_TIMEOUT]) < 0)
		upstream->unfit = REFUSAL_SOCKOPT;
}

/* A server that writes its answer in pieces waits for the first one's acknowledgement, which only a young connection
 * gives at once. */
static void acknowledge(const struct upstream *upstream)
{
	static const int on = 1;

	if (upstream->is_leased && upstream->user && upstream->link.fd >= 0)
		setsockopt(upstream->link.fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
}

/* Something has come on an idle connection, mostly its end. */
static void hear_idle(struct upstream *upstream)
{
	struct destination_key key = upstream->conn->destination->key;
	uint64_t since_ns = upstream->parked_ns;

	idle_pool_hear(&relay_core.pool, upstream->conn);
	if (upstream->link.fd < 0 && since_ns)
		upstream_on_idle_end(&key, since_ns);
}

static void receive(struct upstream *upstream)
{
	static char room[PROTOCOL_INSERTION_MAX + READ_SIZE];
	char *bytes = room + PROTOCOL_INSERTION_MAX;
	bool is_first;
	ssize_t n;

	/* Nobody here has asked for anything. Bytes are left alone: another process may have asked for them. */
	if (!upstream->user) {
		hear_idle(upstream);
		return;
	}
	n = recv(upstream->link.fd, bytes, READ_SIZE, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		upstream->conn->ledger.received += (uint64_t)n;
		is_first = !upstream->was_heard;
		if (upstream->is_cold)
			end_cold(upstream);
		upstream->user->came(upstream, bytes, (size_t)n);
		if (is_first)
			acknowledge(upstream);
	} else {
		upstream->has_ended = true;
		link_want_input(&upstream->link, false);
		upstream->user->ended(upstream, n < 0 ? errno : upstream->send_error);
	}
}

static void send_waiting(struct upstream *upstream)
{
	if (flush(upstream) == 0)
		tell_drained(upstream);
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

/* What its last user, in another process, has set is undone. */
static bool set_options(struct conn *conn)
{
	struct socket_options wanted = wanted_options(conn->destination->policy);
	const struct socket_options *fresh = fresh_options(conn->destination->key.family);

	if (!fresh || socket_options_switch(relay_core.pool.sys, conn->fd, &conn->options, &wanted, fresh) < 0)
		return false;
	if (conn->status_flags != STATUS_FLAGS && fcntl(conn->fd, F_SETFL, STATUS_FLAGS) < 0)
		return false;
	conn->status_flags = STATUS_FLAGS;
	return true;
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
	sharing_relieve(key);
	return connect(fd, (struct sockaddr *)&address, length) == 0 || errno == EINPROGRESS ? 0 : -errno;
}

/* 0 or -errno. The descriptor is the upstream's, or closed. */
static int watch(struct upstream *upstream, int fd)
{
	int error = link_open(&upstream->link, fd, on_event);

	if (!error && !enter(upstream, fd)) {
		link_close(&upstream->link, false);
		error = -ENOMEM;
	}
	return error;
}

/* 0 or -errno. The descriptor is the upstream's; *options is what is set on it. */
static int open_socket(struct upstream *upstream, struct destination *destination, struct socket_options *options)
{
	struct socket_options wanted = wanted_options(destination->policy);
	int fd = socket(destination->key.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), error;

	if (fd < 0)
		return -errno;
	/* A connection without one of them will do. */
	(void)!socket_options_switch(relay_core.pool.sys, fd, options, &wanted, &wanted);
	error = start_connect(fd, &destination->key);
	if (error) {
		stats_count_failure(destination->stats, -error);
		close(fd);
		return error;
	}
	return watch(upstream, fd);
}

struct upstream *upstream_dial(struct destination *destination, const struct upstream_user *user, void *object)
{
	struct upstream *upstream = calloc(1, sizeof(*upstream));
	struct socket_options options = {0};
	uint64_t now_ns = relay_now_ns();
	int error = upstream ? open_socket(upstream, destination, &options) : -ENOMEM;

	if (!error) {
		upstream->conn = idle_pool_open(&relay_core.pool, destination, now_ns);
		if (!upstream->conn) {
			upstream_close_fd(upstream->link.fd);
			errno = ENOMEM;
			return NULL;
		}
		upstream->conn->fd = upstream->link.fd;
		upstream->conn->options = options;
		upstream->conn->status_flags = STATUS_FLAGS;
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

/* Brings one here that another process has parked, idle. */
static bool borrow(const struct destination *destination)
{
	struct conn *conn = sharing_take(destination);
	struct upstream *upstream;

	if (!conn)
		return false;
	upstream = set_options(conn) ? calloc(1, sizeof(*upstream)) : NULL;
	if (!upstream) {
		idle_pool_end(&relay_core.pool, conn);
		return false;
	}
	upstream->conn = conn;
	if (watch(upstream, conn->fd) == 0) {
		idle_pool_take_in(&relay_core.pool, conn);
		return true;
	}
	free(upstream);
	conn->fd = -1;
	idle_pool_end(&relay_core.pool, conn);
	return false;
}

bool upstream_can_lease(struct destination *destination)
{
	/* What others have taken is not ours any more. */
	idle_pool_expire(&relay_core.pool, relay_now_ns());
	return destination->n_idle || borrow(destination);
}

struct upstream *upstream_lease(struct destination *destination, const struct upstream_user *user, void *object)
{
	uint64_t now_ns = relay_now_ns();
	enum refusal why;
	struct conn *conn = idle_pool_lease(&relay_core.pool, destination, RELAY_WHO, now_ns, &why);
	struct upstream *upstream;

	if (!conn && why != REFUSAL_PROBED && borrow(destination))
		conn = idle_pool_lease(&relay_core.pool, destination, RELAY_WHO, now_ns, &why);
	upstream = conn ? by_fd[conn->fd] : NULL;
	if (!upstream)
		return NULL;
	begin_cold(upstream, now_ns);
	upstream->is_leased = true;
	upstream->was_heard = false;
	upstream_give(upstream, user, object);
	return upstream;
}

uint64_t upstream_newest_of(const struct destination *destination)
{
	return destination->idle ? by_fd[destination->idle->fd]->last_client : 0;
}

bool upstream_is_young(const struct upstream *upstream)
{
	const struct conn *conn = upstream->conn;
	struct ledger_reading reading;

	return ledger_check(relay_core.pool.sys, conn->fd, &conn->ledger, &reading) == LEDGER_EXACT &&
	       idle_timeout_is_young(conn->destination, reading.last_data_ms * MILLISECOND_NS);
}

struct upstream *upstream_next_in_use(const struct destination *destination, const struct upstream *upstream)
{
	for (size_t fd = upstream ? (size_t)upstream->link.fd + 1 : 0; fd < n_by_fd; fd++)
		if (by_fd[fd] && by_fd[fd]->user && (!destination || by_fd[fd]->conn->destination == destination))
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
	struct link *link = &upstream->link;
	int error = upstream->is_dialling
			    ? link_send_later(link, bytes, length)
			    : note_sent(upstream, link_send(link, bytes, length, &upstream->conn->ledger.sent));

	/* While the server works. */
	if (upstream->user->is_exchange && !upstream->is_leased)
		sharing_introduce();
	return -error;
}

bool upstream_has_waiting(const struct upstream *upstream)
{
	return upstream->link.out.length != 0;
}

void upstream_shut(struct upstream *upstream)
{
	upstream->was_asked = true;
	upstream->unfit = REFUSAL_CLIENT_CLOSE;
	end_sending(upstream);
}

static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t length = sizeof(cookie);

	return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &length) == 0 ? cookie : 0;
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
	if (!conn->cookie)
		conn->cookie = cookie_of(conn->fd);
	ledger = ledger_check(relay_core.pool.sys, conn->fd, &conn->ledger, NULL);
	conn->is_in_flight = ledger == LEDGER_IN_FLIGHT;
	return verdict_of_ledger(ledger, false);
}

bool upstream_park(struct upstream *upstream)
{
	struct conn *conn = upstream->conn;
	enum refusal why = ask_kernel(upstream);

	conn->was_looked_at = false;
	if (why == REFUSAL_NONE)
		why = idle_pool_park(&relay_core.pool, conn, relay_now_ns());
	if (why != REFUSAL_NONE) {
		upstream_end(upstream, why);
		return why != REFUSAL_SERVER_CLOSE;
	}
	upstream->parked_ns = relay_now_ns();
	upstream_give(upstream, NULL, NULL);
	link_want_input(&upstream->link, true);
	upstream_has_room = true;
	/* Where the broker has no duplicate, our close is the end, which takes back nothing that is in flight. */
	if (!conn->is_in_flight)
		sharing_offer(conn);
	return true;
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
