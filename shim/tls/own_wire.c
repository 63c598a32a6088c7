/* See own_wire.h. */
#include "shim/tls/own_wire.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "pool/base/clock.h"
#include "pool/conn/ending.h"
#include "shim/base/alone.h"
#include "shim/base/clock.h"
#include "shim/base/home.h"
#include "shim/base/lock.h"
#include "shim/base/real.h"
#include "shim/connect/redial.h"
#include "shim/sock/pending.h"
#include "shim/tls/channel.h"
#include "shim/tls/own_request.h"
#include "shim/tls/handshake.h"
#include "shim/tls/library.h"

/* A server with several certificates may show the right one at another time. */
#define TRIES 3
/* For so long, and some round trips, a server may take for another connection while the first still stands (as in
 * redial.c); and the dial before that. */
#define GENTLE_NS (200 * MILLISECOND_NS)
#define GENTLE_ROUND_TRIPS 4
#define DIAL_NS (3000 * MILLISECOND_NS)

static struct guard_lock lock; /* covers these lists */
static struct own_wire *free_ones;
static struct own_wire *given_up; /* with sessions of the library's, which may free them only where it is called */

static struct own_wire *take_from(struct own_wire **list)
{
	struct own_wire *own = NULL;

	if (guard_lock_try(&lock)) {
		own = *list;
		if (own)
			*list = own->next_free;
		guard_unlock(&lock);
	}
	return own;
}

static void put_into(struct own_wire **list, struct own_wire *own)
{
	if (!guard_lock_try(&lock))
		return;
	own->next_free = *list;
	*list = own;
	guard_unlock(&lock);
}

static void end_attempt(struct attempt *attempt)
{
	if (attempt->session)
		attempt->library->own_close(attempt->session);
	if (attempt->record)
		handshake_put(attempt->record);
	attempt->session = NULL;
	attempt->record = NULL;
	attempt->is_done = attempt->awaits_record = false;
}

static void put(struct own_wire *own)
{
	explicit_bzero(own->request, own->length);
	memset(own, 0, offsetof(struct own_wire, out));
	put_into(&free_ones, own);
}

static struct own_wire *take(void)
{
	struct own_wire *own;

	while ((own = take_from(&given_up))) {
		end_attempt(&own->attempt);
		put(own);
	}
	own = take_from(&free_ones);
	if (own)
		return own;
	own = libc.mmap(NULL, sizeof(*own), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (own == MAP_FAILED)
		return NULL;
	libc.madvise(own, sizeof(*own), MADV_DONTDUMP);
	return own;
}

/* 0, or -EAGAIN where the kernel has no room, or -errno. */
static int send_out(struct own_wire *own, int fd)
{
	while (own->out_at < own->out_length) {
		ssize_t n = real.send(fd, own->out + own->out_at, own->out_length - own->out_at,
				      MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n > 0)
			own->out_at += (uint32_t)n;
		else if (errno != EINTR)
			return -errno;
	}
	own->out_at = own->out_length = 0;
	return 0;
}

/* One record, so that nothing behind the handshake is read. */
static int receive_record(struct own_wire *own, int fd)
{
	for (;;) {
		size_t whole = own->in_length < TLS_HEADER_LENGTH ? TLS_HEADER_LENGTH : tls_record_length(own->in);
		ssize_t n;

		if (!whole)
			return -ECONNRESET;
		if (whole == own->in_length)
			return 0;
		n = real.recv(fd, own->in + own->in_length, whole - own->in_length, MSG_DONTWAIT);
		if (n > 0)
			own->in_length += (uint32_t)n;
		else if (n == 0)
			return -ECONNRESET;
		else if (errno != EINTR)
			return -errno;
	}
}

/* What the library has to say. */
static void take_out(struct own_wire *own)
{
	struct attempt *attempt = &own->attempt;
	size_t n;

	while ((n = attempt->library->own_take(attempt->session, own->out + own->out_length,
					       sizeof(own->out) - own->out_length)) > 0) {
		tls_recorder_sent(&attempt->record->recorder, own->out + own->out_length, n);
		own->out_length += (uint32_t)n;
	}
}

static int give_in(struct own_wire *own, int fd)
{
	struct attempt *attempt = &own->attempt;
	size_t length;
	int error = receive_record(own, fd);

	if (error)
		return error;
	length = own->in_length;
	own->in_length = 0;
	attempt->awaits_record = false;
	tls_recorder_received(&attempt->record->recorder, own->in, length);
	return attempt->library->own_give(attempt->session, own->in, length) ? 0 : -ENOMEM;
}

static int shake_hands(struct own_wire *own, int fd)
{
	struct attempt *attempt = &own->attempt;
	int error = send_out(own, fd);

	while (!error && !attempt->is_done) {
		int result;

		error = attempt->awaits_record ? give_in(own, fd) : 0;
		if (error)
			break;
		result = attempt->library->own_step(attempt->session);
		attempt->awaits_record = result == 0;
		attempt->is_done = result == 1;
		take_out(own);
		error = send_out(own, fd);
		if (result < 0)
			return -ECONNABORTED;
	}
	return error;
}

static bool is_same_leaf(const struct attempt *attempt)
{
	uint8_t leaf[TLS_DIGEST_LENGTH];

	return attempt->library->own_leaf(attempt->session, leaf) &&
	       memcmp(leaf, attempt->like->leaf, sizeof(leaf)) == 0;
}

/* Where the last record of a flight begins. */
static const uint8_t *last_record(const struct tls_recorder *recorder)
{
	uint32_t at = 0, last = 0;

	while (recorder->client_length - at > TLS_HEADER_LENGTH && tls_record_length(recorder->client + at)) {
		last = at;
		at += (uint32_t)tls_record_length(recorder->client + at);
	}
	return recorder->client + last;
}

/* The keys of this wire, beside the program's of the recording. */
static bool fill_keys(const struct attempt *attempt, struct tls_state *state)
{
	const struct handshake *record = attempt->record;
	struct tls_server_hello hello;

	if (record->recorder.is_too_long ||
	    !tls_server_hello_find(record->recorder.server, record->recorder.server_length, &hello) ||
	    hello.version != state->version || hello.suite != state->suite)
		return false;
	atomic_store(&state->write_number, state->version == TLS_1_2);
	state->read_number = state->version == TLS_1_2;
	if (state->version == TLS_1_3) {
		memcpy(state->wire_secret, record->secret, sizeof(state->wire_secret));
		return (record->secrets & HANDSHAKE_HAS_CLIENT) && (record->secrets & HANDSHAKE_HAS_SERVER);
	}
	state->explicit_base = tls_record_explicit_nonce(attempt->suite, last_record(&record->recorder));
	return (record->secrets & HANDSHAKE_HAS_MASTER) &&
	       tls_keys_of_master(attempt->library->crypto, attempt->suite, record->master,
				  record->recorder.client + 11, hello.random, &state->wire_key[TLS_CLIENT],
				  &state->wire_key[TLS_SERVER]);
}

static struct wire *make_wire(const struct attempt *attempt)
{
	const struct tls_state *like = attempt->like;
	struct wire *wire = wire_take();

	if (!wire)
		return NULL;
	if (wire_make_state(wire)) {
		memcpy(wire->state, like, sizeof(*like) + like->used);
		/* Of that connection, under its keys. */
		wire->state->farewell = (struct tls_farewell){0};
		wire->state->owes_update = false;
		wire->sent = attempt->record->recorder.client_length;
		wire->received = attempt->record->recorder.server_length;
		if (fill_keys(attempt, wire->state) && wire_share_state(wire) &&
		    wire_begin(wire, attempt->library->crypto))
			return wire;
	}
	wire_put(wire);
	return NULL;
}

/* What the program has sent. 0, or -EAGAIN where the kernel has no room, or -errno. */
static int send_request(struct own_wire *own, int fd)
{
	struct wire *wire = own->wire;

	for (;;) {
		size_t part = own->length - own->sent < TLS_CONTENT_MAX ? own->length - own->sent : TLS_CONTENT_MAX;

		while (wire_flush(wire, fd, MSG_DONTWAIT) < 0)
			if (errno != EINTR)
				return -errno;
		if (!part)
			return 0;
		if (!wire_seal(wire, TLS_APPLICATION_DATA, own->request + own->sent, part))
			return -ECONNABORTED;
		own->sent += (uint32_t)part;
	}
}

/* As far as it goes. 0: it is made, and the request sent. */
static int go_on(struct own_wire *own, int fd)
{
	int error;

	if (!own->wire) {
		struct handshake_place outer = handshake_step_in(NULL);

		error = shake_hands(own, fd);
		if (!error && !is_same_leaf(&own->attempt))
			error = -EKEYREJECTED;
		if (!error && !(own->wire = make_wire(&own->attempt)))
			error = -ECONNABORTED;
		handshake_step_out(outer);
		if (error)
			return error;
	}
	return send_request(own, fd);
}

static int begin_attempt(struct own_wire *own)
{
	struct attempt *attempt = &own->attempt;
	struct handshake_place outer;

	own->out_at = own->out_length = own->in_length = 0;
	own->n_tries++;
	attempt->record = handshake_take(attempt->library, NULL);
	if (!attempt->record)
		return -ENOMEM;
	outer = handshake_step_in(NULL);
	attempt->session = attempt->library->own_open(attempt->like, attempt->suite, attempt->record);
	handshake_step_out(outer);
	return attempt->session ? 0 : -ECONNABORTED;
}

static bool is_parents(const struct own_wire *own)
{
	return own->process != guard_pid();
}

static void count_pending(struct own_wire *own, bool is_pending)
{
	if (is_pending == own->is_pending || is_parents(own))
		return;
	own->is_pending = is_pending;
	if (is_pending)
		atomic_fetch_add(&pending_n, 1);
	else
		pending_drop();
}

/* In a child of fork whose program goes on with it: the connection that is held, and what was counted, are the
 * parent's. */
static void take_from_parent(struct own_wire *own)
{
	own->held = NULL;
	own->is_pending = own->is_gentle = false;
	own->process = guard_pid();
}

/* Its former connection ends: where the server may be waiting for that, at once. */
static void end_held(struct own_wire *own, bool is_for_server)
{
	struct conn *held = own->held;
	struct pool_farewell farewell;

	own->held = NULL;
	/* A child of fork has only a copy. */
	if (!held || is_parents(own))
		return;
	if (!is_for_server) {
		held->session = own->old;
		own->old = NULL;
	} else if (wire_take_farewell(own->old, &farewell)) {
		ending_make_for_all(&sock_pool_sys, held->fd, &farewell);
	}
	/* (A slow server looks the same: nothing is learned of it.) */
	redial_end_held(held, false);
}

/* All but what is the library's. */
static void let_go(struct own_wire *own)
{
	count_pending(own, false);
	end_held(own, false);
	if (own->wire)
		wire_put(own->wire);
	if (own->old)
		wire_put(own->old);
	own->wire = own->old = NULL;
}

static void end(struct own_wire *own)
{
	let_go(own);
	end_attempt(&own->attempt);
	put(own);
}

/* Where the library may not free. */
static void give_up(struct own_wire *own)
{
	let_go(own);
	explicit_bzero(own->request, own->length);
	put_into(&given_up, own);
}

static struct own_wire *begin(struct channel *channel, const uint8_t *bytes, size_t length, int *error)
{
	struct own_wire *own = take();

	*error = -ENOMEM;
	if (!own)
		return NULL;
	own->attempt.suite = channel->suite;
	own->attempt.library = channel->library;
	own->attempt.like = channel->wire->state;
	own->begun_ns = guard_now_ns();
	own->process = guard_pid();
	if (length)
		memcpy(own->request, bytes, length);
	own->length = (uint32_t)length;
	*error = begin_attempt(own);
	if (!*error)
		return own;
	end(own);
	return NULL;
}

static int wait_for(const struct own_wire *own, int fd, int patience_ms)
{
	bool sends = own->out_length || own->wire;
	struct pollfd entry = {.fd = fd, .events = sends ? POLLOUT : POLLIN};
	int n;

	do
		n = REAL(poll)(&entry, 1, patience_ms);
	while (n < 0 && errno == EINTR);
	return n > 0 ? 0 : n == 0 ? -ETIMEDOUT : -errno;
}

int own_wire_make(struct channel *channel, int fd, int patience_ms, const uint8_t *bytes, size_t length)
{
	struct own_wire *own;
	int error;

	/* What is bound to the connection that it had was read. */
	if (!channel->wire || channel->unfit == REFUSAL_AUTH_BOUND || length > REPLAY_MAX)
		return -ECONNABORTED;
	own = begin(channel, bytes, length, &error);
	if (!own)
		return error;
	while ((error = go_on(own, fd)) == -EAGAIN && patience_ms) {
		error = wait_for(own, fd, patience_ms);
		if (error)
			break;
	}
	if (error == -EAGAIN) {
		if (channel->begun)
			end(channel->begun);
		channel->begun = own;
		return 0;
	}
	if (!error) {
		if (channel->fresh)
			wire_put(channel->fresh);
		channel->fresh = own->wire;
		own->wire = NULL;
	}
	end(own);
	return error;
}

/* Something is to be sent, or to be done at some time. Among several threads it is as long as it is made: one that
 * began to wait in between would not push what comes later. */
static bool needs_push(const struct own_wire *own, int error)
{
	return error == -EAGAIN || own->is_gentle || !is_alone();
}

void own_wire_adopt(struct channel *channel)
{
	struct own_wire *own = channel->begun;

	channel->begun = NULL;
	if (!own_request_lock(channel)) {
		end(own);
		return;
	}
	own->old = channel->wire;
	channel->wire = NULL;
	channel->own = own;
	count_pending(own, true);
	guard_unlock(&channel->own_lock);
}

static uint64_t round_trip_ns(int fd)
{
	struct tcp_info info = {0};
	socklen_t length = sizeof(info);

	real.getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length);
	return (uint64_t)info.tcpi_rtt * 1000;
}

bool own_wire_hold(struct channel *channel, struct conn *conn)
{
	struct own_wire *own = channel->begun;

	if (!own || conn->fd < 0)
		return false;
	own->held = conn;
	own->is_gentle = true;
	own->gentle_ns = GENTLE_NS + GENTLE_ROUND_TRIPS * round_trip_ns(conn->fd);
	return true;
}

static bool is_silent(int fd)
{
	char byte;

	return real.recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

/* The hello has been sent, or not. A server that says nothing for too long serves the connection that it has, and waits
 * for its end. */
static void end_gentle_time(struct own_wire *own, int fd, bool is_dialed)
{
	uint64_t now_ns = guard_now_ns();

	if (is_dialed && !own->is_dialed)
		own->begun_ns = now_ns;
	own->is_dialed |= is_dialed;
	if (now_ns - own->begun_ns <= (own->is_dialed ? own->gentle_ns : DIAL_NS))
		return;
	own->is_gentle = false;
	if (!own->attempt.record->recorder.server_length && !own->in_length && is_silent(fd))
		end_held(own, true);
}

void own_wire_push(struct channel *channel, int fd)
{
	struct own_wire *own;

	if (!channel->own || !guard_lock_try_now(&channel->own_lock))
		return;
	own = channel->own;
	if (own && !own->error && !is_parents(own)) {
		int error = own->wire ? send_request(own, fd) : send_out(own, fd);

		if (own->is_gentle)
			end_gentle_time(own, fd, error == 0);
		/* The kernel has told of it now, and will not again. */
		if (error != -EAGAIN)
			own->error = error;
		count_pending(own, !own->error && needs_push(own, error));
	}
	guard_unlock(&channel->own_lock);
}

/* The socket, locked, if it is still this channel's, with its connection. */
static struct sock *enter(const struct channel *channel, int fd)
{
	struct sock *sock = sock_enter(fd);

	if (sock && (sock->transport != &channel->transport || sock->state != SOCK_OPEN || !sock->conn)) {
		sock_leave(sock);
		sock = NULL;
	}
	return sock;
}

/* The server was the wrong one: another, or the connection that is held. `own` is nobody's meanwhile. 0 or -errno. */
static int try_another(struct channel *channel, struct own_wire *own, int fd)
{
	struct sock *sock = enter(channel, fd);
	int error = -ECONNRESET;

	end_attempt(&own->attempt);
	own->is_gentle = false;
	if (!sock)
		return error;
	if (own->n_tries < TRIES) {
		error = redial_once_more(sock);
	} else if (own->held) {
		error = redial_return(sock, own->held);
		if (!error) {
			own->wire = own->old;
			own->old = NULL;
			own->held = NULL;
		}
	}
	sock_leave(sock);
	return error || own->wire ? error : begin_attempt(own);
}

static void die(struct channel *channel, struct own_wire *own, int error)
{
	channel->error = -error == EKEYREJECTED ? ECONNRESET : -error;
	channel->unfit = REFUSAL_ERROR;
	channel->phase = CHANNEL_DEAD;
	channel->own = NULL;
	end(own);
}

static int go_on_locked(struct channel *channel, int fd)
{
	struct own_wire *own = channel->own;
	int error = own ? own->error : 0;

	if (own && is_parents(own))
		take_from_parent(own);
	if (own && !error)
		error = go_on(own, fd);
	while (error == -EKEYREJECTED) {
		error = try_another(channel, own, fd);
		if (!error)
			error = go_on(own, fd);
	}
	if (!own)
		return channel->phase == CHANNEL_DEAD ? -channel->error : 0;
	if (error == -EAGAIN) {
		count_pending(own, own->out_length || own->wire || needs_push(own, 0));
		return error;
	}
	if (error) {
		die(channel, own, error);
		return -channel->error;
	}
	channel->wire = own->wire;
	own->wire = NULL;
	channel->own = NULL;
	end(own);
	return 0;
}

int own_wire_go_on(struct channel *channel, int fd)
{
	int error;

	/* A thread that pushes is soon done: the program may not be woken for this a second time. */
	if (!guard_lock_try(&channel->own_lock))
		return -EAGAIN;
	error = go_on_locked(channel, fd);
	guard_unlock(&channel->own_lock);
	return error;
}

/* A thread of the parent's alone may have been in the midst of it: then the child can't have it, and leaves it
 * alone. */
void own_wire_inherit(struct channel *channel)
{
	if (!atomic_load(&channel->own_lock.owner) || guard_lock_is_own(&channel->own_lock))
		return;
	channel->own_lock = (struct guard_lock){0};
	if (!channel->own)
		return;
	channel->own = NULL;
	channel->error = ECONNRESET;
	channel->unfit = REFUSAL_ERROR;
	channel->phase = CHANNEL_DEAD;
}

void own_wire_drop(struct channel *channel)
{
	if (channel->own)
		give_up(channel->own);
	if (channel->begun)
		give_up(channel->begun);
	channel->own = channel->begun = NULL;
}
