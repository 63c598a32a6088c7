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
#include <sys/single_threaded.h>
#include <time.h>

#include "pool/learn.h"
#include "shim/exchange.h"
#include "shim/finish.h"
#include "shim/pass.h"
#include "shim/patience.h"
#include "shim/real.h"
#include "shim/sending.h"
#include "shim/sock.h"
#include "shim/transfer.h"
#include "shim/whole.h"

/* A server that had just given up on an idle connection may say so instead of closing silently (RFC 9110 15.5.9). What is in a
 * pipe can't be taken back. */
static bool is_request_timeout(const struct transfer *transfer, size_t received)
{
	static const char status[] = "HTTP/1.x 408";
	size_t n;
	const struct iovec *iov = transfer_vector(transfer, &n);
	const char *bytes = n ? iov[0].iov_base : NULL;

	return bytes && transfer->kind != TRANSFER_SPLICE && received >= sizeof(status) - 1 &&
	       iov[0].iov_len >= sizeof(status) - 1 && memcmp(bytes, status, 7) == 0 &&
	       memcmp(bytes + 8, status + 8, 4) == 0;
}

static void feed(struct framing *framing, char *bytes, size_t length)
{
	struct framing_plan plan = {0};

	framing_memo_feed_response(&exchange_memo, framing, bytes, length, &plan);
	exchange_put_back_close(bytes, &plan);
}

/* Where the program spreads an answer over several buffers, what is put back may lie across two of them. */
static bool feed_as_one(struct framing *framing, const struct transfer *transfer, size_t received)
{
	struct outgoing whole = {0};
	size_t n, at = 0;
	const struct iovec *iov = transfer_vector(transfer, &n);

	if (!outgoing_reserve(&whole, received))
		return false;
	sending_copy_out(transfer, 0, whole.bytes, received);
	feed(framing, whole.bytes, received);
	for (size_t i = 0; i < n && at < received; i++) {
		size_t part = iov[i].iov_len < received - at ? iov[i].iov_len : received - at;

		memcpy(iov[i].iov_base, whole.bytes + at, part);
		at += part;
	}
	outgoing_free(&whole, false);
	return true;
}

static void feed_received(struct framing *framing, const struct transfer *transfer, size_t received)
{
	size_t n;
	const struct iovec *iov = transfer_vector(transfer, &n);

	if (n > 1 && received > iov[0].iov_len && framing->edited && feed_as_one(framing, transfer, received))
		return;
	for (size_t i = 0; i < n && received; i++) {
		size_t part = iov[i].iov_len < received ? iov[i].iov_len : received;

		feed(framing, iov[i].iov_base, part);
		received -= part;
	}
}

/* What is only looked at is shown as it will be read. */
static void show_peeked(const struct sock *sock, const struct transfer *transfer, size_t received)
{
	struct framing framing = sock->framing;

	if (framing.edited && !framing.response_ended)
		feed_received(&framing, transfer, received);
}

/* A fresh connection acknowledges the first pieces of an answer at once; an old one would let a server that writes in
 * pieces wait 40 ms for it (tcp(7), TCP_QUICKACK). Where the answer has come whole, our next request acknowledges it. */
static void acknowledge_piece(const struct sock *sock, int fd)
{
	static const int on = 1;

	if (sock->is_leased && sock->framing.response.in_message)
		real.setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
}

static void first_byte_came(struct sock *sock)
{
	struct idle_pool *pool;
	uint64_t now_ns;

	if (sock->outgoing.is_complete)
		outgoing_free(&sock->outgoing, false);
	if (!sock->in_window)
		return;
	sock_leave_window(sock);
	now_ns = guard_now_ns();
	if (!sock->conn || !(pool = pool_enter(now_ns)))
		return;
	learn_survived(sock->conn->destination, now_ns - sock->conn->idle_since_ns);
	pool_leave();
}

/* The bytes have left the kernel: what they mean for the exchange. Consumes the lock. */
static void account(struct sock *sock, const struct transfer *transfer, size_t received)
{
	if (sock->conn)
		sock->conn->ledger.received += received;
	first_byte_came(sock);
	sock->n_fed++;
	feed_received(&sock->framing, transfer, received);
	acknowledge_piece(sock, transfer->fd);
	exchange_settle(sock);
}

/* The connection's own end: nothing is left for us to do on it. Consumes the lock. */
static void native_end(struct sock *sock, ssize_t result)
{
	if (sock->state == SOCK_FREE) {
		sock_leave(sock);
		return;
	}
	if (result == 0)
		framing_feed_response_end(&sock->framing);
	if (sock->is_lost) {
		finish_lost(sock);
		sock_leave(sock);
		return;
	}
	if (sock->policy->mode == CONFIG_MODE_OBSERVE && result == 0) {
		finish_observed(sock, true);
		sock_release(sock, REFUSAL_NONE);
		return;
	}
	sock_release(sock, result == 0 ? finish_refusal_at_end(&sock->framing) : REFUSAL_ERROR);
}

static void end_visit(void *argument)
{
	struct inside_token *token = argument;

	if (sock_come_out(*token))
		atomic_fetch_sub(&token->sock->n_receivers, 1);
}

static ssize_t receive_in_time(struct transfer *transfer, uint64_t left_ns)
{
	return left_ns == PATIENCE_ENDLESS || patience_wait(transfer->fd, left_ns) ? transfer_native(transfer) : -1;
}

/* Through a call that may block, in which the thread may be cancelled. Whoever is alone can only cancel itself, which ends the
 * process. */
static ssize_t visit_kernel(struct transfer *transfer, struct inside_token *token, uint64_t left_ns)
{
	ssize_t result;
	int saved;

	if (__libc_single_threaded) {
		result = receive_in_time(transfer, left_ns);
		saved = errno;
		end_visit(token);
	} else {
		pthread_cleanup_push(end_visit, token);
		result = receive_in_time(transfer, left_ns);
		saved = errno;
		pthread_cleanup_pop(true);
	}
	errno = saved;
	return result;
}

/* An answer may be here before the thread that sent the request has accounted for it; it is about to. */
static void wait_for_senders(struct inside_token token)
{
	for (int i = 0; i < 100 && atomic_load(&token.sock->n_senders); i++)
		libc.sched_yield();
}

static bool is_pipes(const struct transfer *transfer)
{
	return transfer->kind == TRANSFER_SPLICE && *transfer->pipe_refused;
}

/* What the call brought, with the lock, which this consumes. True: a fresh connection is in place, try again. */
static bool conclude(struct sock *sock, const struct transfer *transfer, ssize_t result, int error)
{
	bool is_peek = transfer->flags & MSG_PEEK;
	bool is_hang_up = !is_pipes(transfer) && exchange_is_hang_up(result, error);
	bool again = false;

	if (sock->state == SOCK_OPEN && result > 0 && is_peek)
		show_peeked(sock, transfer, (size_t)result);
	if (sock->state != SOCK_OPEN || (result > 0 && is_peek) || (result <= 0 && !is_hang_up))
		sock_leave(sock);
	else if (result > 0 && !(sock->in_window && is_request_timeout(transfer, (size_t)result) &&
				 (again = exchange_recover_from_timeout(sock))))
		account(sock, transfer, (size_t)result);
	else if (again || exchange_recover(sock, -1) == 0)
		again = (sock_leave(sock), true);
	else if (is_peek)
		sock_leave(sock);
	else
		native_end(sock, result);
	return again;
}

/* The end that was met may be the old connection's, which another thread is replacing or has replaced. Consumes the lock
 * if true; `*result` is to be returned, or tried again for if it is 0. */
static bool was_replaced(struct sock *sock, unsigned n_swaps, ssize_t *result, int *error)
{
	if (!exchange_is_hang_up(*result, *error) || (!sock_is_being_replaced(sock) && sock->n_swaps == n_swaps))
		return false;
	*result = 0;
	if (sock->status_flags & O_NONBLOCK) {
		*result = -1;
		*error = EAGAIN;
	}
	sock_leave(sock);
	if (!*result)
		libc.nanosleep(&(struct timespec){0, 1000000}, NULL);
	return true;
}

/* One receive as the program asked for it. True: to be tried again. Consumes the lock. */
static bool attempt(struct sock *sock, struct transfer *transfer, ssize_t *result)
{
	struct inside_token token = sock_go_inside(sock);
	uint64_t left_ns = patience_left(sock, transfer);
	unsigned n_swaps = sock->n_swaps;
	bool again = false;
	int saved;

	if (sock->n_receivers++ && !(transfer->flags & MSG_PEEK))
		atomic_store(&sock->wants_release, true);
	sock_leave(sock);
	*result = visit_kernel(transfer, &token, left_ns);
	saved = errno;
	wait_for_senders(token);
	sock = exchange_return(token, transfer->fd);
	if (sock && !is_pipes(transfer) && was_replaced(sock, n_swaps, result, &saved))
		again = *result == 0;
	else if (sock)
		again = conclude(sock, transfer, *result, saved);
	errno = saved;
	return again;
}

ssize_t exchange_receive_once(struct transfer *transfer)
{
	ssize_t result;
	struct sock *sock;

	do {
		sock = sock_enter(transfer->fd);
		if (!sock || sock->state != SOCK_OPEN) {
			if (sock)
				sock_leave(sock);
			return transfer_native(transfer);
		}
	} while (attempt(sock, transfer, &result));
	return result;
}

ssize_t exchange_receive(struct transfer *transfer)
{
	size_t length = transfer_is_readable(transfer) ? transfer_length(transfer) : 0;
	struct sock *sock;

	pthread_testcancel();
	sock = sock_enter_as_it_is(transfer->fd);
	if (!sock)
		return transfer_native(transfer);
	if (sock->state == SOCK_ENDING && (!length || (transfer->flags & (MSG_OOB | MSG_ERRQUEUE))))
		finish_settle(sock);
	if (sock->state == SOCK_WAITING) {
		int error = limit_await(&sock, transfer->fd, !(transfer->flags & MSG_DONTWAIT), SOCKET_OPTION_RCVTIMEO);

		if (error || !sock)
			return error ? errno = -error, -1 : transfer_native(transfer);
	}
	if (sock->state == SOCK_STUB && (transfer->flags & (MSG_OOB | MSG_ERRQUEUE))) {
		sock_leave(sock);
		errno = transfer->flags & MSG_OOB ? EINVAL : EAGAIN;
		return -1;
	}
	if ((sock->state == SOCK_STUB || sock->state == SOCK_ENDING) && !atomic_load(&sock->is_shared) &&
	    transfer->kind <= TRANSFER_RECV && length) {
		/* What the stub itself would say. (A shared one may hold an answer that was read ahead.) */
		sock->end_was_read = true;
		sock_leave(sock);
		return 0;
	}
	if (sock->state == SOCK_OPEN && whole_is_beyond_us(sock, transfer)) {
		pass_make_honest(sock);
		sock_release(sock, REFUSAL_SOCKOPT);
		return transfer_native(transfer);
	}
	/* Neither takes anything from the stream. */
	if (!length || (transfer->flags & (MSG_OOB | MSG_ERRQUEUE))) {
		sock_leave(sock);
		return transfer_native(transfer);
	}
	if ((sock->state == SOCK_OPEN || sock->state == SOCK_STUB) && whole_is_asked(transfer))
		return whole_receive(sock, transfer, length);
	sock_leave(sock);
	return exchange_receive_once(transfer);
}
