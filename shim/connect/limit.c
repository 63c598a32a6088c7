/* See limit.h. */
#include "shim/connect/limit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>

#include "pool/share/client.h"
#include "shim/base/clock.h"
#include "shim/base/cookie.h"
#include "shim/kept/shared.h"
#include "shim/kept/broker_link.h"
#include "shim/connect/lease.h"
#include "shim/sock/options.h"
#include "shim/base/real.h"
#include "shim/sock/sock.h"
#include "shim/sock/swap.h"

#define MILLISECOND_NS 1000000u
/* For the broker's first word. More than a lease has, since who goes on without makes one connection too many; most for who
 * may wait long for the second. */
#define PATIENCE_MS 500
#define BLOCKING_PATIENCE_MS 3000

_Atomic(bool) limit_has_placed;

/* True if the calling thread has all that there may be: it would wait for itself, if it blocks. */
static bool has_them_all(const struct destination_key *key, uint32_t max_conns)
{
	unsigned long self = (unsigned long)pthread_self();
	uint32_t n = 0;

	for (int fd = 0, end = fdtable_end(); fd < end && n < max_conns; fd++) {
		struct sock *sock = fdtable_get(fd) ? sock_enter(fd) : NULL;

		if (!sock)
			continue;
		/* A thread waits for one at a time: a handler has left the other one's connect(), which waits in vain. */
		if (sock->state == SOCK_NEW && sock->thread == self && sock->ticket.conn)
			limit_forget(sock);
		n += (sock->state == SOCK_OPEN || sock->ticket.fd >= 0) && sock->thread == self && sock->fds[0] == fd &&
		     destination_key_length(&sock->key) == destination_key_length(key) &&
		     memcmp(&sock->key, key, destination_key_length(key)) == 0;
		sock_leave(sock);
	}
	return n >= max_conns;
}

/* The answer, within so many milliseconds (-1: whenever). As broker_client_read_ticket(), or -ETIMEDOUT. */
static int await_answer(struct ticket *ticket, int timeout_ms)
{
	struct pollfd entry = {.fd = ticket->fd, .events = POLLIN};
	int answer = shared_read_ticket(ticket->fd, &ticket->number), n;

	if (answer != -EAGAIN)
		return answer;
	n = REAL(poll)(&entry, 1, timeout_ms);
	if (n == 0)
		return -ETIMEDOUT;
	/* A signal: as a connect() that is restarted. */
	return n < 0 ? -EAGAIN : shared_read_ticket(ticket->fd, &ticket->number);
}

/* Until it is its turn. */
static int await_turn(struct ticket *ticket, uint64_t timeout_ns)
{
	uint64_t begin_ns = guard_now_ns();
	int answer;
	char byte;

	/* Unlike poll() a receive is restarted, or not, after the same signals as the connect() that it stands for. */
	if (!timeout_ns && real.fcntl(ticket->fd, F_SETFL, O_RDWR) == 0) {
		while (real.recv(ticket->fd, &byte, sizeof(byte), MSG_PEEK) >= 0) {
			answer = shared_read_ticket(ticket->fd, &ticket->number);
			if (answer != -EAGAIN && answer != -EINPROGRESS)
				return answer;
		}
		return errno == EINTR ? -EINTR : -ECONNRESET;
	}
	do {
		uint64_t spent_ns = guard_now_ns() - begin_ns;
		uint64_t left_ms = spent_ns < timeout_ns ? (timeout_ns - spent_ns) / MILLISECOND_NS + 1 : 0;

		answer = await_answer(ticket, !timeout_ns ? -1 : left_ms < INT_MAX ? (int)left_ms : INT_MAX);
	} while (answer == -EAGAIN || answer == -EINPROGRESS);
	return answer;
}

static void give_back(const struct ticket *ticket)
{
	if (ticket->conn)
		shared_give_up(ticket->conn);
	/* A child may have inherited it as the descriptor that it was: the broker is to see its end all the same. */
	if (ticket->fd >= 0) {
		real.shutdown(ticket->fd, SHUT_RDWR);
		fdtable_close_internal(ticket->fd);
	}
}

void limit_forget(struct sock *sock)
{
	give_back(&sock->ticket);
	sock->ticket = (struct ticket){.fd = -1};
}

/* The answer has come: what is to be done with the socket. Locked. */
static enum limit_result conclude(struct sock *sock, int answer)
{
	struct conn *conn = sock->ticket.conn;
	bool is_leased;

	sock->ticket.conn = NULL;
	if (conn)
		conn = shared_conclude(conn, answer);
	if (answer == -ENOENT)
		return LIMIT_DIAL;
	/* A connection that is given is counted where it is held; one that is no good any more is not. */
	is_leased = conn && lease_install(sock, conn);
	limit_forget(sock);
	return is_leased ? LIMIT_LEASED : LIMIT_DIAL;
}

/* Sends into the void until nothing more fits. */
static void fill_buffer(int fd)
{
	static const char filler[128];
	int smallest = 1;

	real.setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &smallest, sizeof(smallest));
	for (int i = 0; i < 64 && real.send(fd, filler, sizeof(filler), MSG_DONTWAIT | MSG_NOSIGNAL) > 0; i++)
		;
}

/* The program's numbers become the ticket. Locked. */
static enum limit_result place(struct sock *sock)
{
	fill_buffer(sock->ticket.fd);
	sock->ticket.cookie = cookie_of(sock->ticket.fd);
	if (swap_files(sock, sock->ticket.fd)) {
		limit_forget(sock);
		return LIMIT_DIAL;
	}
	sock->state = SOCK_WAITING;
	limit_has_placed = true;
	/* The broker's end is not to be taken for the server's. */
	sock_enter_window(sock);
	log_event("wait", sock, NULL);
	/* Its turn may have come while the buffer was being filled: then nobody empties it any more. */
	limit_settle(sock);
	return LIMIT_PLACED;
}

static struct sock *enter_again(int fd)
{
	struct sock *sock = sock_enter(fd);

	if (sock && sock->state == SOCK_NEW)
		return sock;
	if (sock)
		sock_leave(sock);
	errno = EBADF;
	return NULL;
}

/* With the first answer: at once, or in the queue. */
static enum limit_result queue(int fd, struct ticket *ticket, uint64_t timeout_ns, struct sock **locked)
{
	struct sock *sock = enter_again(fd);
	enum limit_result result;
	int answer;

	if (!sock) {
		shared_give_up(ticket->conn);
		fdtable_close_internal(ticket->fd);
		return LIMIT_FAILED;
	}
	/* Of the socket's from here on: whoever ends that, ends this. */
	sock->ticket = *ticket;
	*locked = sock;
	if (sock->status_flags & O_NONBLOCK) {
		result = place(sock);
		if (result == LIMIT_DIAL)
			sock_leave(sock);
		return result;
	}
	log_event("wait", sock, NULL);
	sock_leave(sock);
	answer = await_turn(ticket, timeout_ns);
	*locked = sock = enter_again(fd);
	if (!sock)
		return LIMIT_FAILED;
	sock->ticket.number = ticket->number;
	/* It goes on in the background, as a connect() does. */
	if (answer == -EINTR && place(sock) == LIMIT_PLACED) {
		sock_leave(sock);
		errno = EINTR;
		return LIMIT_FAILED;
	}
	result = answer == -ETIMEDOUT ? LIMIT_FAILED : conclude(sock, answer);
	if (result == LIMIT_FAILED)
		limit_forget(sock);
	if (result != LIMIT_LEASED)
		sock_leave(sock);
	errno = ETIMEDOUT;
	return result;
}

enum limit_result limit_enter(int fd, const struct destination_key *key, uint64_t timeout_ns, struct sock **locked)
{
	struct ticket ticket = {.fd = -1};
	enum limit_result result;
	struct sock *sock;
	uint32_t max_conns;
	bool blocks;
	int answer, patience_ms;

	sock = enter_again(fd);
	if (!sock)
		return LIMIT_FAILED;
	max_conns = sock->policy->max_conns_per_host;
	blocks = !(sock->status_flags & O_NONBLOCK);
	/* A handler left an earlier attempt while that waited. */
	if (sock->ticket.conn)
		limit_forget(sock);
	if (sock->ticket.fd >= 0)
		max_conns = 0; /* it has leave from an earlier attempt */
	sock->thread = (unsigned long)pthread_self();
	sock_leave(sock);
	if (!max_conns)
		return LIMIT_DIAL;
	patience_ms = blocks ? BLOCKING_PATIENCE_MS : PATIENCE_MS;
	ticket.conn =
		shared_ask_ticket(key, max_conns, blocks && has_them_all(key, max_conns), patience_ms, &ticket.fd);
	if (!ticket.conn)
		return LIMIT_DIAL;
	do
		answer = await_answer(&ticket, patience_ms);
	while (answer == -EAGAIN);
	if (answer == -ETIMEDOUT)
		broker_link_doubt();
	if (answer == -EINPROGRESS)
		return queue(fd, &ticket, timeout_ns, locked);
	*locked = sock = enter_again(fd);
	if (!sock) {
		shared_give_up(ticket.conn);
		fdtable_close_internal(ticket.fd);
		return LIMIT_FAILED;
	}
	sock->ticket = ticket;
	result = conclude(sock, answer);
	if (result != LIMIT_LEASED)
		sock_leave(sock);
	return result;
}

void limit_force(struct sock *sock)
{
	struct ticket ticket = {.fd = -1};

	if (!sock->policy->max_conns_per_host || sock->ticket.fd >= 0)
		return;
	ticket.conn = shared_ask_ticket(&sock->key, sock->policy->max_conns_per_host, true, PATIENCE_MS, &ticket.fd);
	if (!ticket.conn)
		return;
	sock->ticket = ticket;
	if (await_answer(&sock->ticket, PATIENCE_MS) == -ENOENT) {
		shared_conclude(sock->ticket.conn, -ENOENT);
		sock->ticket.conn = NULL;
	} else {
		limit_forget(sock);
	}
}

static void dial_now(struct sock *sock)
{
	sock_leave_window(sock);
	if (lease_dial_in_place(sock))
		return;
	/* To the program, a connection that has broken at once. */
	limit_forget(sock);
	sock->state = SOCK_ENDED;
	sock->cannot_keep = true;
}

void limit_settle(struct sock *sock)
{
	int saved = errno;
	int answer = shared_read_ticket(sock->ticket.fd, &sock->ticket.number);

	if (answer != -EAGAIN && answer != -EINPROGRESS) {
		sock->reports_connected = true;
		if (conclude(sock, answer) != LIMIT_LEASED)
			dial_now(sock);
	}
	errno = saved;
}

void limit_let_through(struct sock *sock)
{
	struct ticket place;
	int saved = errno;

	limit_settle(sock);
	if (sock->state == SOCK_WAITING) {
		place = sock->ticket;
		sock->ticket = (struct ticket){.fd = -1};
		limit_force(sock);
		sock->reports_connected = true;
		dial_now(sock);
		/* Not before: other threads may be polling it. */
		give_back(&place);
	}
	errno = saved;
}

static int timeout_of(const struct sock *sock, int option)
{
	uint64_t ns = options_timeout_ns(sock, option), ms = ns / MILLISECOND_NS;

	if (!ns)
		return -1;
	return ms < INT_MAX ? (int)ms : INT_MAX;
}

int limit_await(struct sock **locked, int fd, bool may_block, int option)
{
	struct pollfd entry = {.fd = fd, .events = POLLIN};
	struct sock *sock = *locked;

	limit_settle(sock);
	while (sock && sock->state == SOCK_WAITING) {
		int timeout_ms = timeout_of(sock, option), n;
		bool blocks = may_block && !(sock->status_flags & O_NONBLOCK);
		struct inside_token token;

		if (!blocks) {
			sock_leave(sock);
			return -EAGAIN;
		}
		token = sock_go_inside(sock);
		sock_leave(sock);
		n = REAL(poll)(&entry, 1, timeout_ms);
		sock_come_out(token);
		if (n <= 0)
			return n ? -errno : -EAGAIN;
		sock = sock_enter(fd);
		if (sock && sock->state == SOCK_WAITING)
			limit_settle(sock);
	}
	*locked = sock;
	return 0;
}

bool limit_enter_in_turn(int fd, int option, struct sock **entered)
{
	struct sock *sock = sock_enter(fd);
	int error = sock && sock->state == SOCK_WAITING ? limit_await(&sock, fd, true, option) : 0;

	*entered = error ? NULL : sock;
	if (error)
		errno = -error;
	return error == 0;
}
