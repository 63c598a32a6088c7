/*
 * Sending on a tracked connection: the request is framed, asked to keep the server's connection, and remembered for as
 * long as it may have to be sent again. What the program is told about lengths is about its own bytes.
 */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "shim/base/home.h"
#include "shim/base/lock.h"
#include "shim/base/real.h"
#include "shim/base/usermem.h"
#include "shim/connect/limit.h"
#include "shim/connect/redial.h"
#include "shim/exchange/advance.h"
#include "shim/exchange/after_eof.h"
#include "shim/exchange/enter.h"
#include "shim/exchange/fastopen.h"
#include "shim/exchange/first_bytes.h"
#include "shim/exchange/iocall.h"
#include "shim/exchange/park.h"
#include "shim/exchange/send_plan.h"
#include "shim/exchange/stateful.h"
#include "shim/exchange/transport.h"
#include "shim/kept/broker_link.h"
#include "shim/sock/options.h"
#include "shim/sock/sock.h"

/* The first `length` bytes; whatever lies beyond is left to the kernel, which may be the one to find it bad. */
static bool is_readable(const struct transfer *transfer, size_t length)
{
	size_t n;
	const struct iovec *iov;

	if (!transfer_is_readable(transfer))
		return false;
	iov = transfer_vector(transfer, &n);
	for (size_t i = 0; i < n && length; i++) {
		size_t part = iov[i].iov_len < length ? iov[i].iov_len : length;

		if (!guard_readable(iov[i].iov_base, part))
			return false;
		length -= part;
	}
	return true;
}

/* The copy, then what was not copied, as one message. */
static ssize_t send_mixed(const struct transport *transport, const struct transfer *transfer,
			  const struct send_plan *sending, char *bytes)
{
	struct iovec vector[SENDING_VECTOR_MAX] = {{bytes, sending->plan.copied + sending->plan.inserted}};
	struct msghdr message = {.msg_iov = vector, .msg_iovlen = 1};
	size_t n, skip = sending->plan.copied;
	const struct iovec *iov = transfer_vector(transfer, &n);

	for (size_t i = 0; i < n; i++) {
		if (iov[i].iov_len > skip)
			vector[message.msg_iovlen++] =
				(struct iovec){(char *)iov[i].iov_base + skip, iov[i].iov_len - skip};
		skip = skip > iov[i].iov_len ? skip - iov[i].iov_len : 0;
	}
	return transport->send(transport, transfer->fd, &message, transfer->flags | MSG_NOSIGNAL);
}

static ssize_t send_as_planned(const struct transport *transport, const struct transfer *transfer,
			       const struct send_plan *sending, char *bytes)
{
	int flags = transfer->flags | MSG_NOSIGNAL;
	struct iovec copy = {bytes, sending->plan.copied + sending->plan.inserted};
	struct msghdr message = {.msg_iov = &copy, .msg_iovlen = 1};
	size_t n;

	if (sending->plan.copied && sending->plan.is_rest_appended)
		return send_mixed(transport, transfer, sending, bytes);
	if (sending->plan.copied)
		return transport->send(transport, transfer->fd, &message, flags);
	if (transfer->kind == TRANSFER_SENDMSG)
		return transport->send(transport, transfer->fd, transfer->message, flags);
	message.msg_iov = (struct iovec *)transfer_vector(transfer, &n);
	message.msg_iovlen = n;
	return transport->send(transport, transfer->fd, &message, flags);
}

/* A send buffer that takes only a part of our insertion has not been seen (the first send always fits), but a part of
 * it would be a broken field. Waits a bounded time for the rest to go out. */
static ssize_t push_insertion(const struct transport *transport, int fd, const char *bytes, ssize_t sent,
			      const struct send_plan *sending)
{
	size_t end = sending->plan.inserted_at + sending->plan.inserted;

	for (int tries = 0; (size_t)sent > sending->plan.inserted_at && (size_t)sent < end && tries < 100; tries++) {
		struct pollfd entry = {.fd = fd, .events = POLLOUT};
		struct iovec rest = {(char *)bytes + sent, end - (size_t)sent};
		struct msghdr message = {.msg_iov = &rest, .msg_iovlen = 1};
		ssize_t n = transport->send(transport, fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n > 0)
			sent += n;
		else if (REAL(poll)(&entry, 1, 10) < 0 && errno != EINTR)
			break;
	}
	return sent;
}

static ssize_t fail(const struct transfer *transfer, int error)
{
	if (error == EPIPE && !(transfer->flags & MSG_NOSIGNAL))
		guard_raise_sigpipe();
	errno = error;
	return -1;
}

/* Back from the kernel. True: to be tried again on a fresh connection. Locked. */
static bool conclude(struct sock *sock, const struct transfer *transfer, struct send_plan *sending, ssize_t result,
		     int error)
{
	sock->replay = sending->replay;
	if (result > 0) {
		events_dial_done(sock, 0);
		send_plan_account(sock, transfer, sending, (size_t)result);
		exchange_advance(sock);
		return false;
	}
	if (send_plan_take_back(sock, sending) && !sock->is_half_closed && exchange_is_hang_up(result, error) &&
	    exchange_recover(sock, -1) == 0)
		return true;
	return false;
}

/* One attempt. True: to be tried again on a fresh connection. Locked; it is unlocked while the kernel has it, and if
 * false also afterwards. */
static bool attempt(struct sock *sock, struct transfer *transfer, size_t total, ssize_t *result)
{
	const struct transport *transport = transport_of(sock);
	struct send_plan sending = {0};
	struct inside_token token;
	bool again = false;
	bool is_shared = sock->conn && sock->conn->slot >= 0;
	char *bytes;
	int saved;

	send_plan_make(sock, transfer, total, &sending);
	sending.replay = sock->replay;
	sock->replay = (struct replay){0};
	bytes = sending.replay.block.bytes + sending.plan.base;
	if (sock->n_senders++ == 0)
		sock->sends_for_long = false;
	token = sock_go_inside(sock);
	sock_leave(sock);
	*result = send_as_planned(transport, transfer, &sending, bytes);
	if (*result > 0 && sending.plan.inserted)
		*result = push_insertion(transport, transfer->fd, bytes, *result, &sending);
	saved = errno;
	/* While the server works. */
	if (*result > 0 && !is_shared)
		broker_link_introduce();
	if (sock_come_out(token)) {
		atomic_fetch_sub(&token.sock->n_senders, 1);
		guard_wake(&token.sock->n_senders);
	}
	sock = exchange_return(token, transfer->fd);
	if (sock && sock->state == SOCK_OPEN)
		again = conclude(sock, transfer, &sending, *result, saved);
	else
		sock_drop_replay(&sending.replay);
	if (sock && !again)
		sock_leave(sock);
	if (!again && *result > 0)
		*result = (ssize_t)plan_own_bytes(&sending.plan, (size_t)*result);
	errno = saved;
	return again;
}

/* The sent bytes are unknown: marks the socket, so that the next call knows that our view is stale. Consumes the
 * lock. */
static ssize_t send_unseen(struct sock *sock, const struct transfer *transfer)
{
	struct inside_token token = sock_go_inside(sock);
	ssize_t result;

	sock_leave(sock);
	result = transfer_native(transfer);
	if (sock_come_out(token) && result > 0)
		atomic_store(&token.sock->wants_release, true);
	return result;
}

static ssize_t send_open(struct sock *sock, struct transfer *transfer)
{
	int saved = errno;
	size_t total;
	ssize_t result = 0;

	if (sock->n_senders || (!transfer->through && !is_readable(transfer, REPLAY_MAX)))
		return send_unseen(sock, transfer);
	total = transfer_length(transfer);
	if (!total || total > SSIZE_MAX) {
		sock_leave(sock);
		return transfer_native(transfer);
	}
	if (!sock->has_sent) {
		int first = first_bytes_prepare(sock, transfer, total);

		errno = saved;
		if (__builtin_expect(first == FIRST_BYTES_TRANSLATED, 0))
			return sock->transport->send_outer(sock, transfer);
		if (first != FIRST_BYTES_TRACKED) {
			sock_leave(sock);
			return first > 0 ? transfer_native(transfer) : fail(transfer, -first);
		}
	}
	if (__builtin_expect(sock->protocol.number != PROTOCOL_HTTP1, 0) &&
	    stateful_says_goodbye(sock, transfer, total)) {
		sock_leave(sock);
		errno = saved;
		return (ssize_t)total;
	}
	/* (What was shut down says so.) */
	if (protocol_status(&sock->protocol).is_behind_last && !sock->unfit) {
		sock_leave(sock);
		return (ssize_t)total;
	}
	while (attempt(sock, transfer, total, &result))
		;
	if (result < 0)
		return fail(transfer, errno);
	errno = saved;
	return result;
}

static ssize_t send_on_stub(struct sock *sock, struct transfer *transfer)
{
	size_t total = transfer_is_readable(transfer) ? transfer_length(transfer) : 0;
	ssize_t result = -EFAULT;

	if (!total) {
		sock_leave(sock);
		return transfer_native(transfer);
	}
	if (is_readable(transfer, total)) {
		enum framing_first first = first_bytes_classify(transfer, total);

		if ((first == FRAMING_FIRST_SAFE || first == FRAMING_FIRST_UNSAFE) && after_eof_begin_again(sock))
			return send_open(sock, transfer);
		if (sock->state != SOCK_STUB) {
			/* As a connection that was never followed: what is written must not seem to have gone out. */
			sock_untrack(sock, REFUSAL_ERROR);
			sock_leave(sock);
			return transfer_native(transfer);
		}
		result = after_eof_send(sock, total);
	}
	sock_leave(sock);
	return result < 0 ? fail(transfer, (int)-result) : result;
}

/* Takes the socket locked, or NULL, and leaves it unlocked. */
static ssize_t send_on(struct sock *sock, struct transfer *transfer)
{
	if (!sock)
		return transfer_native(transfer);
	if (sock->state == SOCK_ENDING)
		finish_make_end_of_file(sock);
	if (sock->state == SOCK_WAITING) {
		int error = limit_await(&sock, transfer->fd, !(transfer->flags & MSG_DONTWAIT), SOCKET_OPTION_SNDTIMEO);

		if (error || !sock)
			return error ? fail(transfer, -error) : transfer_native(transfer);
	}
	switch (sock->state) {
	case SOCK_OPEN:
		return send_open(sock, transfer);
	case SOCK_STUB:
		if (!(transfer->flags & MSG_FASTOPEN))
			return send_on_stub(sock, transfer);
		sock_leave(sock);
		return fail(transfer, EISCONN);
	case SOCK_NEW:
		if (transfer->flags & MSG_FASTOPEN)
			return fastopen_send(sock, transfer);
		sock_leave(sock);
		break;
	case SOCK_WAITING:
	case SOCK_ENDING: /* exchange_enter() has made its end of file */
	case SOCK_ENDED:
	case SOCK_RELEASED:
	case SOCK_FREE:
		sock_leave(sock);
		break;
	}
	return transfer_native(transfer);
}

ssize_t exchange_send_inner(struct transfer *transfer)
{
	return send_on(sock_enter(transfer->fd), transfer);
}

static bool is_to_be_swallowed(const struct transfer *transfer)
{
	char first[2];

	if (!transfer_is_readable(transfer) || transfer_length(transfer) < sizeof(first) ||
	    !is_readable(transfer, sizeof(first)))
		return false;
	send_plan_copy_out(transfer, 0, first, sizeof(first));
	return protocol_is_tls(first, sizeof(first));
}

static ssize_t swallow(struct sock *sock, const struct transfer *transfer)
{
	if (sock)
		sock_leave(sock);
	*sock_swallows = true;
	return (ssize_t)transfer_length(transfer);
}

ssize_t exchange_send(struct transfer *transfer)
{
	struct transport *transport;
	struct sock *sock;

	pthread_testcancel();
	sock = sock_enter(transfer->fd);
	transport = sock ? sock->transport : NULL;
	if (__builtin_expect(!transport, 1))
		return __builtin_expect(sock_swallows != NULL, 0) && is_to_be_swallowed(transfer)
			       ? swallow(sock, transfer)
			       : send_on(sock, transfer);
	return transport->send_outer(sock, transfer);
}
