/* The program's own calls while its login is carried over; see relogin.h. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#include "pool/base/clock.h"
#include "shim/base/clock.h"
#include "shim/base/home.h"
#include "shim/base/real.h"
#include "shim/base/usermem.h"
#include "shim/connect/redial.h"
#include "shim/exchange/enter.h"
#include "shim/exchange/first_bytes.h"
#include "shim/exchange/iocall.h"
#include "shim/exchange/relogin_private.h"
#include "shim/exchange/send_plan.h"
#include "shim/kept/pool.h"
#include "shim/sock/sock.h"

/* The server has said yes, and the program knows. */
static void conclude(struct sock *sock)
{
	struct relogin *relogin = relogin_of(sock);
	struct idle_pool *pool = pool_enter(guard_now_ns());

	if (pool && sock->conn && !relogin->is_fresh) {
		if (!relogin->has_shown && relogin->was_asked)
			login_habits_note_user(&sock->conn->destination->logins, relogin->user);
		bypass_note_reuse(&sock->conn->destination->bypass);
		sock->conn->destination->n_fences_failed = 0;
	}
	if (pool)
		pool_leave();
	if (relogin->is_fresh)
		mysql_set_greeting(&sock->protocol, relogin->fresh_packet, relogin->n_fresh);
	relogin_detach(relogin);
	sock_leave_window(sock);
}

/* All that was shown has been read. */
static void go_on(struct sock *sock, int fd)
{
	struct relogin *relogin = relogin_of(sock);

	relogin_end_shown(relogin, fd);
	if (relogin->phase == RELOGIN_DONE)
		conclude(sock);
	else if (relogin->phase == RELOGIN_FAILED)
		relogin_give_up(sock, fd);
}

/* The kernel is not asked, since what it has are other bytes. */
static bool is_there(const struct sock *sock, const struct transfer *transfer)
{
	size_t n, left = relogin_n_unread(relogin_of(sock));
	const struct iovec *vector = transfer_vector(transfer, &n);

	for (size_t i = 0; i < n; i++) {
		size_t part = vector[i].iov_len < left ? vector[i].iov_len : left;

		if (part && !guard_readable(vector[i].iov_base, part))
			return false;
	}
	return true;
}

/* Into the buffers behind `done`, and to the framing. Returns how many bytes. */
static size_t deliver(struct sock *sock, const struct transfer *transfer, size_t done)
{
	struct relogin *relogin = relogin_of(sock);
	const uint8_t *shown = relogin->shown + relogin->shown_at;
	size_t n_vector, n = 0, left = relogin_n_unread(relogin);
	const struct iovec *vector = transfer_vector(transfer, &n_vector);

	for (size_t i = 0; i < n_vector && n < left; i++) {
		size_t skip = done < vector[i].iov_len ? done : vector[i].iov_len;
		size_t room = vector[i].iov_len - skip;
		size_t part = room < left - n ? room : left - n;

		memcpy((char *)vector[i].iov_base + skip, shown + n, part);
		done -= skip;
		n += part;
	}
	if (transfer->flags & MSG_PEEK)
		return n;
	protocol_feed_response(&sock->protocol, NULL, (const char *)shown, n, NULL);
	relogin->shown_at = (uint16_t)(relogin->shown_at + n);
	if (!relogin_n_unread(relogin))
		go_on(sock, transfer->fd);
	return n;
}

/* So long whoever was woken for nothing waits for what he was woken for. */
#define WOKEN_MS 10000

static bool wait_for_bytes(const struct transfer *transfer)
{
	struct pollfd entry = {.fd = transfer->fd, .events = POLLIN};
	char byte;
	int n;

	if (!(transfer->flags & MSG_DONTWAIT))
		return real.recv(transfer->fd, &byte, 1, MSG_PEEK) >= 0;
	n = REAL(poll)(&entry, 1, WOKEN_MS);
	if (n == 0)
		errno = EAGAIN;
	return n > 0;
}

/* Until something has come: consumes the lock. False: errno says why not. `*token`: of the socket. */
static bool wait(struct sock *sock, const struct transfer *transfer, bool is_pause, struct inside_token *token)
{
	bool has_come = is_pause;

	*token = sock_go_inside(sock);
	sock_leave(sock);
	if (is_pause)
		clock_nap(MILLISECOND_NS);
	else
		has_come = wait_for_bytes(transfer);
	sock_come_out(*token);
	return has_come;
}

/* A program that reads without waiting from a socket that blocks has been told that there is something to read, and
 * may take it for the end if there is nothing (mysqlnd). */
static bool may_wait(const struct sock *sock, const struct transfer *transfer)
{
	if (sock->status_flags & O_NONBLOCK)
		return false;
	return !(transfer->flags & MSG_DONTWAIT) || relogin_of(sock)->has_woken;
}

static ssize_t fail(int error)
{
	errno = error;
	return -1;
}

/* One call of the program's: what it has, and by which socket. */
struct progress {
	size_t length, done;
	struct inside_token token;
};

/* Something is to be read. Consumes the lock. True: there is more to do. */
static bool receive_shown(struct sock *sock, const struct transfer *transfer, struct progress *progress,
			  ssize_t *result)
{
	bool wants_all = (transfer->flags & MSG_WAITALL) && may_wait(sock, transfer) && !(transfer->flags & MSG_PEEK);

	if (!is_there(sock, transfer)) {
		sock_leave(sock);
		*result = fail(EFAULT);
		return false;
	}
	progress->token = sock_token(sock);
	progress->done += deliver(sock, transfer, progress->done);
	*result = (ssize_t)progress->done;
	sock_leave(sock);
	return wants_all && progress->done < progress->length;
}

/* Nothing is, yet. Consumes the lock. True: something has come. */
static bool receive_later(struct sock *sock, const struct transfer *transfer, struct progress *progress, bool is_pause,
			  ssize_t *result)
{
	bool waits = may_wait(sock, transfer) && (!progress->done || (transfer->flags & MSG_WAITALL));

	/* Also to whoever looks before he waits. */
	if (!is_pause && relogin_show_ahead(relogin_of(sock))) {
		progress->token = sock_token(sock);
		sock_leave(sock);
		return true;
	}
	if (waits && wait(sock, transfer, is_pause, &progress->token))
		return true;
	if (!waits) {
		sock_leave(sock);
		errno = EAGAIN;
	}
	*result = progress->done ? (ssize_t)progress->done : -1;
	return false;
}

/* One look, and what follows from it. True: there is more to do; else *result is the call's. Consumes the lock. */
static bool receive_once(struct sock *sock, const struct transfer *transfer, struct progress *progress, ssize_t *result)
{
	enum relogin_step step = relogin_look(relogin_of(sock), transfer->fd);
	int error;

	if (step == RELOGIN_SHOWN)
		return receive_shown(sock, transfer, progress, result);
	if (step == RELOGIN_WAIT || step == RELOGIN_PAUSE)
		return receive_later(sock, transfer, progress, step == RELOGIN_PAUSE, result);
	progress->token = sock_token(sock);
	error = relogin_begin_anew(sock, transfer->fd);
	/* A loop was told of the connection that has ended: after that, libuv takes bytes for the last ones. */
	if (!error && (sock->status_flags & O_NONBLOCK) && sock->transport)
		error = -EAGAIN;
	sock_leave(sock);
	if (!error)
		return true;
	*result = progress->done ? (ssize_t)progress->done : fail(-error);
	return false;
}

/* On a fresh connection, or what is left of it. */
static ssize_t receive_natively(struct sock *sock, struct transfer *transfer)
{
	bool was_told = (transfer->flags & MSG_DONTWAIT) && sock && !(sock->status_flags & O_NONBLOCK);

	if (sock)
		sock_leave(sock);
	if (was_told)
		wait_for_bytes(transfer);
	return exchange_receive(transfer);
}

static void tell_message(const struct transfer *transfer)
{
	if (transfer->kind == TRANSFER_RECVFROM && transfer->address_length_out)
		*transfer->address_length_out = 0;
	if (transfer->kind != TRANSFER_RECVMSG)
		return;
	transfer->message->msg_namelen = 0;
	transfer->message->msg_controllen = 0;
	transfer->message->msg_flags = 0;
}

ssize_t relogin_receive(struct sock *sock, struct transfer *transfer)
{
	struct progress progress = {.length = transfer_is_readable(transfer) ? transfer_length(transfer) : 0};
	int saved = errno;
	ssize_t result = 0;

	if (!progress.length || (transfer->flags & (MSG_OOB | MSG_ERRQUEUE))) {
		sock_leave(sock);
		return transfer_call_kernel(transfer);
	}
	if (transfer->kind == TRANSFER_SPLICE) {
		/* The kernel has other bytes. */
		sock_leave(sock);
		return fail(EINVAL);
	}
	while (receive_once(sock, transfer, &progress, &result)) {
		sock = exchange_return(progress.token, transfer->fd);
		if (sock && relogin_of(sock))
			continue;
		/* The rest of a long receive can be had by the next. */
		if (!progress.done && sock)
			return receive_natively(sock, transfer);
		if (sock)
			sock_leave(sock);
		/* The number is another socket's by now, or none. */
		result = progress.done ? (ssize_t)progress.done : fail(EBADF);
		break;
	}
	if (result >= 0) {
		tell_message(transfer);
		errno = saved;
	}
	return result;
}

/* Adds the program's bytes to the packet that it is writing. False: it is too long, or several. */
static bool collect(const struct transfer *transfer, size_t length, uint8_t *packet, size_t room, uint16_t *n)
{
	if (length > room - *n)
		return false;
	send_plan_copy_out(transfer, 0, (char *)packet + *n, length);
	*n = (uint16_t)(*n + length);
	return true;
}

static bool is_whole(const uint8_t *packet, size_t length)
{
	return mysql_packet_length(packet, length) == length;
}

/* Nobody says more than he was asked for. */
static bool is_too_long(const uint8_t *packet, size_t length)
{
	return mysql_packet_length(packet, length) && mysql_packet_length(packet, length) < length;
}

/* Locked, as relogin_begin_anew(). 0 or -errno. */
static int take_bytes(struct sock *sock, const struct transfer *transfer, size_t length)
{
	struct relogin *relogin = relogin_of(sock);
	bool is_response = relogin->phase == RELOGIN_RESPONSE ||
			   (relogin->phase == RELOGIN_FRESH && !is_whole(relogin->response, relogin->n_response));
	uint8_t *packet = is_response ? relogin->response : relogin->answer;
	uint16_t *n = is_response ? &relogin->n_response : &relogin->n_answer;
	size_t room = is_response ? sizeof(relogin->response) : sizeof(relogin->answer), before = *n;

	if (!collect(transfer, length, packet, room, n))
		return -EPIPE;
	if (!sock->has_sent)
		first_bytes_note(sock, true);
	sock->has_sent = true;
	protocol_feed_request(&sock->protocol, NULL, (const char *)packet + before, length, NULL);
	if (is_too_long(packet, *n))
		return -EPIPE;
	if (!is_whole(packet, *n))
		return 0;
	if (!is_response)
		return relogin_forward(relogin, transfer->fd) ? 0 : -EPIPE;
	return relogin_submit(relogin, transfer->fd) || relogin->phase == RELOGIN_FRESH
		       ? 0
		       : relogin_begin_anew(sock, transfer->fd);
}

/* It speaks before it has read the greeting: it is no client of this protocol. Consumes the lock. */
static ssize_t send_elsewhere(struct sock *sock, struct transfer *transfer)
{
	int error;

	sock->missed = MISSED_UNKNOWN_PROTOCOL;
	error = redial(sock, REDIAL_FOR_UNFIT, -1);
	sock_leave(sock);
	return error ? fail(-error) : exchange_send(transfer);
}

/* Nothing is allowed to be unread: the greeting may have been read by the byte. */
static bool is_too_early(const struct relogin *relogin)
{
	return !relogin->is_fresh && !relogin->has_greeted && !relogin_n_unread(relogin);
}

static bool is_readable(const struct transfer *transfer)
{
	size_t n;
	const struct iovec *vector = transfer_vector(transfer, &n);

	for (size_t i = 0; i < n; i++)
		if (vector[i].iov_len && !guard_readable(vector[i].iov_base, vector[i].iov_len))
			return false;
	return true;
}

ssize_t relogin_send(struct sock *sock, struct transfer *transfer)
{
	size_t length = transfer_is_readable(transfer) ? transfer_length(transfer) : 0;
	int saved = errno, error;

	if (!length || length > RELOGIN_RESPONSE_MAX || !is_readable(transfer)) {
		if (length)
			relogin_give_up(sock, transfer->fd);
		sock_leave(sock);
		return length ? fail(EPIPE) : transfer_call_kernel(transfer);
	}
	if (is_too_early(relogin_of(sock)))
		return send_elsewhere(sock, transfer);
	error = take_bytes(sock, transfer, length);
	if (error && sock->state == SOCK_OPEN && relogin_of(sock))
		relogin_give_up(sock, transfer->fd);
	sock_leave(sock);
	if (error) {
		if (!(transfer->flags & MSG_NOSIGNAL))
			guard_raise_sigpipe();
		return fail(EPIPE);
	}
	errno = saved;
	return (ssize_t)length;
}
