/*
 * Fuzz target for the state of a TLS connection, as it comes from another process.
 *
 * Input: pairs of an offset (3 bytes) and a byte that is written there into a state that is good. Where the check
 * accepts the result, a handshake is played to it and nothing outside of it is touched: it lies at the end of its
 * memory, which the sanitizer guards.
 */
#include "pool/tls/script.h"

#include <stdlib.h>
#include <string.h>

#define MUST(condition) ((condition) ? (void)0 : abort())
#define CHANGE 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void begin(struct tls_state *state)
{
	static const uint8_t bytes[512] = {22, 3, 1, 0, 100, 1};

	memset(state, 0, sizeof(*state));
	tls_state_begin(state, 1);
	state->version = TLS_1_3;
	state->suite = 0x1301;
	MUST(tls_state_add(state, bytes, 300, &state->client));
	MUST(tls_state_add(state, bytes, 500, &state->server));
	MUST(tls_state_add(state, "R\x04\0\0\0abcdK\x02\0\0\0ef", 16, &state->random));
	MUST(tls_state_add(state, bytes, 36, &state->finished));
	MUST(tls_state_add(state, "\x02\0ab\x03\0abc", 9, &state->tickets));
	state->last_flight = 200;
	state->n_turns = 2;
	state->turns[0] = (struct tls_turn){200, 300};
	state->turns[1] = (struct tls_turn){300, 500};
}

static void play(const struct tls_state *state)
{
	static const uint8_t bytes[512] = {22, 3, 1, 0, 100, 1};
	static struct tls_script script;
	uint8_t room[700];
	size_t length, n = 0;

	tls_script_begin(&script, state);
	while (n++ < 8 && tls_script_draw(&script, n % 2 ? 'R' : 'K', &length))
		MUST(length <= TLS_ARENA_SIZE);
	for (size_t at = 0; at < 400; at += 100) {
		tls_script_sent(&script, bytes + at, 100);
		MUST(tls_script_read(&script, room, sizeof(room)) <= sizeof(room));
	}
	(void)tls_script_is_complete(&script, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tls_state *state = calloc(1, TLS_STATE_SIZE);

	MUST(state);
	begin(state);
	for (; size >= CHANGE; data += CHANGE, size -= CHANGE) {
		size_t at = ((size_t)data[0] << 16 | (size_t)data[1] << 8 | data[2]) % TLS_STATE_SIZE;

		((uint8_t *)state)[at] = data[3];
	}
	/* With AES-GCM of TLS 1.2 a key would be needed. */
	if (tls_state_check(state) && state->version == TLS_1_3)
		play(state);
	free(state);
	return 0;
}
