/*
 * Fuzz target for the framings of memcached and for the proof of its fences: one connection, fed in several ways, must
 * give the same state.
 *
 * Input: byte 0 seeds the cuts, and its lowest bit says which protocol; the rest is the conversation, where the byte
 * 0x1e changes the direction (the program speaks first). It is fed whole, byte by byte, and in random pieces with long
 * values passed. Then:
 *   - what is known of the connection is equal;
 *   - no more is answered than was sent, and what is lost stays lost;
 *   - whole replies are counted as a reader of lines counts them, where all commands were `get`;
 *   - the fences' proofs take the same bytes for the same, in any pieces.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pool/proto/protocol.h"

#define SWITCH '\x1e'
#define MUST(condition) ((condition) ? (void)0 : abort())

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t seed;

static size_t random_below(size_t limit)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % limit;
}

/* The next stretch of one direction: its length, and *next_at behind it and the byte that ends it. */
static size_t get_stretch(const char *text, size_t length, size_t at, size_t *next_at)
{
	const char *end = memchr(text + at, SWITCH, length - at);
	size_t n = end ? (size_t)(end - text) - at : length - at;

	*next_at = at + n + 1;
	return n;
}

/* In an allocation of its own size, so that the sanitizer sees every step too far. */
static void feed_piece(struct protocol_state *state, const char *bytes, size_t length, bool is_request)
{
	char *piece = malloc(length);

	memcpy(piece, bytes, length);
	if (is_request)
		protocol_feed_request(state, NULL, piece, length, NULL);
	else
		protocol_feed_response(state, NULL, piece, length, NULL);
	free(piece);
}

static void feed_pieces(struct protocol_state *state, const char *bytes, size_t length, size_t max_piece,
			bool is_request)
{
	for (size_t at = 0; at < length;) {
		size_t n = max_piece > 1 ? 1 + random_below(max_piece) : 1;
		bool was_lost = protocol_status(state).is_lost;

		if (n > length - at)
			n = length - at;
		if (!is_request && max_piece > 1 && protocol_status(state).known_answer >= n && random_below(2))
			protocol_pass_response(state, n);
		else
			feed_piece(state, bytes + at, n, is_request);
		MUST(!was_lost || protocol_status(state).is_lost);
		at += n;
	}
}

static void tell(struct protocol_state *state, enum protocol_number number, const char *text, size_t length,
		 size_t max_piece)
{
	bool is_request = true;

	memset(state, 0, sizeof(*state));
	protocol_begin_as(state, number);
	for (size_t at = 0, next; at < length; at = next, is_request = !is_request) {
		size_t n = get_stretch(text, length, at, &next);

		feed_pieces(state, text + at, n, max_piece ? max_piece : n + 1, is_request);
	}
}

static void check_equal(const struct protocol_state *a, const struct protocol_state *b)
{
	struct protocol_status one = protocol_status(a), other = protocol_status(b);

	MUST(one.refusal == other.refusal && one.doubt == other.doubt && one.left_state == other.left_state);
	MUST(one.is_lost == other.is_lost && one.has_surplus == other.has_surplus);
	MUST(one.at_boundary == other.at_boundary && one.wants_fresh == other.wants_fresh);
	MUST(one.n_requests == other.n_requests && one.n_awaited == other.n_awaited);
	MUST(one.in_request == other.in_request && one.in_answer == other.in_answer);
	MUST(one.known_answer == other.known_answer);
	MUST(one.n_awaited <= one.n_requests);
	MUST(one.refusal != REFUSAL_NONE || (!one.in_request && !one.in_answer && !one.n_awaited));
}

/* Replies to `get`, by a reader who takes lines: how many are whole. False: something else is among them. */
static bool count_ends(const char *text, size_t length, unsigned *n)
{
	size_t at = 0;

	*n = 0;
	while (at < length) {
		const char *end = memmem(text + at, length - at, "\r\n", 2);
		size_t line = end ? (size_t)(end - text) - at : 0;
		unsigned long flags, bytes;
		char copy[64], key[64], rest;

		if (!end || line >= sizeof(copy))
			return false;
		memcpy(copy, text + at, line);
		copy[line] = '\0';
		at += line + 2;
		if (strcmp(copy, "END") == 0) {
			++*n;
			continue;
		}
		if (strlen(copy) != line || sscanf(copy, "VALUE %63s %9lu %6lu%c", key, &flags, &bytes, &rest) != 3 ||
		    bytes + 2 > length - at || memcmp(text + at + bytes, "\r\n", 2) != 0)
			return false;
		at += bytes + 2;
	}
	return true;
}

static void check_replies(const char *text, size_t length)
{
	struct protocol_state state;
	unsigned n;

	if (!count_ends(text, length, &n) || !n || n > 1000)
		return;
	memset(&state, 0, sizeof(state));
	protocol_begin_as(&state, PROTOCOL_MEMCACHED);
	for (unsigned i = 0; i < n; i++)
		protocol_feed_request(&state, NULL, "get k\r\n", 7, NULL);
	protocol_feed_response(&state, NULL, text, length, NULL);
	/* Ours may take less for a number or a name. */
	MUST(protocol_status(&state).is_lost || protocol_status(&state).refusal == REFUSAL_NONE);
}

static enum fence_proof prove(const struct protocol *protocol, struct fence *fence, const char *text, size_t length,
			      size_t max_piece)
{
	enum fence_proof proof = FENCE_PROOF_GOOD;

	for (size_t at = 0; at < length && proof == FENCE_PROOF_GOOD;) {
		size_t n = max_piece > 1 ? 1 + random_below(max_piece) : 1;
		char *piece;

		if (n > length - at)
			n = length - at;
		piece = malloc(n);
		memcpy(piece, text + at, n);
		proof = protocol->prove(fence, piece, n);
		free(piece);
		at += n;
	}
	return proof;
}

static void check_fence(const struct protocol *protocol, const struct fence *begun, const char *text, size_t length)
{
	struct fence bytes = *begun, pieces = *begun, whole = *begun;
	enum fence_proof proof = prove(protocol, &bytes, text, length, 1);

	MUST(prove(protocol, &pieces, text, length, 40) == proof);
	MUST(protocol->prove(&whole, text, length) == proof);
	MUST(proof != FENCE_PROOF_GOOD || (fence_n_awaited(&bytes) == fence_n_awaited(&whole) &&
					   fence_n_awaited(&bytes) == fence_n_awaited(&pieces)));
	/* Only an answer that ends so proves anything. */
	if (proof == FENCE_PROOF_GOOD && !fence_n_awaited(&whole) && protocol == &memcached)
		MUST(length > 2 && memcmp(text + length - 2, "\r\n", 2) == 0);
}

static void check_fences(const char *text, size_t length)
{
	struct protocol_state state;
	struct fence fence;

	memset(&state, 0, sizeof(state));
	protocol_begin_as(&state, PROTOCOL_MEMCACHED);
	memcached.validate(0, &fence);
	check_fence(&memcached, &fence, text, length);
	protocol_feed_request(&state, NULL, "set k 0 0 1\r\nx\r\n", 16, NULL);
	memcached.reset(&state, 0, &fence);
	check_fence(&memcached, &fence, text, length);
	if (length >= 4)
		memcpy(&fence.nonce, text, 4);
	memcached_binary.validate(fence.nonce, &fence);
	check_fence(&memcached_binary, &fence, text, length);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct protocol_state whole, bytes, pieces;
	const char *text = (const char *)data + 1;
	enum protocol_number number;

	if (size < 2)
		return 0;
	seed = data[0];
	number = seed & 1 ? PROTOCOL_MEMCACHED_BINARY : PROTOCOL_MEMCACHED;
	size--;
	tell(&whole, number, text, size, 0);
	tell(&bytes, number, text, size, 1);
	tell(&pieces, number, text, size, 64);
	check_equal(&whole, &bytes);
	check_equal(&whole, &pieces);
	check_replies(text, size);
	check_fences(text, size);
	memcached.classify(text, size);
	memcached_binary.classify(text, size);
	return 0;
}
