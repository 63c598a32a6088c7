/* Between the exchange and the wire; see session.h. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "shim/base/real.h"
#include "shim/exchange/iocall.h"
#include "shim/tls/channel.h"
#include "shim/tls/own_request.h"
#include "shim/tls/session.h"

#define ALERT_CLOSE_NOTIFY 0
#define ALERT_WARNING 1
#define ALERT_NO_RENEGOTIATION 100
/* Handshake messages that come later (RFC 8446 4, RFC 5246 7.4). */
#define MESSAGE_HELLO_REQUEST 0
#define MESSAGE_NEW_SESSION_TICKET 4

/* One record of the program, and what is inserted into it: more never comes. */
static bool gather(uint8_t *to, size_t room, const struct msghdr *message, size_t *length)
{
	*length = 0;
	for (size_t i = 0; i < (size_t)message->msg_iovlen; i++) {
		const struct iovec *part = &message->msg_iov[i];

		if (part->iov_len > room - *length)
			return false;
		memcpy(to + *length, part->iov_base, part->iov_len);
		*length += part->iov_len;
	}
	return true;
}

/* All of it is sealed, and counts as sent: what the kernel has not taken waits for the program's next call. */
ssize_t session_wire_send(const struct transport *transport, int fd, const struct msghdr *message, int flags)
{
	struct channel *channel = channel_of(transport);
	struct wire *wire;
	size_t length;

	if (!gather(channel->gathered, sizeof(channel->gathered), message, &length)) {
		errno = EPIPE;
		return -1;
	}
	channel->is_judged_later = false;
	if (channel->own && own_request_add(channel, channel->gathered, length))
		return (ssize_t)length;
	wire = channel->wire;
	if (!wire) {
		errno = EPIPE;
		return -1;
	}
	for (size_t at = 0; at < length; at += TLS_CONTENT_MAX) {
		size_t part = length - at < TLS_CONTENT_MAX ? length - at : TLS_CONTENT_MAX;

		if (!wire_seal(wire, TLS_APPLICATION_DATA, channel->gathered + at, part)) {
			errno = EPIPE;
			return -1;
		}
	}
	if (wire_flush(wire, fd, flags) < 0 && errno != EAGAIN && errno != EINTR) {
		wire->out_at = wire->out_length = 0;
		return -1;
	}
	return (ssize_t)length;
}

/* A server that writes its answer behind a ticket, and is not asked to close, may wait for the ticket to be
 * acknowledged (tcp(7), TCP_QUICKACK). */
static void acknowledge(int fd)
{
	static const int on = 1;

	real.setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
}

/* The server wants another handshake (RFC 5246 7.4.1.1), which would have to be one with the program. It must be told,
 * or it waits for the program's hello. */
static void refuse_to_negotiate(struct wire *wire, int fd)
{
	static const uint8_t refusal[] = {ALERT_WARNING, ALERT_NO_RENEGOTIATION};

	if (wire_seal(wire, TLS_ALERT, refusal, sizeof(refusal)))
		(void)!wire_flush(wire, fd, MSG_DONTWAIT);
}

/* A record that is not the server's answer. True: it says that nothing follows. */
static bool take_beside(struct channel *channel, struct wire *wire, int fd)
{
	struct tls_content *content = &wire->content;
	bool is_ticket = content->type == TLS_HANDSHAKE && wire->suite->version == TLS_1_3 &&
			 wire->bytes[0] == MESSAGE_NEW_SESSION_TICKET;

	wire->has_content = false;
	if (content->type == TLS_ALERT && content->length == 2) {
		wire->was_notified = wire->bytes[1] == ALERT_CLOSE_NOTIFY;
		if (!wire->was_notified) {
			channel->alert = *content;
			memcpy(channel->alert_bytes, wire->bytes, sizeof(channel->alert_bytes));
			wire->has_ended = true;
		}
		return true;
	}
	if (is_ticket && !wire->is_donor)
		return false;
	if (is_ticket) {
		acknowledge(fd);
		wire_keep_ticket(wire);
	}
	if (!is_ticket)
		channel->unfit = REFUSAL_TLS_OPAQUE;
	if (content->type == TLS_HANDSHAKE && wire->suite->version == TLS_1_2 &&
	    wire->bytes[0] == MESSAGE_HELLO_REQUEST) {
		refuse_to_negotiate(wire, fd);
		return false;
	}
	wire->is_broken |= !channel_make_ready(channel, content->type, wire->bytes, content->length);
	return false;
}

/* A record that is not authentic: the program's library is to say so, for which it is as good a one as any. */
static void show_bad(struct channel *channel, struct wire *wire)
{
	if (sizeof(channel->ready) - channel->ready_length >= wire->bad_length) {
		memcpy(channel->ready + channel->ready_length, wire->in, wire->bad_length);
		channel->ready_length += wire->bad_length;
	}
	/* Where there was no room for it, the wire being broken is the end. */
	wire->bad_length = 0;
}

/* Until bytes of an answer are there. 1; 0: the end; -1 and errno: EAGAIN also if something else is ready for the
 * program. */
static int await_content(struct channel *channel, int fd, int flags)
{
	struct wire *wire = channel->wire;

	for (;;) {
		int result;

		if (wire->has_content)
			return 1;
		if (wire->has_ended || wire->was_notified)
			return 0;
		if (wire->is_broken && !wire->bad_length) {
			errno = ECONNRESET;
			return -1;
		}
		result = wire_receive(wire, fd, flags);
		if (wire->bad_length) {
			show_bad(channel, wire);
			errno = EAGAIN;
		}
		if (result <= 0)
			return result;
		if (wire->content.type == TLS_APPLICATION_DATA) {
			wire->has_content = wire->content.length > 0;
			continue;
		}
		if (take_beside(channel, wire, fd))
			return 0;
		if (channel->ready_length) {
			errno = EAGAIN;
			return -1;
		}
	}
}

static ssize_t hand_over(struct wire *wire, const struct iovec *vector, size_t n, bool is_peek)
{
	size_t at = wire->content_at, left = wire->content.length - at;

	for (size_t i = 0; i < n && left; i++) {
		size_t part = vector[i].iov_len < left ? vector[i].iov_len : left;

		memcpy(vector[i].iov_base, wire->bytes + at, part);
		at += part;
		left -= part;
	}
	n = at - wire->content_at;
	if (!is_peek) {
		wire->content_at = (uint32_t)at;
		wire->has_content = left > 0;
	}
	return (ssize_t)n;
}

ssize_t session_wire_receive(const struct transport *transport, const struct transfer *transfer, struct iovec *vector,
			     size_t n, int more_flags)
{
	struct channel *channel = channel_of(transport);
	struct iovec whole = transfer->single;
	int flags = transfer->flags | more_flags, result;

	if (!vector) {
		vector = &whole;
		n = 1;
	}
	if (channel->own) {
		errno = EAGAIN;
		return -1;
	}
	/* Parked: what is there is the end of file in its place. */
	if (!channel->wire)
		return real.recv(transfer->fd, vector->iov_base, vector->iov_len, flags);
	atomic_store(&channel->is_receiving, true);
	result = await_content(channel, transfer->fd, flags & MSG_DONTWAIT);
	if (result > 0)
		result = (int)hand_over(channel->wire, vector, n, flags & MSG_PEEK);
	atomic_store(&channel->is_receiving, false);
	return result;
}

bool session_is_quiet(const struct transport *transport, int fd)
{
	struct channel *channel = channel_of(transport);
	int saved = errno, result;
	bool is_quiet;

	/* A thread waits for it. */
	if (!channel->wire || atomic_load(&channel->is_receiving))
		return true;
	result = await_content(channel, fd, MSG_DONTWAIT);
	is_quiet = result < 0 && errno == EAGAIN;
	errno = saved;
	return is_quiet;
}
