/* See own_wire.h. */
#include "shim/tls/own_wire.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "shim/base/alone.h"
#include "shim/base/clock.h"
#include "shim/base/home.h"
#include "shim/base/lock.h"
#include "shim/base/real.h"
#include "shim/connect/redial.h"
#include "shim/sock/pending.h"
#include "shim/tls/channel.h"
#include "shim/tls/own_attempt.h"
#include "shim/tls/own_held.h"
#include "shim/tls/own_request.h"

/* A server with several certificates may show the right one at another time. */
#define TRIES 3

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
		own_attempt_end(&own->attempt);
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
	int error = own->wire ? 0 : own_attempt_go_on(own, fd);

	return error ? error : send_request(own, fd);
}

static void count_pending(struct own_wire *own, bool is_pending)
{
	if (is_pending == own->is_pending || own_is_parents(own))
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

/* All but what is the library's. */
static void let_go(struct own_wire *own)
{
	count_pending(own, false);
	own_held_end(own, false);
	if (own->wire)
		wire_put(own->wire);
	if (own->old)
		wire_put(own->old);
	own->wire = own->old = NULL;
}

static void end(struct own_wire *own)
{
	let_go(own);
	own_attempt_end(&own->attempt);
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
	*error = own_attempt_begin(own);
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

bool own_wire_hold(struct channel *channel, struct conn *conn)
{
	struct own_wire *own = channel->begun;

	if (!own || conn->fd < 0)
		return false;
	own_held_begin(own, conn);
	return true;
}

void own_wire_push(struct channel *channel, int fd)
{
	struct own_wire *own;

	if (!channel->own || !guard_lock_try_now(&channel->own_lock))
		return;
	own = channel->own;
	if (own && !own->error && !own_is_parents(own)) {
		int error = own->wire ? send_request(own, fd) : own_attempt_push(own, fd);

		if (own->is_gentle)
			own_held_end_gentle_time(own, fd, error == 0);
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

	own_attempt_end(&own->attempt);
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
	return error || own->wire ? error : own_attempt_begin(own);
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

	if (own && own_is_parents(own))
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
