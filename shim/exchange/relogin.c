/* See relogin.h. */
#include "shim/exchange/relogin.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "shim/base/clock.h"
#include "shim/base/real.h"
#include "shim/connect/redial.h"
#include "shim/exchange/iocall.h"
#include "shim/exchange/relogin_private.h"
#include "shim/exchange/transport.h"
#include "shim/sock/sock.h"

/* The socket is as any other one. */
void relogin_detach(struct relogin *relogin)
{
	struct block block = relogin->block;

	relogin->sock->transport = NULL;
	explicit_bzero(relogin, sizeof(*relogin));
	blocks_put(&block);
}

static void end(struct transport *transport)
{
	relogin_detach((struct relogin *)transport);
}

static bool is_needed(const struct transport *transport)
{
	(void)transport;
	return true;
}

static void count(const struct transport *transport, struct ledger *ledger)
{
	(void)transport; /* it is kept up to date */
	(void)ledger;
}

static enum refusal why_not_parked(const struct transport *transport)
{
	(void)transport;
	return REFUSAL_UNFINISHED_REPLY;
}

static void park(struct transport *transport, struct conn *conn)
{
	(void)transport;
	(void)conn;
}

/* A fresh connection has taken the place of the kept one. */
static void adopt(struct transport *transport)
{
	struct relogin *relogin = (struct relogin *)transport;

	if (!relogin->has_greeted && !relogin_n_unread(relogin)) {
		protocol_begin(&relogin->sock->protocol, false);
		relogin_detach(relogin);
		return;
	}
	relogin->is_fresh = relogin->has_woken = true;
	relogin->n_held = relogin->n_kernel = 0;
	relogin->is_behind = relogin->is_ahead = false;
	relogin->next = RELOGIN_FRESH;
	if (!relogin_n_unread(relogin))
		relogin->phase = RELOGIN_FRESH;
}

static int unread(const struct sock *sock)
{
	struct relogin *relogin = relogin_of(sock);
	int before = 0;

	/* As the kernel has told, before the look takes something out. */
	if (real.ioctl(sock->fds[0], FIONREAD, &before) < 0)
		return 0;
	return (relogin_look(relogin, sock->fds[0]) == RELOGIN_SHOWN ? (int)relogin_n_unread(relogin) : 0) - before;
}

static bool offers(struct sock *sock)
{
	struct relogin *relogin = relogin_of(sock);

	return relogin_n_unread(relogin) || relogin_show_ahead(relogin);
}

static bool is_none_for_program(struct sock *sock)
{
	return relogin_look(relogin_of(sock), sock->fds[0]) == RELOGIN_WAIT;
}

/* Locked. The connection can't be had, or is not what the program was told: it ends. */
void relogin_give_up(struct sock *sock, int fd)
{
	struct relogin *relogin = relogin_of(sock);
	const struct login *login = sock->conn ? sock->conn->login : NULL;

	if (login)
		real.send(fd, login->goodbye, login->goodbye_length, MSG_DONTWAIT | MSG_NOSIGNAL);
	real.shutdown(fd, SHUT_RDWR);
	relogin_detach(relogin);
	sock_untrack(sock, REFUSAL_ERROR);
}

/* So many wrong answers to fences in a row. */
#define FAILURES_MAX 3
/* For so long a program may be held that has asked for no such dial. */
#define LONGEST_DIAL_MS 10000

/* A server that does not take what is done here, or a place in the program whose logins are of several kinds, is left
 * alone in the end. */
static void note_failure(const struct sock *sock)
{
	const struct relogin *relogin = relogin_of(sock);
	struct idle_pool *pool = pool_enter(guard_now_ns());

	if (!pool)
		return;
	if (sock->conn && relogin->was_wrong && ++sock->conn->destination->n_fences_failed >= FAILURES_MAX)
		sock->conn->destination->lacks_reset = true;
	if (sock->conn && relogin->phase == RELOGIN_RESPONSE && relogin->n_response)
		login_habits_forbid(&sock->conn->destination->logins, sock->caller);
	pool_leave();
}

int relogin_begin_anew(struct sock *sock, int fd)
{
	struct relogin *relogin = relogin_of(sock);
	bool can = relogin_can_begin_anew(relogin) || (!relogin->has_greeted && !relogin->is_fresh);
	int error = -ECONNRESET;

	/* The program itself has ended it: it reads what is natively there. */
	if (sock->unfit == REFUSAL_CLIENT_CLOSE) {
		relogin_detach(relogin);
		return 0;
	}
	can = can && sock->state == SOCK_OPEN && sock->conn;
	note_failure(sock);

	sock->missed = relogin->phase == RELOGIN_FENCE || relogin->is_behind ? MISSED_FENCE_FAILED : MISSED_OTHER_LOGIN;
	if (can)
		error = redial(sock, REDIAL_FOR_UNFIT, LONGEST_DIAL_MS);
	if (error && sock->state != SOCK_FREE && relogin_of(sock))
		relogin_give_up(sock, fd);
	return error == -EBADF ? -ECONNRESET : error;
}

static ssize_t look_through(const struct transport *transport, const struct transfer *transfer, struct iovec *vector,
			    size_t n, int more_flags)
{
	return transport_tcp.recv(transport, transfer, vector, n, more_flags);
}

static bool is_quiet(const struct transport *transport, int fd)
{
	return transport_tcp.is_quiet(transport, fd);
}

static const struct transport hooks = {
	.recv = look_through,
	.is_quiet = is_quiet,
	.send_outer = relogin_send,
	.receive_outer = relogin_receive,
	.count = count,
	.why_not_parked = why_not_parked,
	.park = park,
	.is_needed = is_needed,
	.adopt = adopt,
	.end = end,
	.unread = unread,
	.offers = offers,
	.is_none_for_program = is_none_for_program,
};

struct relogin *relogin_of(const struct sock *sock)
{
	return sock->transport && sock->transport->send_outer == relogin_send ? (struct relogin *)sock->transport
									      : NULL;
}

bool relogin_begin(struct sock *sock, struct conn *conn)
{
	struct block block = {0};
	struct relogin *relogin;

	if (!blocks_grow(&block, 0, sizeof(*relogin)))
		return false;
	relogin = (struct relogin *)block.bytes;
	memset(relogin, 0, sizeof(*relogin));
	relogin->transport = hooks;
	relogin->block = block;
	relogin->sock = sock;
	relogin->fence = conn->fence;
	conn->fence = (struct fence){0};
	if (!mysql_read_greeting(conn->login->greeting, conn->login->greeting_length, &relogin->greeting)) {
		blocks_put(&block);
		return false;
	}
	sock->transport = &relogin->transport;
	protocol_begin_as(&sock->protocol, PROTOCOL_MYSQL);
	return true;
}

bool relogin_is_ready(const struct conn *conn)
{
	uint8_t bytes[RELOGIN_PACKET_MAX];
	ssize_t n = real.recv(conn->fd, bytes, sizeof(bytes), MSG_PEEK | MSG_DONTWAIT);
	size_t whole;

	return n > 0 && mysql_read_answer(&conn->fence, bytes, (size_t)n, &whole) == MYSQL_ANSWER_GOOD &&
	       whole == (size_t)n;
}
