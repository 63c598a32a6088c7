/*
 * Receiving on a tracked connection: the answer is framed as it passes, and at its end the program gets the end of file
 * that the server would have made. A kept connection that dies before the first byte is replaced on the way.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "pool/base/clock.h"
#include "pool/conn/idle_timeout.h"
#include "pool/exchange/plan.h"
#include "pool/exchange/verdict.h"
#include "shim/base/alone.h"
#include "shim/base/clock.h"
#include "shim/base/lock.h"
#include "shim/base/real.h"
#include "shim/base/stats_page.h"
#include "shim/connect/limit.h"
#include "shim/exchange/advance.h"
#include "shim/exchange/enter.h"
#include "shim/exchange/handoff.h"
#include "shim/exchange/incoming.h"
#include "shim/exchange/iocall.h"
#include "shim/exchange/park.h"
#include "shim/exchange/receive_all.h"
#include "shim/exchange/receive_behind.h"
#include "shim/exchange/response_timeout.h"
#include "shim/exchange/stateful.h"
#include "shim/exchange/transport.h"
#include "shim/kept/broker_link.h"
#include "shim/sock/options.h"
#include "shim/sock/sock.h"

/* A server that had just given up on an idle connection may say so instead of closing silently. Bytes in a pipe
 * can't be taken back. */
static bool is_late_goodbye(const struct sock *sock, const struct transfer *transfer, const struct incoming *incoming,
			    size_t received)
{
	return sock->in_window && incoming->bytes && transfer->kind != TRANSFER_SPLICE &&
	       protocol_is_late_goodbye(&sock->protocol, incoming->bytes, received);
}

/* Feeds the received bytes to the framing, and hands them to the program with every edit undone. */
static void feed_received(struct protocol_state *state, const struct incoming *incoming, size_t received)
{
	struct framing_plan plan = {0};

	if (incoming->bytes) {
		protocol_feed_response(state, exchange_memo(), incoming->bytes, received, &plan);
		plan_show_end(&plan, protocol_of(state), incoming->bytes);
	} else {
		protocol_pass_response(state, received);
	}
	incoming_deliver(incoming, received, &plan);
}

/* A peek shows the bytes as they will be read. */
static void show_peeked(const struct sock *sock, const struct incoming *incoming, size_t received)
{
	struct protocol_state scratch = sock->protocol;

	feed_received(&scratch, incoming, received);
}

/* A fresh connection acknowledges the first pieces of an answer at once; an old one, or one with a handshake on it,
 * would let a server that writes in pieces wait 40 ms for it (tcp(7), TCP_QUICKACK). Where the answer has come whole,
 * our next request acknowledges it. */
static void acknowledge_piece(const struct sock *sock, int fd)
{
	static const int on = 1;

	if ((sock->is_leased || sock->transport) && protocol_status(&sock->protocol).in_answer)
		real.setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
}

static void note_survival(struct sock *sock)
{
	struct idle_pool *pool;
	uint64_t now_ns = guard_now_ns();

	if (!sock->conn || !(pool = pool_enter(now_ns)))
		return;
	bypass_note_reuse(&sock->conn->destination->bypass);
	idle_timeout_survived(sock->conn->destination, now_ns - sock->conn->idle_since_ns);
	pool_leave();
}

/* Other requests have been sent behind the one whose answer comes now: what was sent may still be needed for them. */
static bool has_more_behind(const struct sock *sock)
{
	return sock->in_window && sock->replay.is_complete && protocol_status(&sock->protocol).n_awaited > 1;
}

/* Bytes of an answer are about to be framed. */
static void begin_hearing(struct sock *sock)
{
	bool was_silent = sock->in_window && !sock->was_heard;

	if (__builtin_expect(has_more_behind(sock), 0)) {
		if (was_silent)
			sock_hear_in_window(sock);
	} else {
		if (sock->replay.is_complete)
			sock_drop_replay(&sock->replay);
		sock_leave_window(sock);
	}
	if (was_silent)
		note_survival(sock);
}

/* They have been: nothing is left for a replay but what is behind an answer that has begun. */
static void end_hearing(struct sock *sock)
{
	struct protocol_status status = protocol_status(&sock->protocol);

	if (sock->in_window && status.n_awaited <= status.answer_started)
		sock_leave_window(sock);
}

/* It filled what was asked for: there may be more. */
static bool was_filled(const struct transfer *transfer, const struct incoming *incoming, size_t received)
{
	return transfer->kind != TRANSFER_SPLICE && incoming->way != INCOMING_LOOKED && received == incoming->room;
}

/* The bytes have left the kernel: what they mean for the exchange. Locked. */
static void account(struct sock *sock, const struct transfer *transfer, const struct incoming *incoming,
		    size_t received)
{
	if (sock->conn)
		sock->conn->ledger.received += received;
	if (__builtin_expect(!sock->has_sent, 0))
		stateful_hear_first(sock, incoming->bytes, received);
	begin_hearing(sock);
	sock->n_fed++;
	sock->may_have_more = was_filled(transfer, incoming, received);
	feed_received(&sock->protocol, incoming, received);
	end_hearing(sock);
	acknowledge_piece(sock, transfer->fd);
	exchange_advance(sock);
}

/* The connection's own end: nothing is left for us to do on it. Locked. */
static void native_end(struct sock *sock, ssize_t result)
{
	if (sock->state == SOCK_FREE)
		return;
	if (result == 0)
		protocol_feed_end(&sock->protocol);
	if (sock->is_lost) {
		finish_lost(sock);
	} else if (sock->policy->mode == CONFIG_MODE_OBSERVE && result == 0) {
		finish_observed(sock, true);
		sock_untrack(sock, REFUSAL_NONE);
	} else {
		sock_untrack(sock, result == 0 ? verdict_at_server_end(&sock->protocol) : REFUSAL_ERROR);
	}
}

/* A thread on its way through a call that may block. */
struct visit {
	struct inside_token token;
	const struct transfer *transfer;
	struct incoming incoming;
	uint64_t left_ns; /* to wait */
};

static void end_visit(void *argument)
{
	struct visit *visit = argument;

	if (sock_come_out(visit->token))
		atomic_fetch_sub(&visit->token.sock->n_receivers, 1);
}

static void abandon_visit(void *argument)
{
	struct visit *visit = argument;

	end_visit(visit);
	incoming_end(&visit->incoming);
}

static ssize_t receive_in_time(struct visit *visit)
{
	if (visit->left_ns != RESPONSE_TIMEOUT_ENDLESS && !response_timeout_wait(visit->transfer->fd, visit->left_ns))
		return -1;
	return incoming_receive(&visit->incoming, visit->transfer);
}

/* The thread may be cancelled in it. Whoever is alone can only cancel itself, which ends the process. */
static ssize_t visit_kernel(struct visit *visit)
{
	ssize_t result;
	int saved;

	if (is_known_alone()) {
		result = receive_in_time(visit);
	} else {
		pthread_cleanup_push(abandon_visit, visit);
		result = receive_in_time(visit);
		pthread_cleanup_pop(false);
	}
	saved = errno;
	end_visit(visit);
	errno = saved;
	return result;
}

/* Some two milliseconds. */
#define SENDERS_STEPS 202

/* An answer may be here before the thread that sent the request has accounted for it; it is about to. */
static void wait_for_senders(struct inside_token token)
{
	struct sock *sock = token.sock;
	unsigned n_senders, step = 0;

	while ((n_senders = atomic_load(&sock->n_senders)) && !atomic_load(&sock->sends_for_long) &&
	       step < SENDERS_STEPS)
		guard_wait_for(&sock->n_senders, n_senders, step++);
	if (n_senders)
		atomic_store(&sock->sends_for_long, true);
}

static bool is_pipes(const struct transfer *transfer)
{
	return transfer->kind == TRANSFER_SPLICE && *transfer->pipe_refused;
}

/* Handles the result of the call. True: a fresh connection is in place, try again. Locked. */
static bool conclude(struct sock *sock, const struct transfer *transfer, const struct incoming *incoming,
		     ssize_t result, int error)
{
	bool is_peek = transfer->flags & MSG_PEEK;
	bool is_hang_up = !is_pipes(transfer) && exchange_is_hang_up(result, error);

	if (result > 0 && is_peek) {
		show_peeked(sock, incoming, (size_t)result);
	} else if (result > 0) {
		if (is_late_goodbye(sock, transfer, incoming, (size_t)result) && exchange_recover_from_timeout(sock))
			return true;
		account(sock, transfer, incoming, (size_t)result);
	} else if (is_hang_up) {
		if (exchange_recover(sock, -1) == 0)
			return true;
		if (!is_peek)
			native_end(sock, result);
	}
	return false;
}

/* The end that was met may be the old connection's, which another thread is replacing or has replaced: then
 * `*result` is to be returned, or tried again for a little later if it is 0. Locked. */
static bool was_replaced(struct sock *sock, unsigned n_swaps, ssize_t *result, int *error)
{
	if (!exchange_is_hang_up(*result, *error) || (!sock_is_being_replaced(sock) && sock->n_swaps == n_swaps))
		return false;
	*result = 0;
	if (sock->status_flags & O_NONBLOCK) {
		*result = -1;
		*error = EAGAIN;
	}
	return true;
}

/* Another thread has taken the peeked bytes before the program had them: a blocking receive waits on. */
static bool was_taken(const struct sock *sock, const struct visit *visit, ssize_t result, int error)
{
	return visit->incoming.way == INCOMING_LOOKED && result < 0 && error == EAGAIN && sock->state == SOCK_OPEN &&
	       !(sock->status_flags & O_NONBLOCK) && !(visit->transfer->flags & MSG_DONTWAIT) &&
	       !options_timeout_ns(sock, SOCKET_OPTION_RCVTIMEO);
}

static bool make_visit(struct visit *visit, unsigned n_swaps, ssize_t *result)
{
	const struct transfer *transfer = visit->transfer;
	struct sock *sock;
	bool again = false, waits = false;
	int before = errno, saved;

	*result = visit_kernel(visit);
	saved = errno;
	wait_for_senders(visit->token);
	sock = exchange_return(visit->token, transfer->fd);
	if (sock && !is_pipes(transfer) && was_replaced(sock, n_swaps, result, &saved))
		again = waits = *result == 0;
	else if (sock && was_taken(sock, visit, *result, saved))
		again = true;
	else if (sock && sock->state == SOCK_OPEN)
		again = conclude(sock, transfer, &visit->incoming, *result, saved);
	else if (*result > 0)
		incoming_deliver(&visit->incoming, (size_t)*result, NULL);
	if (sock)
		sock_leave(sock);
	if (waits)
		clock_nap(MILLISECOND_NS);
	incoming_end(&visit->incoming);
	errno = again ? before : saved;
	return again;
}

/* Not on the stack of every receive: small ones have no room for it. */
__attribute__((noinline)) static bool make_visit_with_room(struct visit *visit, unsigned n_swaps, ssize_t *result)
{
	char room[INCOMING_STACK];

	visit->incoming.bytes = room;
	return make_visit(visit, n_swaps, result);
}

/* One receive as the program asked for it, which unlocks. True: to be tried again. */
static bool attempt(struct sock *sock, struct transfer *transfer, ssize_t *result)
{
	struct visit visit = {
		.token = sock_go_inside(sock), .transfer = transfer, .left_ns = response_timeout_left(sock, transfer)};
	bool is_time_to_tell = sock->conn && sock->conn->n_untold && --sock->conn->n_untold == 0;
	unsigned n_swaps = sock->n_swaps;

	if (sock->n_receivers++ && !(transfer->flags & MSG_PEEK))
		atomic_store(&sock->wants_release, true);
	incoming_plan(&visit.incoming, sock, transfer);
	sock_leave(sock);
	/* While the server works. */
	if (__builtin_expect(is_time_to_tell, 0))
		broker_link_ring();
	return visit.incoming.wants_stack ? make_visit_with_room(&visit, n_swaps, result)
					  : make_visit(&visit, n_swaps, result);
}

/* Receives what has come. Takes the socket locked, or NULL, and leaves it unlocked. */
static ssize_t receive_from(struct sock *sock, struct transfer *transfer)
{
	ssize_t result;

	for (;;) {
		if (!sock)
			return transfer_native(transfer);
		if (sock->state != SOCK_OPEN) {
			sock_leave(sock);
			return transfer_native(transfer);
		}
		if (!attempt(sock, transfer, &result))
			return result;
		sock = exchange_enter(transfer->fd);
	}
}

ssize_t exchange_receive_once(struct transfer *transfer)
{
	return receive_from(exchange_enter(transfer->fd), transfer);
}

/* Takes nothing from the stream. */
static bool is_beside_stream(const struct transfer *transfer, size_t length)
{
	return !length || (transfer->flags & (MSG_OOB | MSG_ERRQUEUE));
}

static ssize_t receive_native(struct sock *sock, struct transfer *transfer)
{
	sock_leave(sock);
	return transfer_native(transfer);
}

static ssize_t receive_on_connection(struct sock *sock, struct transfer *transfer, size_t length)
{
	if (receive_all_is_beyond_us(sock, transfer)) {
		handoff_make_honest(sock);
		sock_untrack(sock, REFUSAL_SOCKOPT);
		return receive_native(sock, transfer);
	}
	if (is_beside_stream(transfer, length))
		return receive_native(sock, transfer);
	if (__builtin_expect(sock->awaits_fence, 0)) {
		ssize_t result;

		sock = receive_behind_fence(sock, transfer, &result);
		if (!sock || sock->state != SOCK_OPEN)
			return sock ? receive_native(sock, transfer) : result;
	}
	return receive_all_is_asked(transfer) ? receive_all(sock, transfer, length) : receive_from(sock, transfer);
}

/* The answer has ended: SOCK_ENDING or SOCK_STUB. */
static ssize_t receive_after_answer(struct sock *sock, struct transfer *transfer, size_t length)
{
	if (sock->state == SOCK_ENDING && is_beside_stream(transfer, length))
		finish_make_end_of_file(sock);
	if (sock->state == SOCK_STUB && (transfer->flags & (MSG_OOB | MSG_ERRQUEUE))) {
		sock_leave(sock);
		errno = transfer->flags & MSG_OOB ? EINVAL : EAGAIN;
		return -1;
	}
	if (is_beside_stream(transfer, length))
		return receive_native(sock, transfer);
	if (!atomic_load(&sock->is_shared) && !sock->stub_has_words && transfer->kind <= TRANSFER_RECV) {
		/* The same as the stub itself would say. (A shared one may hold an answer that was read ahead.) */
		sock->end_was_read = true;
		sock_leave(sock);
		return 0;
	}
	if (sock->state == SOCK_STUB && receive_all_is_asked(transfer))
		return receive_all(sock, transfer, length);
	if (sock->state == SOCK_ENDING)
		finish_make_end_of_file(sock);
	return receive_from(sock, transfer);
}

/* Takes the socket locked, or NULL, and leaves it unlocked. */
static ssize_t receive_on(struct sock *sock, struct transfer *transfer)
{
	size_t length = transfer_is_readable(transfer) ? transfer_length(transfer) : 0;
	int error = 0;

	if (sock && sock->state == SOCK_WAITING)
		error = limit_await(&sock, transfer->fd, !(transfer->flags & MSG_DONTWAIT), SOCKET_OPTION_RCVTIMEO);
	if (error) {
		errno = -error;
		return -1;
	}
	if (!sock)
		return transfer_native(transfer);
	switch (sock->state) {
	case SOCK_OPEN:
		return receive_on_connection(sock, transfer, length);
	case SOCK_ENDING:
	case SOCK_STUB:
		return receive_after_answer(sock, transfer, length);
	case SOCK_FREE:
	case SOCK_NEW:
	case SOCK_WAITING:
	case SOCK_ENDED:
	case SOCK_RELEASED:
		break;
	}
	return receive_native(sock, transfer);
}

ssize_t exchange_receive_inner(struct transfer *transfer)
{
	return receive_on(sock_enter(transfer->fd), transfer);
}

static ssize_t tell_number(const struct transfer *transfer)
{
	*sock_asks = transfer->fd;
	errno = EAGAIN;
	return -1;
}

ssize_t exchange_receive(struct transfer *transfer)
{
	struct transport *transport;
	struct sock *sock;

	if (__builtin_expect(sock_asks != NULL, 0))
		return tell_number(transfer);
	pthread_testcancel();
	stats_page_look();
	sock = sock_enter(transfer->fd);
	transport = sock ? sock->transport : NULL;
	if (__builtin_expect(!transport, 1))
		return receive_on(sock, transfer);
	return transport->receive_outer(sock, transfer);
}
