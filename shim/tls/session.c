/* Between the program's records and the exchange; see session.h. */
#include "shim/tls/session.h"

#include <errno.h>
#include <string.h>

#include "shim/base/real.h"
#include "shim/exchange/iocall.h"
#include "shim/exchange/park.h"
#include "shim/tls/channel.h"
#include "shim/tls/library.h"
#include "shim/tls/own_request.h"

#define ALERT_WARNING 1
#define ALERT_CLOSE_NOTIFY 0
#define MESSAGE_KEY_UPDATE 24

/* The answer has ended, and the program says that it needs no more: its connection can be kept. It may still wait for
 * the other side's word. False: it is in the midst of something. */
static bool end_in_order(struct channel *channel, int fd)
{
	struct sock *sock = sock_enter(fd);
	bool is_in_order = false;

	if (!sock)
		return false;
	if (sock->transport == &channel->transport) {
		struct protocol_status status = protocol_status(&sock->protocol);

		is_in_order = sock->state == SOCK_ENDING || sock->state == SOCK_STUB ||
			      (sock->state == SOCK_OPEN && (status.at_boundary || !sock->has_sent) &&
			       channel->unfit == REFUSAL_NONE);
		if (is_in_order && sock->state == SOCK_OPEN)
			finish_with_end_of_file_later(sock);
	}
	sock_leave(sock);
	return is_in_order;
}

static int send_beside(struct channel *channel, enum tls_type type, size_t length)
{
	/* It is the last record of the connection, or starts what we do not follow. */
	channel->unfit = REFUSAL_CLIENT_CLOSE;
	if (channel->wire && !wire_seal(channel->wire, type, channel->outward, length))
		return -EPIPE;
	return 0;
}

static int send_alert(struct channel *channel, int fd, size_t length)
{
	if (length == 2 && channel->outward[1] == ALERT_CLOSE_NOTIFY && end_in_order(channel, fd))
		return 0;
	return send_beside(channel, TLS_ALERT, length);
}

static bool next_program_key(struct channel *channel, enum tls_side side, struct tls_seal *seal)
{
	const struct tls_crypto *crypto = channel->library->crypto;
	struct tls_traffic_key key;
	bool done = tls_keys_next_secret(crypto, channel->suite, channel->secret[side]) &&
		    tls_keys_of_secret(crypto, channel->suite, channel->secret[side], &key) &&
		    tls_seal_begin(seal, crypto, channel->suite, &key, side == TLS_SERVER);

	explicit_bzero(&key, sizeof(key));
	return done;
}

/* The program has a new key, of which the server need not know; and wants one of the other side. */
static int take_key_update(struct channel *channel, size_t length)
{
	static const uint8_t update[] = {MESSAGE_KEY_UPDATE, 0, 0, 1, 0};
	bool wants_answer = length > 4 && channel->outward[4] == 1;

	channel->n_from_program = 0;
	if (!next_program_key(channel, TLS_CLIENT, &channel->from_program))
		return -EPIPE;
	if (!wants_answer)
		return 0;
	if (!channel_make_ready(channel, TLS_HANDSHAKE, update, sizeof(update)))
		return -EPIPE;
	channel->n_to_program = 0;
	return next_program_key(channel, TLS_SERVER, &channel->to_program) ? 0 : -EPIPE;
}

static int send_handshake(struct channel *channel, size_t length)
{
	if (channel->suite->version == TLS_1_3 && channel->outward[0] == MESSAGE_KEY_UPDATE)
		return take_key_update(channel, length);
	return send_beside(channel, TLS_HANDSHAKE, length);
}

static int send_data(struct channel *channel, const struct transfer *outer, size_t length)
{
	struct transfer inner = {.kind = TRANSFER_SEND,
				 .fd = outer->fd,
				 .flags = outer->flags & (MSG_DONTWAIT | MSG_MORE | MSG_NOSIGNAL),
				 .single = {channel->outward, length},
				 .through = &channel->transport};

	return length && exchange_send_inner(&inner) < 0 ? -errno : 0;
}

/* One whole record of the program. 0 or -errno. */
static int take_record(struct channel *channel, const struct transfer *outer, const uint8_t *record, size_t length)
{
	struct tls_content content;

	if (!tls_record_open(&channel->from_program, channel->n_from_program++, record, length, channel->outward,
			     &content))
		return -EPIPE;
	switch (content.type) {
	case TLS_APPLICATION_DATA:
		return send_data(channel, outer, content.length);
	case TLS_ALERT:
		return send_alert(channel, outer->fd, content.length);
	case TLS_HANDSHAKE:
		return send_handshake(channel, content.length);
	default:
		return 0;
	}
}

/* What is sealed goes out. 0 or -errno: what can't be sent any more is given up, and the reading side finds out. */
static int flush(struct channel *channel, const struct transfer *outer)
{
	struct wire *wire = channel->wire;

	if (!wire || wire_flush(wire, outer->fd, outer->flags & MSG_DONTWAIT) == 0)
		return 0;
	if (errno == EAGAIN || errno == EINTR)
		return -errno;
	wire->out_at = wire->out_length = 0;
	return 0;
}

/* Adds to the record that has begun. How much it took. */
static size_t collect(struct channel *channel, const uint8_t *bytes, size_t length)
{
	size_t whole = TLS_HEADER_LENGTH, part;

	if (channel->partial_length >= TLS_HEADER_LENGTH)
		whole = tls_record_length(channel->partial);
	if (!whole)
		return 0;
	part = whole - channel->partial_length < length ? whole - channel->partial_length : length;
	memcpy(channel->partial + channel->partial_length, bytes, part);
	channel->partial_length += (uint32_t)part;
	return part;
}

static bool has_whole_record(const uint8_t *bytes, size_t length)
{
	size_t whole = length >= TLS_HEADER_LENGTH ? tls_record_length(bytes) : 0;

	return whole && whole <= length;
}

/* The next bytes of the program. How many were taken; -errno. `*owed`: of those, so many are not sent yet. */
static ssize_t take_bytes(struct channel *channel, const struct transfer *outer, const uint8_t *bytes, size_t length)
{
	size_t taken;
	int error;

	if (!channel->partial_length && has_whole_record(bytes, length)) {
		taken = tls_record_length(bytes);
		error = take_record(channel, outer, bytes, taken);
	} else {
		taken = collect(channel, bytes, length);
		if (!taken)
			return -EPIPE;
		if (!has_whole_record(channel->partial, channel->partial_length))
			return (ssize_t)taken;
		error = take_record(channel, outer, channel->partial, channel->partial_length);
		channel->partial_length = 0;
	}
	return error ? error : (ssize_t)taken;
}

/* As far as it goes: the bytes of a vector's one buffer. 0: all of it; or -errno, with `*done` short of it. */
static int send_buffer(struct channel *channel, const struct transfer *outer, const uint8_t *bytes, size_t length,
		       size_t *done)
{
	while (*done < length) {
		ssize_t n = channel->owed;
		int error;

		/* What is not there yet takes no more. */
		if (!n && __builtin_expect(channel->own != NULL, 0) && own_request_is_full(channel))
			return -EAGAIN;
		if (!n)
			n = take_bytes(channel, outer, bytes + *done, length - *done);
		if (n < 0)
			return (int)n;
		channel->owed = (uint32_t)n;
		error = flush(channel, outer);
		if (error)
			return error;
		channel->owed = 0;
		*done += (size_t)n < length - *done ? (size_t)n : length - *done;
	}
	return 0;
}

static ssize_t fail(int error)
{
	errno = error;
	return -1;
}

/* The last bytes of a handshake that was made in memory: the server is to have them as they are. The connection was
 * dialled for this program, and its keys are the program's. 0 or -errno, as send_buffer(). */
static int send_flight(struct channel *channel, const struct transfer *outer, const uint8_t *bytes, size_t length,
		       size_t *done)
{
	size_t part = length < channel->flight_left ? length : channel->flight_left;

	while (*done < part) {
		ssize_t n = real.send(outer->fd, bytes + *done, part - *done, outer->flags);

		if (n < 0)
			return -errno;
		*done += (size_t)n;
		channel->flight_left -= (uint32_t)n;
		if (channel->wire)
			channel->wire->sent += (size_t)n;
	}
	return 0;
}

ssize_t session_send(struct channel *channel, struct transfer *transfer)
{
	const struct iovec *vector;
	size_t n, total = 0;
	int error = 0;

	if (!transfer_is_readable(transfer))
		return fail(EFAULT);
	vector = transfer_vector(transfer, &n);
	for (size_t i = 0; i < n && !error; i++) {
		size_t done = 0;

		if (__builtin_expect(channel->flight_left > 0, 0))
			error = send_flight(channel, transfer, vector[i].iov_base, vector[i].iov_len, &done);
		if (!error)
			error = send_buffer(channel, transfer, vector[i].iov_base, vector[i].iov_len, &done);
		total += done;
	}
	return error && !total ? fail(-error) : (ssize_t)total;
}

static ssize_t deliver(struct channel *channel, const struct transfer *transfer)
{
	size_t n, at = channel->ready_at;
	const struct iovec *vector = transfer_vector(transfer, &n);

	for (size_t i = 0; i < n && at < channel->ready_length; i++) {
		size_t left = channel->ready_length - at;
		size_t part = vector[i].iov_len < left ? vector[i].iov_len : left;

		memcpy(vector[i].iov_base, channel->ready + at, part);
		at += part;
	}
	n = at - channel->ready_at;
	if (!(transfer->flags & MSG_PEEK)) {
		channel->ready_at = (uint32_t)at;
		if (at == channel->ready_length)
			channel->ready_at = channel->ready_length = 0;
	}
	return (ssize_t)n;
}

/* Its connection can't be kept, though the server was asked to stay: the end was made here, on the socket itself. */
static bool is_end_of_ours(const struct channel *channel, int fd)
{
	struct sock *sock = sock_enter(fd);
	bool is_ours;

	if (!sock)
		return false;
	is_ours = sock->transport == &channel->transport && sock->state == SOCK_ENDED;
	sock_leave(sock);
	return is_ours;
}

/* The end of file: as a server says it that ends in order, unless this one has not. */
static void make_end_ready(struct channel *channel, int fd)
{
	static const uint8_t goodbye[] = {ALERT_WARNING, ALERT_CLOSE_NOTIFY};
	const struct wire *wire = channel->wire;

	channel->is_at_end = true;
	if (channel->alert.type)
		channel_make_ready(channel, TLS_ALERT, channel->alert_bytes, sizeof(channel->alert_bytes));
	else if (!wire || !wire->has_ended || wire->was_notified || is_end_of_ours(channel, fd))
		channel_make_ready(channel, TLS_ALERT, goodbye, sizeof(goodbye));
}

/* Until something is ready for the program. False: there is nothing, `*result` and errno say why. */
static bool await_ready(struct channel *channel, const struct transfer *transfer, ssize_t *result)
{
	struct transfer inner = {.kind = TRANSFER_RECV,
				 .fd = transfer->fd,
				 .flags = transfer->flags & MSG_DONTWAIT,
				 .single = {channel->inward, TLS_CONTENT_MAX},
				 .through = &channel->transport};

	/* Of a record that was taken in part, too: no poll(2) shows the rest. */
	while (!channel->ready_length || (channel->wire && channel->wire->has_content)) {
		if (channel->is_at_end) {
			*result = 0;
			return channel->ready_length > 0;
		}
		*result = exchange_receive_inner(&inner);
		if (*result > 0)
			channel_make_ready(channel, TLS_APPLICATION_DATA, channel->inward, (size_t)*result);
		else if (*result == 0)
			make_end_ready(channel, transfer->fd);
		else
			return channel->ready_length > 0;
	}
	return true;
}

static ssize_t receive_once(struct channel *channel, const struct transfer *transfer)
{
	ssize_t result = 0;

	if (!transfer_is_readable(transfer))
		return fail(EFAULT);
	/* Whether something is there; what it is nobody could read. */
	if ((transfer->flags & MSG_PEEK) && !channel->ready_length && !channel->is_at_end)
		return transfer_call_kernel(transfer);
	if (!await_ready(channel, transfer, &result))
		return result;
	return deliver(channel, transfer);
}

/* MSG_WAITALL: until all of the buffer is full, or no more comes. */
static ssize_t receive_whole(struct channel *channel, const struct transfer *transfer)
{
	size_t total = 0, wanted = transfer->single.iov_len;
	struct transfer rest = *transfer;
	ssize_t n;

	rest.flags &= ~MSG_WAITALL;
	while (total < wanted) {
		rest.single = (struct iovec){(char *)transfer->single.iov_base + total, wanted - total};
		n = receive_once(channel, &rest);
		if (n <= 0)
			return total ? (ssize_t)total : n;
		total += (size_t)n;
	}
	return (ssize_t)total;
}

ssize_t session_receive(struct channel *channel, struct transfer *transfer)
{
	bool is_one_buffer = transfer->kind == TRANSFER_RECV || transfer->kind == TRANSFER_RECVFROM;

	return is_one_buffer && (transfer->flags & (MSG_WAITALL | MSG_PEEK | MSG_DONTWAIT)) == MSG_WAITALL
		       ? receive_whole(channel, transfer)
		       : receive_once(channel, transfer);
}
