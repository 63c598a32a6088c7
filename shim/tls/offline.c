/* See offline.h. */
#include "shim/tls/offline.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>

#include "shim/base/real.h"
#include "shim/connect/redial.h"
#include "shim/exchange/enter.h"
#include "shim/exchange/iocall.h"
#include "shim/sock/stub.h"
#include "shim/sock/swap.h"
#include "shim/tls/channel.h"
#include "shim/tls/expected.h"
#include "shim/tls/handshake.h"

/* Of a record: type, version, length; of the message in it: type, length, version. */
#define RANDOM_AT 11u
#define HANDSHAKE_RECORD 22
/* As much as an answer has at least. */
#define STAND_IN_WORD 256
/* A program that does not block is held for so long where a connection has to be dialled after all. */
#define HOLD_MS 3000

/* The bytes, if they lie in one piece, as a library has made them. */
static const uint8_t *whole_hello(const struct transfer *transfer, size_t *length)
{
	const struct iovec *vector;
	size_t n;

	if (!transfer_is_readable(transfer))
		return NULL;
	vector = transfer_vector(transfer, &n);
	*length = n ? vector->iov_len : 0;
	return *length >= RANDOM_AT + TLS_RANDOM_LENGTH && *length == transfer_length(transfer) ? vector->iov_base
												: NULL;
}

bool offline_begin_playing(struct handshake *handshake)
{
	struct channel *channel = handshake->channel;
	struct sock *sock = sock_enter(channel->fd);
	bool done = false;

	if (!sock)
		return false;
	if (sock->transport == &channel->transport && channel->handshake == handshake &&
	    channel->phase == CHANNEL_AWAITING && channel_put_back(sock) && sock->state == SOCK_OPEN && sock->conn &&
	    sock->conn->session) {
		channel_detach(sock);
		done = handshake_begin_playing(handshake, sock);
	}
	sock_leave(sock);
	return done;
}

static int await(int fd, short events)
{
	struct pollfd entry = {.fd = fd, .events = events};
	int n;

	do
		n = REAL(poll)(&entry, 1, HOLD_MS);
	while (n < 0 && errno == EINTR);
	return n > 0 ? 0 : n == 0 ? -ETIMEDOUT : -errno;
}

/* 0 or -errno. */
static int ask_natively(int fd, const uint8_t *hello, size_t length)
{
	for (size_t at = 0; at < length;) {
		ssize_t n = real.send(fd, hello + at, length - at, MSG_NOSIGNAL);

		if (n >= 0)
			at += (size_t)n;
		else if (errno != EAGAIN && errno != EINTR)
			return -errno;
		else if (await(fd, POLLOUT))
			return -ETIMEDOUT;
	}
	return 0;
}

static ssize_t send_skipping(struct channel *channel, struct transfer *transfer)
{
	(void)channel;
	return transfer_call_kernel(transfer);
}

/* As the program's call, but for the byte. */
static ssize_t receive_skipping(struct channel *channel, struct transfer *transfer)
{
	uint8_t first;
	ssize_t n = real.recv(transfer->fd, &first, sizeof(first), transfer->flags & MSG_DONTWAIT);
	struct sock *sock;

	if (n <= 0)
		return n;
	sock = sock_enter(transfer->fd);
	if (sock) {
		if (sock->transport == &channel->transport)
			sock_untrack(sock, REFUSAL_TLS_OPAQUE);
		sock_leave(sock);
	}
	return exchange_receive(transfer);
}

/* False: there is no memory. Locked. */
static bool begin_skipping(struct sock *sock)
{
	static const struct channel_awaiting skipping = {.send = send_skipping, .receive = receive_skipping};
	struct channel *channel = channel_attach(sock);

	if (!channel)
		return false;
	channel->awaiting = &skipping;
	channel->phase = CHANNEL_SKIPPING;
	return true;
}

/* The program goes on without its library: as if there had been no kept connection. Takes the socket locked, and leaves
 * it unlocked. 0 or -errno. */
static int go_native(struct sock *sock, int fd)
{
	struct channel *channel = channel_of(sock->transport);
	bool has_shown = channel->has_shown;
	size_t length = channel->partial_length;
	uint8_t hello[TLS_HELLO_MAX];
	int error;

	memcpy(hello, channel->partial, length);
	if (!channel_put_back(sock)) {
		sock_leave(sock);
		return -ECONNRESET;
	}
	channel_detach(sock);
	error = redial(sock, REDIAL_FOR_OTHER_SESSION, -1);
	if (error && sock->state != SOCK_FREE)
		sock_untrack(sock, REFUSAL_ERROR);
	else if (sock->state != SOCK_FREE && !(has_shown && begin_skipping(sock)))
		sock_untrack(sock, REFUSAL_TLS_OPAQUE);
	sock_leave(sock);
	return error ? error : ask_natively(fd, hello, length);
}

/* True if it is native now. */
static bool give_up(const struct channel *channel, int fd)
{
	struct sock *sock = sock_enter(fd);
	int error = 0;

	if (sock && (sock->transport != &channel->transport || channel->phase != CHANNEL_AWAITING))
		sock_leave(sock);
	else if (sock)
		error = go_native(sock, fd);
	errno = -error;
	return error == 0;
}

static ssize_t send_awaited(struct channel *channel, struct transfer *transfer)
{
	if (channel->has_swallowed)
		return give_up(channel, transfer->fd) ? exchange_send(transfer) : -1;
	channel->has_swallowed = true;
	return (ssize_t)channel->partial_length;
}

static bool blocks(const struct transfer *transfer)
{
	return !(transfer->flags & MSG_DONTWAIT) && !(real.fcntl(transfer->fd, F_GETFL) & O_NONBLOCK);
}

/* Who reads until nothing is there has read enough for its library to be asked; if it waits for more instead, there is
 * more. */
static bool may_be_denied(struct channel *channel, const struct transfer *transfer)
{
	static const uint8_t more[] = {HANDSHAKE_RECORD};

	if (channel->has_denied || blocks(transfer))
		return false;
	channel->has_denied = true;
	real.send(channel->stand_in.peer, more, sizeof(more), MSG_NOSIGNAL | MSG_DONTWAIT);
	return true;
}

static ssize_t receive_awaited(struct channel *channel, struct transfer *transfer)
{
	size_t n;
	const struct iovec *vector = transfer_is_readable(transfer) ? transfer_vector(transfer, &n) : NULL;
	bool is_stranger = !channel->handshake || !handshake_is_carried_here(channel->handshake);

	if (!vector || !n || !vector->iov_len)
		return transfer_call_kernel(transfer);
	/* One byte is not what these ask for. */
	if (is_stranger || (transfer->flags & (MSG_PEEK | MSG_WAITALL)))
		return give_up(channel, transfer->fd) ? exchange_receive(transfer) : -1;
	if (channel->has_shown) {
		if (!may_be_denied(channel, transfer))
			return give_up(channel, transfer->fd) ? exchange_receive(transfer) : -1;
		errno = EAGAIN;
		return -1;
	}
	*(uint8_t *)vector->iov_base = HANDSHAKE_RECORD;
	channel->has_shown = true;
	return 1;
}

/* A stub with something to read under the program's numbers. */
static bool stand_in(struct sock *sock, struct channel *channel)
{
	uint8_t word[STAND_IN_WORD];

	memset(word, HANDSHAKE_RECORD, sizeof(word));
	if (!stub_open_pair(&channel->stand_in))
		return false;
	if (real.send(channel->stand_in.peer, word, sizeof(word), MSG_NOSIGNAL | MSG_DONTWAIT) ==
		    (ssize_t)sizeof(word) &&
	    stub_set_flags(&channel->stand_in, sock->status_flags) && swap_files(sock, channel->stand_in.end) == 0) {
		sock->has_stand_in = true;
		return true;
	}
	return false;
}

/* The ClientHello waits here for a program that has to dial after all. */
static bool begin_awaiting(struct handshake *handshake, struct sock *sock, const uint8_t *hello, size_t length)
{
	static const struct channel_awaiting awaiting = {.send = send_awaited, .receive = receive_awaited};
	struct channel *channel = length <= TLS_HELLO_MAX ? handshake_attach(handshake, sock) : NULL;

	if (!channel)
		return false;
	if (!stand_in(sock, channel)) {
		channel_detach(sock);
		return false;
	}
	memcpy(channel->partial, hello, length);
	channel->partial_length = (uint32_t)length;
	channel->has_swallowed = channel->has_shown = channel->has_denied = false;
	channel->awaiting = &awaiting;
	channel->phase = CHANNEL_AWAITING;
	return true;
}

bool offline_take_first(struct sock *sock, const struct transfer *transfer)
{
	size_t length;
	const uint8_t *hello = whole_hello(transfer, &length);
	struct handshake *handshake = hello ? expected_find(hello + RANDOM_AT) : NULL;

	/* A thread that waits on it already would not see what stands in. */
	if (!handshake || sock->transport || !handshake_is_wanted(sock) || sock_n_inside(sock) ||
	    !handshake_is_carried_here(handshake))
		return false;
	if (handshake_find_kept(sock, handshake->digest) && begin_awaiting(handshake, sock, hello, length))
		return true;
	return sock->state == SOCK_OPEN && handshake_begin_recording(handshake, sock);
}
