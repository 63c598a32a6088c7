/* See limit.h. */
#include "shim/connect/limit.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>

#include "pool/base/clock.h"
#include "pool/share/client.h"
#include "shim/base/clock.h"
#include "shim/base/cookie.h"
#include "shim/kept/broker_link.h"
#include "shim/connect/lease.h"
#include "shim/sock/options.h"
#include "shim/base/real.h"
#include "shim/sock/sock.h"
#include "shim/sock/swap.h"

/* For the broker's first word. More than a lease has, since who goes on without makes one connection too many; most
 * for who may wait long for the second. */
#define PATIENCE_MS 500
#define BLOCKING_PATIENCE_MS 3000

_Atomic(bool) limit_has_placed;

static bool is_own_thread(const struct sock *sock)
{
	return sock->thread == (unsigned long)pthread_self();
}

/* A thread waits in one connect() only: another ticket of it was left by a signal handler's longjmp, and waits in
 * vain. */
static void drop_abandoned(void)
{
	for (int fd = 0, end = fdtable_end(); fd < end; fd++) {
		struct sock *sock = fdtable_get(fd) ? sock_enter(fd) : NULL;

		if (!sock)
			continue;
		if (sock->state == SOCK_NEW && is_own_thread(sock) && sock->ticket.conn)
			ticket_give_back(&sock->ticket);
		sock_leave(sock);
	}
}

/* A counted connection, visited once, at its first descriptor. Locked. */
static bool is_counted(const struct sock *sock, int fd, const struct destination_key *key)
{
	bool has_leave = sock->state == SOCK_OPEN || sock->ticket.fd >= 0;

	return has_leave && sock->fds[0] == fd && destination_key_equal(&sock->key, key);
}

/* True if the calling thread has all connections that there may be: it would wait for itself, if it blocks. */
static bool has_them_all(const struct destination_key *key, uint32_t max_conns)
{
	uint32_t n = 0;

	for (int fd = 0, end = fdtable_end(); fd < end && n < max_conns; fd++) {
		struct sock *sock = fdtable_get(fd) ? sock_enter(fd) : NULL;

		if (!sock)
			continue;
		if (is_own_thread(sock) && is_counted(sock, fd, key))
			n++;
		sock_leave(sock);
	}
	return n >= max_conns;
}

/* The answer has come: says how the connect goes on. Locked. */
static enum limit_result conclude(struct sock *sock, struct ticket_answer answer)
{
	struct conn *conn = ticket_conclude(&sock->ticket, answer);
	bool is_leased;

	if (answer.kind == BROKER_LEAVE)
		return LIMIT_DIAL;
	/* A connection that is given is counted where it is held; one that is no good any more is not. */
	is_leased = conn && lease_install(sock, conn);
	ticket_give_back(&sock->ticket);
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
		ticket_give_back(&sock->ticket);
		return LIMIT_DIAL;
	}
	sock_set_state(sock, SOCK_WAITING);
	limit_has_placed = true;
	/* The broker's end is not to be taken for the server's. */
	sock_enter_window(sock);
	log_event("wait", sock, NULL);
	/* Its turn may have come while the buffer was being filled: then nobody empties it any more. */
	limit_check_turn(sock);
	return LIMIT_PLACED;
}

/* The socket whose connect() this is; NULL: the descriptor is another's by now. */
static struct sock *enter_again(int fd)
{
	struct sock *sock = sock_enter(fd);

	if (sock && sock->state != SOCK_NEW) {
		sock_leave(sock);
		sock = NULL;
	}
	return sock;
}

/* The ticket is in the queue. The socket is unlocked while a blocking program waits, and *locked is NULL if it has
 * ended meanwhile. Enum limit_result or -errno. */
static int queue(int fd, uint64_t timeout_ns, struct sock **locked)
{
	struct sock *sock = *locked;
	struct ticket ticket = sock->ticket;
	struct ticket_answer answer;

	if (sock->status_flags & O_NONBLOCK)
		return place(sock);
	log_event("wait", sock, NULL);
	sock_leave(sock);
	answer = ticket_await_turn(&ticket, timeout_ns);
	*locked = sock = enter_again(fd);
	if (!sock) {
		ticket_refuse(answer);
		return -EBADF;
	}
	sock->ticket.number = ticket.number;
	/* It goes on in the background, as a connect() does. */
	if (answer.kind == -EINTR && place(sock) == LIMIT_PLACED)
		return -EINTR;
	if (answer.kind != -ETIMEDOUT)
		return conclude(sock, answer);
	ticket_give_back(&sock->ticket);
	return -ETIMEDOUT;
}

/* How many connections there may be; 0: this one needs no leave. Locked. */
static uint32_t limit_of(struct sock *sock)
{
	/* A handler left an earlier attempt while that waited. */
	if (sock->ticket.conn)
		ticket_give_back(&sock->ticket);
	/* It may have leave from an earlier attempt. */
	return sock->ticket.fd >= 0 ? 0 : sock->policy->max_conns_per_host;
}

/* Asks for leave, and waits for the broker's first answer. False: nothing is counted. */
static bool ask(const struct destination_key *key, uint32_t max_conns, bool blocks, struct ticket *ticket,
		struct ticket_answer *answer)
{
	int patience_ms = blocks ? BLOCKING_PATIENCE_MS : PATIENCE_MS;
	bool is_forced = false;

	if (blocks) {
		drop_abandoned();
		is_forced = has_them_all(key, max_conns);
	}
	if (!ticket_ask(ticket, key, max_conns, is_forced, patience_ms))
		return false;
	*answer = ticket_await(ticket, patience_ms);
	if (answer->kind == -ETIMEDOUT)
		broker_link_mark_down();
	return true;
}

int limit_enter(int fd, const struct destination_key *key, uint64_t timeout_ns, struct sock **locked)
{
	struct sock *sock = enter_again(fd);
	struct ticket_answer answer;
	struct ticket ticket;
	uint32_t max_conns;
	bool blocks;
	int result;

	*locked = NULL;
	if (!sock)
		return -EBADF;
	sock->thread = (unsigned long)pthread_self();
	max_conns = limit_of(sock);
	blocks = !(sock->status_flags & O_NONBLOCK);
	sock_leave(sock);
	if (!max_conns || !ask(key, max_conns, blocks, &ticket, &answer))
		return LIMIT_DIAL;
	*locked = sock = enter_again(fd);
	if (!sock) {
		ticket_refuse(answer);
		ticket_give_back(&ticket);
		return -EBADF;
	}
	/* The ticket belongs to the socket from here on, and ends with it. */
	sock->ticket = ticket;
	if (answer.kind == BROKER_QUEUED)
		result = queue(fd, timeout_ns, locked);
	else
		result = conclude(sock, answer);
	if (*locked && result != LIMIT_LEASED && result != LIMIT_PLACED) {
		sock_leave(*locked);
		*locked = NULL;
	}
	return result;
}

void limit_force(struct sock *sock)
{
	struct ticket_answer answer;

	if (!sock->policy->max_conns_per_host || sock->ticket.fd >= 0 ||
	    !ticket_ask(&sock->ticket, &sock->key, sock->policy->max_conns_per_host, true, PATIENCE_MS))
		return;
	answer = ticket_await(&sock->ticket, PATIENCE_MS);
	if (answer.kind == BROKER_LEAVE)
		ticket_conclude(&sock->ticket, answer);
	else
		ticket_give_back(&sock->ticket);
}

static void dial_now(struct sock *sock)
{
	sock_leave_window(sock);
	if (lease_dial_in_place(sock))
		return;
	/* To the program, a connection that has broken at once. */
	ticket_give_back(&sock->ticket);
	sock_set_state(sock, SOCK_ENDED);
	sock_mark_unfit(sock, REFUSAL_ERROR);
}

void limit_check_turn(struct sock *sock)
{
	int saved = errno;
	struct ticket_answer answer = ticket_read(&sock->ticket);

	if (answer.kind != -EAGAIN && answer.kind != BROKER_QUEUED) {
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

	limit_check_turn(sock);
	if (sock->state == SOCK_WAITING) {
		place = sock->ticket;
		sock->ticket = (struct ticket){.fd = -1};
		limit_force(sock);
		sock->reports_connected = true;
		dial_now(sock);
		/* Not before: other threads may be polling it. */
		ticket_give_back(&place);
	}
	errno = saved;
}

int limit_await(struct sock **locked, int fd, bool may_block, int option)
{
	struct pollfd entry = {.fd = fd, .events = POLLIN};
	struct sock *sock = *locked;
	struct deadline deadline = deadline_after(guard_clock_ns(), options_timeout_ns(sock, option));

	limit_check_turn(sock);
	while (sock && sock->state == SOCK_WAITING) {
		int n;
		bool blocks = may_block && !(sock->status_flags & O_NONBLOCK);
		struct inside_token token;

		if (!blocks) {
			sock_leave(sock);
			return -EAGAIN;
		}
		token = sock_go_inside(sock);
		sock_leave(sock);
		n = REAL(poll)(&entry, 1, deadline_left_ms(deadline, guard_clock_ns()));
		sock_come_out(token);
		if (n <= 0)
			return n ? -errno : -EAGAIN;
		sock = sock_enter(fd);
		if (sock && sock->state == SOCK_WAITING)
			limit_check_turn(sock);
	}
	*locked = sock;
	return 0;
}
