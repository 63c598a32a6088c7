/* See recording.h. */
#include "shim/tls/recording.h"

#include <stdatomic.h>
#include <string.h>

#include "shim/sock/sock.h"
#include "shim/tls/channel.h"
#include "shim/tls/handshake.h"
#include "shim/tls/library.h"

/* A client without a certificate sends only its Finished at the end: type, length, verify_data (RFC 8446 4.4.4). */
#define MESSAGE_HEADER 4u
#define MESSAGE_CERTIFICATE 11

/* Both sides' keys, which are the wire's as well. */
static bool fill_keys(const struct handshake *handshake, const struct tls_suite *suite, struct tls_state *state)
{
	struct tls_server_hello hello;

	if (suite->version == TLS_1_3) {
		if ((handshake->secrets & (HANDSHAKE_HAS_CLIENT | HANDSHAKE_HAS_SERVER)) !=
			    (HANDSHAKE_HAS_CLIENT | HANDSHAKE_HAS_SERVER) ||
		    handshake->secret_length != suite->hash_length)
			return false;
		memcpy(state->program_secret, handshake->secret, sizeof(state->program_secret));
		memcpy(state->wire_secret, handshake->secret, sizeof(state->wire_secret));
		return true;
	}
	if (!(handshake->secrets & HANDSHAKE_HAS_MASTER) ||
	    !tls_server_hello_find(tls_state_at(state, state->server), state->server.length, &hello) ||
	    !tls_keys_of_master(handshake->library->crypto, suite, handshake->master,
				tls_state_at(state, state->client) + 11, hello.random, &state->program_key[TLS_CLIENT],
				&state->program_key[TLS_SERVER]))
		return false;
	memcpy(state->wire_key, state->program_key, sizeof(state->wire_key));
	/* The Finished messages were records 0. */
	atomic_store(&state->write_number, 1);
	state->read_number = 1;
	return true;
}

/* What the client's last record says: it is compared in plain where its nonce is random. */
static bool fill_finished(const struct tls_crypto *crypto, const struct tls_suite *suite, struct tls_state *state)
{
	const uint8_t *record = tls_state_at(state, state->client) + state->last_flight;
	size_t length = state->client.length - state->last_flight;
	struct tls_seal seal = {0};
	uint8_t bytes[TLS_RECORD_MAX];
	struct tls_content content;
	bool done;

	if (suite->version == TLS_1_3) {
		state->asks_certificate = length > tls_record_overhead(suite) + MESSAGE_HEADER + suite->hash_length + 1;
		return true;
	}
	state->asks_certificate =
		tls_flight_has_message(tls_state_at(state, state->client), state->last_flight, MESSAGE_CERTIFICATE);
	state->explicit_base = tls_record_explicit_nonce(suite, record);
	done = tls_seal_begin(&seal, crypto, suite, &state->program_key[TLS_CLIENT], false) &&
	       tls_record_open(&seal, 0, record, length, bytes, &content) && content.type == TLS_HANDSHAKE &&
	       tls_state_add(state, bytes, content.length, &state->finished);
	tls_seal_free(&seal);
	return done;
}

static bool fill_hello(const struct library *library, struct tls_state *state)
{
	struct tls_hello hello;

	if (!handshake_read_hello(library, tls_state_at(state, state->client), state->client.length, &hello))
		return false;
	memcpy(state->digest, hello.digest, sizeof(state->digest));
	memcpy(state->server_name, hello.server_name, sizeof(state->server_name));
	state->offers_alpn = hello.offers_alpn;
	/* The answer is bound to the handshake, which a connection of ours does not share. In TLS 1.2 any server may
	 * ask, by another handshake (RFC 5246 7.4.1.1). */
	state->asks_certificate |= state->version == TLS_1_2 || hello.may_be_asked_later;
	return true;
}

/* Or why it can't be repeated. */
static enum refusal fill_state(const struct handshake *handshake, const struct recording_facts *facts,
			       struct tls_state *state)
{
	const struct tls_suite *suite;

	if (!tls_recorder_save(&handshake->recorder, state))
		return REFUSAL_TLS_OPAQUE;
	suite = tls_suite_find(state->version, state->suite);
	if (!suite)
		return REFUSAL_TLS_VERSION;
	memcpy(state->leaf, facts->leaf, sizeof(state->leaf));
	if (!fill_keys(handshake, suite, state) || !fill_finished(handshake->library->crypto, suite, state) ||
	    !fill_hello(handshake->library, state))
		return REFUSAL_TLS_OPAQUE;
	state->asks_certificate |= facts->asks_certificate;
	return state->asks_certificate && facts->has_client_certificate ? REFUSAL_CLIENT_CERTIFICATE : REFUSAL_NONE;
}

/* The wire of the connection's first program; NULL: it can't be kept, for `why`. */
static struct wire *make_wire(const struct handshake *handshake, const struct recording_facts *facts, enum refusal *why)
{
	struct wire *wire = wire_take();

	*why = REFUSAL_ERROR;
	if (!wire)
		return NULL;
	if (wire_make_state(wire))
		*why = fill_state(handshake, facts, wire->state);
	if (*why == REFUSAL_NONE && wire_share_state(wire) && wire_begin(wire, handshake->library->crypto)) {
		wire->is_donor = true;
		wire->sent = handshake->channel->sent;
		wire->received = handshake->channel->received;
		return wire;
	}
	wire_put(wire);
	if (*why == REFUSAL_NONE)
		*why = REFUSAL_ERROR;
	return NULL;
}

void recording_note_last_flight(struct handshake *handshake, const uint8_t *bytes, size_t length)
{
	tls_recorder_sent(&handshake->recorder, bytes, length);
	if (handshake->channel)
		handshake->channel->flight_left = (uint32_t)length;
}

void recording_conclude(struct handshake *handshake, const struct recording_facts *facts)
{
	struct channel *channel = handshake->channel;
	struct sock *sock = channel ? channel_enter(channel) : NULL;
	enum refusal why = facts->why_not;
	struct wire *wire = NULL;

	handshake->phase = HANDSHAKE_OVER;
	if (!sock)
		return;
	if (why == REFUSAL_NONE && sock->state == SOCK_OPEN && sock->conn)
		wire = make_wire(handshake, facts, &why);
	if (!wire)
		sock_untrack(sock, why);
	else if (!channel_begin_session(channel, wire))
		channel->phase = CHANNEL_DEAD;
	sock_leave(sock);
}
