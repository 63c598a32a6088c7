/* See state.h. */
#include "pool/tls/state.h"

#include <string.h>

/* The layout's name: another build's state is not read. */
#define MAGIC (UINT64_C(0x484c544c53000000) + sizeof(struct tls_state))
/* AES-GCM is safe for 2^24.5 records of full length (RFC 8446 5.5). */
#define RECORDS_MAX (UINT64_C(1) << 23)

bool tls_state_take_number(struct tls_state *state, uint16_t epoch, uint64_t *number)
{
	uint64_t taken = atomic_fetch_add(&state->write_number, 1);

	*number = taken & TLS_NUMBER_MASK;
	return taken >> TLS_NUMBER_BITS == epoch && *number < RECORDS_MAX;
}

bool tls_state_peek_number(struct tls_state *state, uint16_t epoch, uint64_t *next)
{
	*next = atomic_load(&state->write_number);
	return *next >> TLS_NUMBER_BITS == epoch && (*next & TLS_NUMBER_MASK) < RECORDS_MAX;
}

bool tls_state_take_this_number(struct tls_state *state, uint64_t next)
{
	return atomic_compare_exchange_strong(&state->write_number, &next, next + 1);
}

uint16_t tls_state_epoch(const struct tls_state *state)
{
	return (uint16_t)(atomic_load(&state->write_number) >> TLS_NUMBER_BITS);
}

void tls_state_next_epoch(struct tls_state *state)
{
	atomic_store(&state->write_number, (uint64_t)(tls_state_epoch(state) + 1u) << TLS_NUMBER_BITS);
}

void tls_state_begin(struct tls_state *state, uint64_t id)
{
	state->magic = MAGIC;
	state->id = id;
}

bool tls_state_add(struct tls_state *state, const void *bytes, size_t length, struct tls_span *span)
{
	if (length > TLS_ARENA_SIZE - state->used)
		return false;
	*span = (struct tls_span){state->used, (uint32_t)length};
	memcpy(state->arena + state->used, bytes, length);
	state->used += (uint32_t)length;
	return true;
}

static bool is_inside(struct tls_span span)
{
	return span.offset <= TLS_ARENA_SIZE && span.length <= TLS_ARENA_SIZE - span.offset;
}

bool tls_state_check(const struct tls_state *state)
{
	struct tls_turn last = {0, 0};

	if (state->magic != MAGIC || !tls_suite_find(state->version, state->suite) || state->n_turns > TLS_TURNS_MAX ||
	    memchr(state->server_name, '\0', sizeof(state->server_name)) == NULL)
		return false;
	if (!is_inside(state->client) || !is_inside(state->server) || !is_inside(state->random) ||
	    !is_inside(state->tickets) || !is_inside(state->finished) || state->last_flight > state->client.length)
		return false;
	for (uint32_t i = 0; i < state->n_turns; i++) {
		struct tls_turn turn = state->turns[i];

		if (turn.client < last.client || turn.server < last.server || turn.client > state->client.length ||
		    turn.server > state->server.length)
			return false;
		last = turn;
	}
	return true;
}
