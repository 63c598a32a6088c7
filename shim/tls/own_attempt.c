/* See own_attempt.h. */
#include "shim/tls/own_attempt.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>

#include "shim/base/real.h"
#include "shim/tls/handshake.h"
#include "shim/tls/library.h"
#include "shim/tls/own_request.h"

void own_attempt_end(struct attempt *attempt)
{
	if (attempt->session)
		attempt->library->own_close(attempt->session);
	if (attempt->record)
		handshake_put(attempt->record);
	attempt->session = NULL;
	attempt->record = NULL;
	attempt->is_done = attempt->awaits_record = false;
}

int own_attempt_push(struct own_wire *own, int fd)
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

/* The library's bytes for the server are taken. */
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
	int error = own_attempt_push(own, fd);

	while (!error && !attempt->is_done) {
		int result;

		error = attempt->awaits_record ? give_in(own, fd) : 0;
		if (error)
			break;
		result = attempt->library->own_step(attempt->session);
		attempt->awaits_record = result == 0;
		attempt->is_done = result == 1;
		take_out(own);
		error = own_attempt_push(own, fd);
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

int own_attempt_go_on(struct own_wire *own, int fd)
{
	struct handshake_place outer = handshake_step_in(NULL);
	int error = shake_hands(own, fd);

	if (!error && !is_same_leaf(&own->attempt))
		error = -EKEYREJECTED;
	if (!error && !(own->wire = make_wire(&own->attempt)))
		error = -ECONNABORTED;
	handshake_step_out(outer);
	return error;
}

int own_attempt_begin(struct own_wire *own)
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

bool own_attempt_was_answered(const struct own_wire *own)
{
	return own->attempt.record->recorder.server_length || own->in_length;
}
