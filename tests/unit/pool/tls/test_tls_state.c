/*
 * The state of a connection: numbers that are given out once, room that ends, and memory of another process in which
 * anything may stand.
 */
#include "pool/tls/state.h"

#include <check.h>
#include <string.h>

static union {
	struct tls_state state;
	uint8_t bytes[TLS_STATE_SIZE];
} memory, copy;

static void begin(void)
{
	static const uint8_t bytes[64] = {22, 3, 3};
	struct tls_state *state = &memory.state;

	memset(&memory, 0, sizeof(memory));
	tls_state_begin(state, 7);
	state->version = TLS_1_3;
	state->suite = 0x1301;
	ck_assert(tls_state_add(state, bytes, 60, &state->client));
	ck_assert(tls_state_add(state, bytes, 64, &state->server));
	ck_assert(tls_state_add(state, bytes, 10, &state->random));
	state->last_flight = 30;
	state->n_turns = 2;
	state->turns[0] = (struct tls_turn){20, 40};
	state->turns[1] = (struct tls_turn){60, 64};
}

START_TEST(a_number_is_given_once)
{
	uint64_t number;

	ck_assert(tls_state_take_number(&memory.state, 0, &number));
	ck_assert_uint_eq(number, 0);
	/* Whoever else has the memory goes on behind it. */
	ck_assert(tls_state_take_number(&memory.state, 0, &number));
	ck_assert_uint_eq(number, 1);
	tls_state_next_epoch(&memory.state);
	ck_assert_uint_eq(tls_state_epoch(&memory.state), 1);
	/* The holder of the old key gets none. */
	ck_assert(!tls_state_take_number(&memory.state, 0, &number));
	ck_assert(tls_state_take_number(&memory.state, 1, &number));
	ck_assert_uint_eq(number, 1);
}
END_TEST

START_TEST(a_key_seals_so_many_records)
{
	uint64_t number;

	atomic_store(&memory.state.write_number, (UINT64_C(1) << 23) - 1);
	ck_assert(tls_state_take_number(&memory.state, 0, &number));
	ck_assert(!tls_state_take_number(&memory.state, 0, &number));
}
END_TEST

START_TEST(room_ends)
{
	struct tls_span span;
	uint32_t left = (uint32_t)TLS_ARENA_SIZE - memory.state.used;

	ck_assert(!tls_state_add(&memory.state, copy.bytes, left + 1, &span));
	ck_assert(tls_state_add(&memory.state, copy.bytes, left, &span));
	ck_assert_uint_eq(span.offset + span.length, TLS_ARENA_SIZE);
	ck_assert(!tls_state_add(&memory.state, copy.bytes, 1, &span));
	ck_assert(tls_state_add(&memory.state, copy.bytes, 0, &span));
}
END_TEST

/* Each changes one thing. */
static void other_magic(struct tls_state *state)
{
	state->magic++;
}

static void other_version(struct tls_state *state)
{
	state->version = TLS_1_2;
}

static void other_suite(struct tls_state *state)
{
	state->suite = 0x009c;
}

static void name_without_end(struct tls_state *state)
{
	memset(state->server_name, 'x', sizeof(state->server_name));
}

static void client_outside(struct tls_state *state)
{
	state->client = (struct tls_span){(uint32_t)TLS_ARENA_SIZE - 10, 60};
}

static void server_wraps(struct tls_state *state)
{
	state->server = (struct tls_span){UINT32_MAX - 5, 64};
}

static void random_long(struct tls_state *state)
{
	state->random.length = UINT32_MAX;
}

static void tickets_outside(struct tls_state *state)
{
	state->tickets = (struct tls_span){0, (uint32_t)TLS_ARENA_SIZE + 1};
}

static void finished_outside(struct tls_state *state)
{
	state->finished = (struct tls_span){(uint32_t)TLS_ARENA_SIZE + 1, 0};
}

static void flight_behind(struct tls_state *state)
{
	state->last_flight = 61;
}

static void many_turns(struct tls_state *state)
{
	state->n_turns = TLS_TURNS_MAX + 1;
}

static void turn_back(struct tls_state *state)
{
	state->turns[1].server = 39;
}

static void turn_beyond(struct tls_state *state)
{
	state->turns[1].server = 65;
}

static void turn_client_beyond(struct tls_state *state)
{
	state->turns[1].client = 61;
}

static void (*const WRONG[])(struct tls_state *state) = {
	other_magic,  other_version, other_suite,     name_without_end,	 client_outside,
	server_wraps, random_long,   tickets_outside, finished_outside,	 flight_behind,
	many_turns,   turn_back,     turn_beyond,     turn_client_beyond};

START_TEST(what_leads_out_is_seen)
{
	ck_assert(tls_state_check(&memory.state));
	WRONG[_i](&memory.state);
	ck_assert(!tls_state_check(&memory.state));
}
END_TEST

Suite *tls_state_suite(void)
{
	Suite *suite = suite_create("tls_state");
	TCase *numbers = tcase_create("numbers"), *check = tcase_create("check");

	tcase_add_checked_fixture(numbers, begin, NULL);
	tcase_add_test(numbers, a_number_is_given_once);
	tcase_add_test(numbers, a_key_seals_so_many_records);
	tcase_add_test(numbers, room_ends);
	suite_add_tcase(suite, numbers);
	tcase_add_checked_fixture(check, begin, NULL);
	tcase_add_loop_test(check, what_leads_out_is_seen, 0, sizeof(WRONG) / sizeof(WRONG[0]));
	suite_add_tcase(suite, check);
	return suite;
}
