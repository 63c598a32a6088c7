/* Handshakes and the sockets that carry them: which connection one is recorded on, or played to; see handshake.h. */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "shim/connect/lease.h"
#include "shim/connect/redial.h"
#include "shim/exchange/enter.h"
#include "shim/tls/channel.h"
#include "shim/tls/handshake.h"
#include "shim/tls/library.h"

struct sock *handshake_enter(int fd)
{
	struct sock *sock = exchange_enter(fd);

	if (!sock)
		return NULL;
	/* Left by a handshake that was begun here and never sent anything. */
	if (handshake_is_wanted(sock) && sock->transport && !sock_is_translated(sock))
		channel_detach(sock);
	if (handshake_is_wanted(sock) && !sock->transport)
		return sock;
	sock_leave(sock);
	return NULL;
}

bool handshake_is_wanted(const struct sock *sock)
{
	return sock->state == SOCK_OPEN && !sock->has_sent && sock->policy->mode == CONFIG_MODE_FULL &&
	       sock->policy->tls == CONFIG_TLS_REUSE && !atomic_load(&sock->is_shared) && !sock->unfit;
}

const struct tls_state *handshake_tentative(const struct sock *sock)
{
	const struct wire *wire;

	if (sock->state != SOCK_OPEN || !sock->is_leased || sock->has_sent || sock->transport || !sock->conn ||
	    atomic_load(&sock->is_shared))
		return NULL;
	wire = sock->conn->session;
	return wire ? wire->state : NULL;
}

struct channel *handshake_attach(struct handshake *handshake, struct sock *sock)
{
	struct channel *channel = channel_attach(sock);

	if (!channel)
		return NULL;
	channel->fd = sock->fds[0];
	channel->library = handshake->library;
	channel->library_session = handshake->library_session;
	channel->handshake = handshake;
	handshake->channel = channel;
	return channel;
}

bool handshake_begin_playing(struct handshake *handshake, struct sock *sock)
{
	struct channel *channel = handshake_attach(handshake, sock);
	const struct wire *wire = sock->conn->session;

	if (!channel)
		return false;
	channel->phase = CHANNEL_PLAYING;
	handshake->phase = HANDSHAKE_PLAYED;
	tls_script_begin(&handshake->script, wire->state);
	return true;
}

void handshake_refuse(struct handshake *handshake)
{
	struct channel *channel = handshake->channel;
	struct sock *sock = channel ? channel_enter(channel) : NULL;

	if (!sock)
		return;
	channel->phase = CHANNEL_REFUSED;
	channel->handshake = NULL;
	handshake->channel = NULL;
	sock_leave(sock);
}

bool handshake_conclude_played(struct handshake *handshake)
{
	struct channel *channel = handshake->channel;
	struct sock *sock = channel ? channel_enter(channel) : NULL;
	struct wire *wire;
	bool done = false;

	if (!sock)
		return false;
	wire = sock->conn && sock->state == SOCK_OPEN ? sock->conn->session : NULL;
	if (wire && wire->state == handshake->script.state && handshake_was_played(handshake)) {
		wire->sent = sock->conn->ledger.sent;
		wire->received = sock->conn->ledger.received;
		sock->conn->session = NULL;
		handshake->phase = HANDSHAKE_OVER;
		done = wire_begin(wire, handshake->library->crypto) && channel_begin_session(channel, wire);
		channel->is_judged_later = handshake->library->is_final;
		if (!done)
			channel->phase = CHANNEL_DEAD;
	}
	sock_leave(sock);
	return done;
}

/* A connection that was dialled, or is being. False: the kept one stays. Locked. */
static bool make_fresh(struct sock *sock, int *error)
{
	if (!sock->is_leased)
		return true;
	sock->missed = MISSED_UNKNOWN_PROTOCOL;
	*error = redial(sock, sock->conn->session ? REDIAL_FOR_OTHER_SESSION : REDIAL_FOR_UNFIT, -1);
	return *error == 0;
}

bool handshake_begin_recording(struct handshake *handshake, struct sock *sock)
{
	int error = 0;
	bool is_fresh = make_fresh(sock, &error);
	struct channel *channel = sock->state == SOCK_OPEN ? handshake_attach(handshake, sock) : NULL;

	if (!channel)
		return false;
	/* Of one without a socket the ClientHello was made before. */
	if (!handshake->is_offline || handshake->phase != HANDSHAKE_RECORDED)
		handshake_forget_recorded(handshake);
	handshake->phase = HANDSHAKE_RECORDED;
	channel->phase = is_fresh ? CHANNEL_RECORDING : CHANNEL_DEAD;
	channel->error = -error;
	return true;
}

static bool fits(const struct conn *conn, const void *what)
{
	const struct wire *wire = conn->session;

	return wire && memcmp(wire->state->digest, what, TLS_DIGEST_LENGTH) == 0;
}

bool handshake_find_kept(struct sock *sock, const uint8_t digest[TLS_DIGEST_LENGTH])
{
	return handshake_tentative(sock) && (fits(sock->conn, digest) || lease_other_session(sock, fits, digest));
}

/* The first bytes that were sent, whatever the server's recorded answer made of them. */
static bool asks_for_another(const struct handshake *handshake, const struct tls_state *state, struct tls_hello *hello)
{
	return handshake_read_hello(handshake->library, handshake->script.hello, handshake->script.hello_length,
				    hello) &&
	       memcmp(hello->digest, state->digest, sizeof(state->digest)) != 0;
}

bool handshake_try_other(struct handshake *handshake)
{
	struct channel *channel = handshake->channel;
	struct sock *sock = channel ? channel_enter(channel) : NULL;
	const struct wire *wire;
	struct tls_hello hello;
	bool found = false;

	if (!sock)
		return false;
	wire = sock->state == SOCK_OPEN && sock->conn ? sock->conn->session : NULL;
	if (wire && asks_for_another(handshake, wire->state, &hello) && lease_other_session(sock, fits, hello.digest)) {
		wire = sock->conn->session;
		tls_script_begin(&handshake->script, wire->state);
		found = true;
	}
	sock_leave(sock);
	return found;
}

void handshake_give_up_playing(struct handshake *handshake)
{
	struct channel *channel = handshake->channel;
	struct sock *sock = channel ? channel_enter(channel) : NULL;

	/* Whatever becomes of its socket, it draws its own from here on. */
	handshake->phase = HANDSHAKE_RECORDED;
	handshake_forget_recorded(handshake);
	if (!sock)
		return;
	channel_detach(sock);
	if (!handshake_begin_recording(handshake, sock))
		sock_untrack(sock, REFUSAL_ERROR);
	sock_leave(sock);
}
