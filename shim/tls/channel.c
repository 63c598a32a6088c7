/* See channel.h. */
#include "shim/tls/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>

#include "pool/base/clock.h"
#include "shim/base/clock.h"
#include "shim/base/lock.h"
#include "shim/base/real.h"
#include "shim/exchange/enter.h"
#include "shim/exchange/iocall.h"
#include "shim/sock/pending.h"
#include "shim/sock/stub.h"
#include "shim/sock/swap.h"
#include "shim/tls/handshake.h"
#include "shim/tls/library.h"
#include "shim/tls/own_wire.h"
#include "shim/tls/session.h"

/* Of 100 us. */
#define PLAY_TRIES 20000
#define ALERT_LENGTH 2u

static struct guard_lock lock; /* covers `free_ones` */
static struct channel *free_ones;

static struct channel *take(void)
{
	struct channel *channel = NULL;

	if (guard_lock_try(&lock)) {
		channel = free_ones;
		if (channel)
			free_ones = channel->next_free;
		guard_unlock(&lock);
	}
	if (channel)
		return channel;
	channel = libc.mmap(NULL, sizeof(*channel), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (channel == MAP_FAILED)
		return NULL;
	libc.madvise(channel, sizeof(*channel), MADV_DONTDUMP);
	return channel;
}

/* Keys are wiped, and their memory kept for the next (libssl.c). */
static void put(struct channel *channel)
{
	struct tls_seal from_program = channel->from_program, to_program = channel->to_program;

	tls_seal_end(&from_program);
	tls_seal_end(&to_program);
	explicit_bzero(channel, offsetof(struct channel, partial));
	channel->from_program = from_program;
	channel->to_program = to_program;
	channel->ready_at = channel->ready_length = 0;
	channel->alert = (struct tls_content){0};
	if (!guard_lock_try(&lock))
		return;
	channel->next_free = free_ones;
	free_ones = channel;
	guard_unlock(&lock);
}

static void drop_wires(struct channel *channel)
{
	own_wire_drop(channel);
	if (channel->wire)
		wire_put(channel->wire);
	if (channel->fresh)
		wire_put(channel->fresh);
	channel->wire = channel->fresh = NULL;
}

static void leave(struct channel *channel)
{
	if (atomic_fetch_sub(&channel->n_users, 1) == 1 && channel->is_orphan) {
		drop_wires(channel);
		put(channel);
	}
}

static void end(struct transport *transport)
{
	struct channel *channel = channel_of(transport);

	if (channel->handshake)
		channel->handshake->channel = NULL;
	channel->handshake = NULL;
	if (channel->stand_in.end >= 0)
		stub_close_pair(&channel->stand_in);
	channel->is_orphan = true;
	atomic_fetch_add(&channel->n_users, 1);
	leave(channel);
}

static void count(const struct transport *transport, struct ledger *ledger)
{
	const struct channel *channel = channel_of(transport);

	if (channel->wire) {
		ledger->sent = channel->wire->sent;
		ledger->received = channel->wire->received;
	} else if (channel->phase == CHANNEL_RECORDING) {
		ledger->sent = channel->sent;
		ledger->received = channel->received;
	}
}

static bool is_needed(const struct transport *transport)
{
	enum channel_phase phase = channel_of(transport)->phase;

	return phase != CHANNEL_RECORDING && phase != CHANNEL_SKIPPING;
}

/* One of the two directions. */
struct direction {
	ssize_t (*in_session)(struct channel *channel, struct transfer *transfer);
	ssize_t (*in_handshake)(struct handshake *handshake, struct transfer *transfer);
	ssize_t (*when_refused)(const struct transfer *transfer);
	ssize_t (*again)(struct transfer *transfer);
};

static ssize_t swallow(const struct transfer *transfer)
{
	return (ssize_t)transfer_length(transfer);
}

static ssize_t end_of_file(const struct transfer *transfer)
{
	(void)transfer;
	return 0;
}

static const struct direction sending = {session_send, handshake_send, swallow, exchange_send},
			      receiving = {session_receive, handshake_receive, end_of_file, exchange_receive};

/* The bytes are those of a handshake that is recorded or played: those of another thread never are. */
static bool is_in_handshake(const struct channel *channel)
{
	const struct handshake *handshake = channel->handshake;

	return handshake && (handshake == handshake_current || handshake_is_carried_here(handshake));
}

/* Another thread is in the library, which will be done at once. */
static bool await_play(const struct channel *channel)
{
	for (int i = 0; i < PLAY_TRIES && channel->phase == CHANNEL_PLAYING; i++)
		clock_nap(100 * MICROSECOND_NS);
	return channel->phase != CHANNEL_PLAYING;
}

/* The handshake goes by, or a program that shakes hands without us. */
static ssize_t pass_before_session(struct channel *channel, struct transfer *transfer,
				   const struct direction *direction)
{
	if (channel->phase == CHANNEL_AWAITING || channel->phase == CHANNEL_SKIPPING)
		return (direction == &sending ? channel->awaiting->send : channel->awaiting->receive)(channel,
												      transfer);
	if (is_in_handshake(channel))
		return direction->in_handshake(channel->handshake, transfer);
	if (channel->phase == CHANNEL_RECORDING)
		return transfer_call_kernel(transfer);
	if (channel->phase == CHANNEL_REFUSED)
		return direction->when_refused(transfer);
	if (channel->phase == CHANNEL_PLAYING && !handshake_current && await_play(channel))
		return direction->again(transfer);
	errno = channel->phase == CHANNEL_DEAD ? channel->error : ECONNRESET;
	return -1;
}

/* Somebody speaks on it who is not in the handshake that is recorded: the rest is none of ours. */
static void let_strangers_through(struct sock *sock, const struct channel *channel)
{
	if (channel->phase == CHANNEL_RECORDING && !is_in_handshake(channel))
		sock_untrack(sock, REFUSAL_TLS_OPAQUE);
}

static bool blocks(const struct transfer *transfer)
{
	return !(transfer->flags & MSG_DONTWAIT) && !(real.fcntl(transfer->fd, F_GETFL) & O_NONBLOCK);
}

/* A fresh connection is made in the place of the one that it had. 0; -EAGAIN: it still is; or the error that it ended
 * with. */
static int await_own_wire(struct channel *channel, const struct transfer *transfer)
{
	int error;

	while ((error = own_wire_go_on(channel, transfer->fd)) == -EAGAIN && blocks(transfer)) {
		struct pollfd entry = {.fd = transfer->fd, .events = POLLIN};

		REAL(poll)(&entry, 1, PENDING_SLICE_MS);
	}
	return error;
}

/* What is ready for the program already, and what it sends meanwhile, it may have now. */
static ssize_t pass_in_session(struct channel *channel, struct transfer *transfer, const struct direction *direction)
{
	int error = __builtin_expect(channel->own != NULL, 0) ? await_own_wire(channel, transfer) : 0;

	if (!error || error == -EAGAIN)
		return direction->in_session(channel, transfer);
	errno = -error;
	return -1;
}

/* Takes the socket locked, and leaves it unlocked. */
static ssize_t pass(struct sock *sock, struct transfer *transfer, const struct direction *direction)
{
	struct channel *channel = channel_of(sock->transport);
	int saved = errno;
	ssize_t n;

	atomic_fetch_add(&channel->n_users, 1);
	/* Of the numbers that it may have by now. */
	channel->fd = transfer->fd;
	let_strangers_through(sock, channel);
	sock_leave(sock);
	n = channel->phase == CHANNEL_SESSION ? pass_in_session(channel, transfer, direction)
					      : pass_before_session(channel, transfer, direction);
	if (n < 0)
		saved = errno;
	leave(channel);
	errno = saved;
	return n;
}

static ssize_t send_outer(struct sock *sock, struct transfer *transfer)
{
	return pass(sock, transfer, &sending);
}

static ssize_t receive_outer(struct sock *sock, struct transfer *transfer)
{
	return pass(sock, transfer, &receiving);
}

static enum refusal why_not_parked(const struct transport *transport)
{
	const struct channel *channel = channel_of(transport);

	if (channel->unfit != REFUSAL_NONE)
		return channel->unfit;
	if (channel->is_judged_later)
		return REFUSAL_CLIENT_CLOSE;
	return channel->phase == CHANNEL_SESSION && channel->wire && !channel->partial_length && !channel->owed &&
			       !channel->flight_left && wire_is_between_records(channel->wire)
		       ? REFUSAL_NONE
		       : REFUSAL_TLS_OPAQUE;
}

static void park(struct transport *transport, struct conn *conn)
{
	struct channel *channel = channel_of(transport);

	wire_rest(channel->wire);
	channel->wire->is_donor = false;
	conn->session = channel->wire;
	channel->wire = NULL;
}

static void adopt(struct transport *transport)
{
	struct channel *channel = channel_of(transport);

	channel->alert = (struct tls_content){0};
	if (channel->begun) {
		own_wire_adopt(channel);
		return;
	}
	if (channel->wire)
		wire_put(channel->wire);
	channel->wire = channel->fresh;
	channel->fresh = NULL;
}

static bool hold(struct transport *transport, struct conn *conn)
{
	return own_wire_hold(channel_of(transport), conn);
}

static void push(struct transport *transport, int fd)
{
	own_wire_push(channel_of(transport), fd);
}

static void inherit(struct transport *transport)
{
	own_wire_inherit(channel_of(transport));
}

static bool take_farewell(struct transport *transport, struct pool_farewell *farewell)
{
	struct wire *wire = channel_of(transport)->wire;

	return wire && wire_take_farewell(wire, farewell);
}

static int redial(struct transport *transport, int fd, int patience_ms, const char *bytes, size_t length)
{
	return own_wire_make(channel_of(transport), fd, patience_ms, (const uint8_t *)bytes, length);
}

bool channel_put_back(struct sock *sock)
{
	struct stub *stub = &channel_of(sock->transport)->stand_in;
	struct conn *conn = sock->conn;

	if (!sock->has_stand_in)
		return true;
	if (!conn ||
	    (sock->status_flags != stub->status_flags && real.fcntl(conn->fd, F_SETFL, sock->status_flags) < 0) ||
	    swap_files(sock, conn->fd) != 0)
		return false;
	sock->has_stand_in = false;
	stub_close_pair(stub);
	return true;
}

/* Records that are ready, and the last one, which is made when the program reads. */
static int unread(const struct sock *sock)
{
	const struct channel *channel = channel_of(sock->transport);
	uint32_t n = channel->ready_length - channel->ready_at;

	if (channel->phase == CHANNEL_SESSION && !channel->is_at_end &&
	    (sock->state == SOCK_ENDING || sock->state == SOCK_STUB))
		n += ALERT_LENGTH + (uint32_t)tls_record_overhead(channel->suite);
	return (int)n;
}

static void leave_stand_in(struct sock *sock)
{
	if (!channel_put_back(sock))
		sock_mark_unfit(sock, REFUSAL_ERROR);
	channel_detach(sock);
}

static const struct transport template = {
	.send = session_wire_send,
	.recv = session_wire_receive,
	.is_quiet = session_is_quiet,
	.send_outer = send_outer,
	.receive_outer = receive_outer,
	.count = count,
	.why_not_parked = why_not_parked,
	.park = park,
	.is_needed = is_needed,
	.redial = redial,
	.adopt = adopt,
	.hold = hold,
	.push = push,
	.inherit = inherit,
	.take_farewell = take_farewell,
	.end = end,
	.unread = unread,
	.leave = leave_stand_in,
};

struct channel *channel_attach(struct sock *sock)
{
	struct channel *channel = take();

	if (!channel)
		return NULL;
	channel->transport = template;
	channel->stand_in = (struct stub){-1, -1, 0};
	sock->transport = &channel->transport;
	return channel;
}

void channel_detach(struct sock *sock)
{
	struct transport *transport = sock->transport;

	sock->transport = NULL;
	sock->has_stand_in = false;
	end(transport);
}

static bool take_program_keys(struct channel *channel, const struct tls_state *state)
{
	const struct tls_crypto *crypto = channel->library->crypto;
	struct tls_traffic_key keys[2];
	bool done = true;

	memcpy(keys, state->program_key, sizeof(keys));
	memcpy(channel->secret, state->program_secret, sizeof(channel->secret));
	for (unsigned side = 0; side < 2 && channel->suite->version == TLS_1_3; side++)
		done &= tls_keys_of_secret(crypto, channel->suite, channel->secret[side], &keys[side]);
	done = done && tls_seal_begin(&channel->from_program, crypto, channel->suite, &keys[TLS_CLIENT], false) &&
	       tls_seal_begin(&channel->to_program, crypto, channel->suite, &keys[TLS_SERVER], true);
	explicit_bzero(keys, sizeof(keys));
	return done;
}

struct sock *channel_enter(const struct channel *channel)
{
	struct sock *sock = sock_enter(channel->fd);

	if (sock && sock->transport != &channel->transport) {
		sock_leave(sock);
		sock = NULL;
	}
	return sock;
}

/* The tickets that followed the recorded handshake: a library may wait for them. As many as there is room for. */
static void make_tickets_ready(struct channel *channel, const struct tls_state *state)
{
	const uint8_t *at = tls_state_at(state, state->tickets), *end = at + state->tickets.length;
	uint16_t length;

	for (; end - at > (ptrdiff_t)sizeof(length); at += length) {
		memcpy(&length, at, sizeof(length));
		at += sizeof(length);
		if (length > end - at || length > TLS_CONTENT_MAX ||
		    !channel_make_ready(channel, TLS_HANDSHAKE, at, length))
			return;
	}
}

bool channel_begin_session(struct channel *channel, struct wire *wire)
{
	channel->suite = wire->suite;
	/* In TLS 1.2 the Finished messages were records 0. */
	channel->n_from_program = channel->n_to_program = wire->suite->version == TLS_1_2;
	channel->handshake = NULL;
	channel->wire = wire;
	channel->phase = CHANNEL_SESSION;
	if (!take_program_keys(channel, wire->state))
		return false;
	make_tickets_ready(channel, wire->state);
	return true;
}
