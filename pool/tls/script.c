/* See script.h. */
#include "pool/tls/script.h"

#include <string.h>

/* Kind and length. */
#define DRAW_HEADER 5u

void tls_recorder_begin(struct tls_recorder *recorder)
{
	recorder->client_length = recorder->server_length = recorder->random_length = recorder->n_turns = 0;
	recorder->is_too_long = false;
}

static void add(struct tls_recorder *recorder, uint8_t *room, uint32_t size, uint32_t *used, const void *bytes,
		size_t length)
{
	if (length > size - *used) {
		recorder->is_too_long = true;
		return;
	}
	memcpy(room + *used, bytes, length);
	*used += (uint32_t)length;
}

void tls_recorder_sent(struct tls_recorder *recorder, const uint8_t *bytes, size_t length)
{
	add(recorder, recorder->client, TLS_CLIENT_MAX, &recorder->client_length, bytes, length);
}

void tls_recorder_received(struct tls_recorder *recorder, const uint8_t *bytes, size_t length)
{
	struct tls_turn *last = recorder->n_turns ? &recorder->turns[recorder->n_turns - 1] : NULL;

	add(recorder, recorder->server, TLS_SERVER_MAX, &recorder->server_length, bytes, length);
	if (last && last->client == recorder->client_length) {
		last->server = recorder->server_length;
	} else if (recorder->n_turns < TLS_TURNS_MAX) {
		recorder->turns[recorder->n_turns++] =
			(struct tls_turn){recorder->client_length, recorder->server_length};
	} else {
		recorder->is_too_long = true;
	}
}

void tls_recorder_drew(struct tls_recorder *recorder, char kind, const void *bytes, size_t length)
{
	uint32_t stored = (uint32_t)length;

	if (length > TLS_RANDOM_MAX) {
		recorder->is_too_long = true;
		return;
	}
	add(recorder, recorder->random, TLS_RANDOM_MAX, &recorder->random_length, &kind, 1);
	add(recorder, recorder->random, TLS_RANDOM_MAX, &recorder->random_length, &stored, sizeof(stored));
	add(recorder, recorder->random, TLS_RANDOM_MAX, &recorder->random_length, bytes, length);
}

/* Where the last of these records begins. False: they are no whole records. */
static bool find_last_record(const uint8_t *bytes, uint32_t length, uint32_t *last)
{
	uint32_t at = 0;

	while (length - at >= TLS_HEADER_LENGTH) {
		size_t record = tls_record_length(bytes + at);

		if (!record || record > length - at)
			return false;
		*last = at;
		at += (uint32_t)record;
	}
	return at == length && length;
}

bool tls_recorder_save(const struct tls_recorder *recorder, struct tls_state *state)
{
	struct tls_server_hello hello;
	uint32_t ignored;

	if (recorder->is_too_long ||
	    !find_last_record(recorder->client, recorder->client_length, &state->last_flight) ||
	    !find_last_record(recorder->server, recorder->server_length, &ignored) ||
	    !tls_server_hello_find(recorder->server, recorder->server_length, &hello))
		return false;
	state->version = hello.version;
	state->suite = hello.suite;
	state->n_turns = recorder->n_turns;
	memcpy(state->turns, recorder->turns, sizeof(state->turns));
	return tls_state_add(state, recorder->client, recorder->client_length, &state->client) &&
	       tls_state_add(state, recorder->server, recorder->server_length, &state->server) &&
	       tls_state_add(state, recorder->random, recorder->random_length, &state->random);
}

void tls_script_begin(struct tls_script *script, const struct tls_state *state)
{
	script->state = state;
	script->client_at = script->server_at = script->random_at = 0;
	script->hello_length = script->finished_length = 0;
	script->differs = false;
}

static bool has_random_nonce(const struct tls_state *state)
{
	const struct tls_suite *suite = tls_suite_find(state->version, state->suite);

	return suite && suite->version == TLS_1_2 && suite->cipher != TLS_CHACHA20_POLY1305;
}

static void keep(uint8_t *room, size_t size, uint32_t *used, const uint8_t *bytes, size_t length)
{
	if (length > size - *used)
		length = size - *used;
	memcpy(room + *used, bytes, length);
	*used += (uint32_t)length;
}

void tls_script_sent(struct tls_script *script, const uint8_t *bytes, size_t length)
{
	const struct tls_state *state = script->state;
	const uint8_t *recorded = tls_state_at(state, state->client);
	uint32_t comparable = has_random_nonce(state) ? state->last_flight : state->client.length;
	size_t compared;

	keep(script->hello, sizeof(script->hello), &script->hello_length, bytes, length);
	if (length > state->client.length - script->client_at) {
		script->differs = true;
		return;
	}
	compared = script->client_at < comparable ? comparable - script->client_at : 0;
	if (compared > length)
		compared = length;
	if (memcmp(bytes, recorded + script->client_at, compared) != 0)
		script->differs = true;
	keep(script->finished, sizeof(script->finished), &script->finished_length, bytes + compared, length - compared);
	script->client_at += (uint32_t)length;
}

size_t tls_script_read(struct tls_script *script, uint8_t *bytes, size_t length)
{
	const struct tls_state *state = script->state;
	uint32_t end = script->server_at;

	for (uint32_t i = 0; i < state->n_turns && !script->differs; i++)
		if (script->client_at >= state->turns[i].client)
			end = state->turns[i].server;
	if (length > end - script->server_at)
		length = end - script->server_at;
	memcpy(bytes, tls_state_at(state, state->server) + script->server_at, length);
	script->server_at += (uint32_t)length;
	return length;
}

/* The next result, whatever it is; NULL: there is none. */
static const uint8_t *next_drawn(const struct tls_script *script, size_t *length)
{
	const struct tls_span random = script->state->random;
	const uint8_t *at = tls_state_at(script->state, random) + script->random_at;
	uint32_t left = random.length - script->random_at, stored;

	if (left < DRAW_HEADER)
		return NULL;
	memcpy(&stored, at + 1, sizeof(stored));
	*length = stored;
	return stored <= left - DRAW_HEADER ? at : NULL;
}

const uint8_t *tls_script_draw(struct tls_script *script, char kind, size_t *length)
{
	const uint8_t *at = next_drawn(script, length);

	if (!at || at[0] != (uint8_t)kind) {
		script->differs = true;
		return NULL;
	}
	script->random_at += DRAW_HEADER + (uint32_t)*length;
	return at + DRAW_HEADER;
}

static bool is_same_finished(const struct tls_script *script, struct tls_seal *from_client)
{
	const struct tls_state *state = script->state;
	uint8_t bytes[TLS_RECORD_MAX];
	struct tls_content content;

	return script->finished_length > TLS_HEADER_LENGTH &&
	       tls_record_length(script->finished) == script->finished_length &&
	       tls_record_open(from_client, 0, script->finished, script->finished_length, bytes, &content) &&
	       content.type == TLS_HANDSHAKE && content.length == state->finished.length &&
	       memcmp(bytes, tls_state_at(state, state->finished), content.length) == 0;
}

bool tls_script_is_complete(const struct tls_script *script, struct tls_seal *from_client)
{
	const struct tls_state *state = script->state;

	return !script->differs && script->client_at == state->client.length &&
	       script->server_at == state->server.length && script->random_at == state->random.length &&
	       (!has_random_nonce(state) || is_same_finished(script, from_client));
}
