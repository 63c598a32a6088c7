/*
 * How held connections end: with their process, by time, by the server, for lack of room.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/fake/broker.h"

static struct fake_process a, b, c;
static struct conn one, two, three;

static void start(void)
{
	fake_broker_start();
	fake_process_start(&a, "a", 0);
	fake_process_start(&b, "b", 0);
	fake_process_start(&c, "c", 0);
}

static void park_new(struct fake_process *process, struct conn *conn, unsigned destination)
{
	fake_process_dial(conn, destination);
	fake_process_park(process, conn);
	ck_assert_ptr_nonnull(fake_broker_find(conn));
}

static bool was_disconnected(const struct conn *conn)
{
	return fake_socket((int)conn->cookie)->was_disconnected;
}

static bool is_open(const struct conn *conn)
{
	return fake_socket((int)conn->cookie)->n_descriptors > 0;
}

static void pass(uint64_t ns)
{
	fake_kernel.now_ns += ns;
	broker_tick(&fake_broker);
	fake_broker_check();
}

START_TEST(what_was_idle_survives_its_process)
{
	park_new(&a, &one, 1);
	fake_process_end_with(&a, &one);
	ck_assert_uint_eq(fake_broker.n_held, 1);
	ck_assert_uint_eq(fake_broker.n_processes, 2);
	pass(10 * SECOND);
	ck_assert_int_eq(fake_process_lease(&b, &two, 1), BROKER_GIVEN);
	ck_assert_uint_eq(two.cookie, one.cookie);
	ck_assert_mem_eq(&two.ledger, &one.ledger, sizeof(one.ledger));
	fake_process_exchange(&two);
	fake_process_park(&b, &two);
	fake_process_end_with(&b, &two);
	ck_assert_int_eq(fake_process_lease(&c, &three, 1), BROKER_GIVEN);
	ck_assert_uint_eq(three.n_requests, 2);
	ck_assert(!was_disconnected(&one));
}
END_TEST

START_TEST(what_was_in_use_ends_with_it)
{
	park_new(&a, &one, 1);
	fake_process_claim(&a, &one);
	fake_process_end_with(&a, &one);
	ck_assert_uint_eq(fake_broker.n_held, 0);
	ck_assert(!is_open(&one));
	/* Closed, not reset: a child may go on using it. */
	ck_assert(!was_disconnected(&one));
	ck_assert_int_eq(fake_process_lease(&b, &two, 1), BROKER_NONE);
}
END_TEST

START_TEST(what_was_leased_ends_with_its_user)
{
	park_new(&a, &one, 1);
	ck_assert_int_eq(fake_process_lease(&b, &two, 1), BROKER_GIVEN);
	fake_process_end_with(&b, &two);
	ck_assert_uint_eq(fake_broker.n_held, 0);
	ck_assert(!was_disconnected(&one));
	ck_assert_uint_eq(fake_process_let_go(&a), 1);
	ck_assert(!is_open(&one));
}
END_TEST

/* The server sees a kill as it does without a broker, although the former owner is asleep. */
START_TEST(what_was_in_use_at_a_kill_is_hung_up)
{
	park_new(&a, &one, 1);
	ck_assert_int_eq(fake_process_lease(&b, &two, 1), BROKER_GIVEN);
	if (_i == 1)
		slots_share(&b.slots, two.slot, two.slot_generation);
	b.process->has_ended = _i != 2; /* else cut off: the process goes on by itself */
	fake_process_end_with(&b, &two);
	ck_assert_uint_eq(fake_broker.n_held, 0);
	ck_assert(fake_socket((int)one.cookie)->was_shut_down == (_i == 0));
	ck_assert(is_open(&one) && !was_disconnected(&one));
	/* Nobody else has had this connection. */
	fake_process_start(&b, "b", 0);
	park_new(&b, &two, 1);
	fake_process_claim(&b, &two);
	b.process->has_ended = true;
	fake_process_end_with(&b, &two);
	ck_assert(!is_open(&two) && !was_disconnected(&two));
	ck_assert(!fake_socket((int)two.cookie)->was_shut_down);
}
END_TEST

START_TEST(a_shared_one_is_in_use_for_good)
{
	park_new(&a, &one, 1);
	fake_process_claim(&a, &one);
	slots_share(&a.slots, one.slot, one.slot_generation);
	pass(100 * FAKE_IDLE);
	ck_assert_uint_eq(fake_broker.n_held, 1);
	ck_assert_int_eq(fake_process_lease(&b, &two, 1), BROKER_NONE);
	fake_broker_hang_up(&one);
	pass(SECOND);
	ck_assert_uint_eq(fake_broker.n_held, 1);
	fake_process_close(&a, &one);
	pass(0);
	ck_assert_uint_eq(fake_broker.n_held, 0);
}
END_TEST

START_TEST(ports_that_are_needed)
{
	struct conn asking = {.destination = fake_broker_destination(9)};
	struct destination_key *key = &fake_broker_destination(9)->key;

	/* Of the same peer, but with other options. */
	*key = fake_broker_destination(1)->key;
	ck_assert_int_eq(destination_key_add_option(key, 1, 2, "x", 1), 0);
	park_new(&a, &one, 1);
	park_new(&b, &two, 9);
	park_new(&b, &three, 2);
	ck_assert_int_eq(fake_process_request(&c, BROKER_RELIEVE, 0, &asking, -1), 0);
	ck_assert(was_disconnected(&one) && was_disconnected(&two));
	ck_assert_uint_eq(fake_broker.n_held, 1);
	ck_assert(!was_disconnected(&three));
	fake_process_let_go(&a);
	fake_process_let_go(&b);
	park_new(&a, &one, 1);
	fake_process_claim(&a, &one);
	ck_assert_int_eq(fake_process_request(&c, BROKER_RELIEVE, 0, &asking, -1), 0);
	ck_assert(!was_disconnected(&one)); /* in use */
}
END_TEST

START_TEST(what_was_private_ends_with_it)
{
	struct fake_process private;

	fake_process_start(&private, "private", BROKER_IS_PRIVATE);
	park_new(&private, &one, 1);
	fake_process_end_with(&private, &one);
	ck_assert_uint_eq(fake_broker.n_held, 0);
	ck_assert(!is_open(&one));
	ck_assert(!was_disconnected(&one)); /* an orderly end */
	/* Nor does it get other processes' connections. */
	fake_process_start(&private, "private", BROKER_IS_PRIVATE);
	park_new(&a, &one, 1);
	ck_assert_int_eq(fake_process_lease(&private, &two, 1), BROKER_NONE);
}
END_TEST

START_TEST(time_ends_what_is_idle)
{
	park_new(&a, &one, 1);
	pass(FAKE_IDLE - 1);
	ck_assert_uint_eq(fake_broker.n_held, 1);
	pass(1);
	ck_assert_uint_eq(fake_broker.n_held, 0);
	/* Its process has a descriptor, and may be asleep. */
	ck_assert(was_disconnected(&one));
	ck_assert(!slots_claim(&a.slots, &one));
	ck_assert_uint_eq(fake_process_let_go(&a), 1);
	ck_assert(!is_open(&one));
}
END_TEST

START_TEST(time_ends_what_was_inherited)
{
	park_new(&a, &one, 1);
	fake_process_end_with(&a, &one);
	pass(FAKE_IDLE - 1);
	ck_assert(is_open(&one));
	pass(1);
	ck_assert(!is_open(&one));
	/* Only the broker has it: a FIN will do. */
	ck_assert(!was_disconnected(&one));
}
END_TEST

START_TEST(time_does_not_end_what_is_in_use)
{
	park_new(&a, &one, 1);
	fake_process_claim(&a, &one);
	pass(100 * FAKE_IDLE);
	ck_assert_uint_eq(fake_broker.n_held, 1);
	fake_process_park(&a, &one);
	pass(FAKE_IDLE - 1);
	ck_assert_uint_eq(fake_broker.n_held, 1);
	/* Leased and parked by another process: times begin anew as well. */
	ck_assert_int_eq(fake_process_lease(&b, &two, 1), BROKER_GIVEN);
	pass(2 * FAKE_IDLE);
	fake_process_park(&b, &two);
	pass(FAKE_IDLE - 1);
	ck_assert_uint_eq(fake_broker.n_held, 1);
	pass(1);
	ck_assert_uint_eq(fake_broker.n_held, 0);
}
END_TEST

START_TEST(the_servers_own_time)
{
	fake_broker_destination(1)->keep_alive_timeout_ns = 5 * SECOND;
	park_new(&a, &one, 1);
	/* Knowledge gained from one connection serves all, as soon as the broker has had that connection. */
	ck_assert_int_eq(fake_process_lease(&b, &two, 1), BROKER_GIVEN);
	fake_process_let_go(&a);
	fake_process_park(&b, &two);
	pass(4 * SECOND - 1);
	ck_assert_uint_eq(fake_broker.n_held, 1);
	pass(1);
	ck_assert_uint_eq(fake_broker.n_held, 0);
}
END_TEST

START_TEST(slots_that_were_freed_without_a_word)
{
	park_new(&a, &one, 1);
	fake_process_close(&a, &one);
	ck_assert(is_open(&one));
	pass(0);
	ck_assert_uint_eq(fake_broker.n_held, 0);
	ck_assert(!is_open(&one));
}
END_TEST

START_TEST(a_server_ends_what_is_idle)
{
	park_new(&a, &one, 1);
	park_new(&b, &two, 1);
	fake_kernel.now_ns += 8 * SECOND;
	fake_broker_hang_up(&one);
	ck_assert_ptr_null(fake_broker_find(&one));
	ck_assert_uint_eq(fake_process_let_go(&a), 1);
	ck_assert(!is_open(&one));
	/* This server keeps connections that long: the other one is closed before it is too late. */
	ck_assert_uint_eq(fake_broker.n_held, 1);
	pass(0);
	ck_assert_uint_eq(fake_broker.n_held, 0);
	park_new(&a, &one, 1);
	park_new(&a, &three, 2);
	pass(7 * SECOND - 1);
	ck_assert_uint_eq(fake_broker.n_held, 2);
	pass(1);
	ck_assert_uint_eq(fake_broker.n_held, 1); /* only here */
	ck_assert_ptr_null(fake_broker_find(&one));
}
END_TEST

START_TEST(a_server_ends_what_was_inherited)
{
	park_new(&a, &one, 1);
	fake_process_end_with(&a, &one);
	fake_broker_hang_up(&one);
	ck_assert_uint_eq(fake_broker.n_held, 0);
	ck_assert(!is_open(&one));
}
END_TEST

START_TEST(a_server_ends_what_is_in_use)
{
	park_new(&a, &one, 1);
	fake_process_claim(&a, &one);
	fake_broker_hang_up(&one);
	ck_assert_uint_eq(fake_broker.n_held, 1); /* its user sees the end itself */
	ck_assert(!was_disconnected(&one));
	pass(SECOND);
	ck_assert_uint_eq(fake_broker.n_held, 1);
	/* Unless it looked just before. */
	fake_process_park(&a, &one);
	ck_assert_int_eq(fake_process_lease(&b, &two, 1), BROKER_NONE);
	ck_assert_uint_eq(fake_broker.n_held, 0);
}
END_TEST

/* An end in the middle of an exchange says nothing about the server's idle timeout, whenever it is noticed. */
START_TEST(an_end_in_use_teaches_nothing)
{
	park_new(&a, &one, 1);
	fake_process_claim(&a, &one);
	fake_broker_hang_up(&one);
	fake_process_park(&a, &one);
	pass(2 * SECOND);
	ck_assert_uint_eq(fake_broker.n_held, 0);
	ck_assert(was_disconnected(&one));
	fake_process_let_go(&a);
	park_new(&a, &two, 1);
	pass(FAKE_IDLE - 1);
	ck_assert_uint_eq(fake_broker.n_held, 1);
}
END_TEST

START_TEST(notices_of_no_end)
{
	struct held *held;

	park_new(&a, &one, 1);
	held = fake_broker_find(&one);
	broker_note_end(&fake_broker, held);
	/* It can't be told. */
	fake_sys_fail(FAKE_CALL_GETSOCKOPT, 1, 1, EIO);
	broker_note_end(&fake_broker, held);
	ck_assert_uint_eq(fake_broker.n_held, 1);
	/* The object has gone, and then been reused. */
	fake_process_close(&a, &one);
	pass(0);
	broker_note_end(&fake_broker, held);
	park_new(&a, &two, 1);
	ck_assert_ptr_eq(fake_broker_find(&two), held);
	broker_note_end(&fake_broker, held);
	ck_assert_uint_eq(fake_broker.n_held, 1);
}
END_TEST

START_TEST(limit_per_host)
{
	struct fake_process limited;
	struct conn conns[5];

	fake_process_start_limited(&limited, 0, 3);
	park_new(&a, &one, 2);
	for (unsigned i = 0; i < 3; i++)
		park_new(&limited, &conns[i], 1);
	fake_process_claim(&limited, &conns[0]);
	park_new(&limited, &conns[3], 1);
	/* The longest idle one of this destination, whoever owns it; none of others. */
	ck_assert(!was_disconnected(&conns[0]));
	ck_assert(was_disconnected(&conns[1]));
	ck_assert_uint_eq(fake_broker.n_held, 4);
	ck_assert(!was_disconnected(&one));
	/* A process without a limit sets none. */
	park_new(&a, &conns[4], 1);
	ck_assert_uint_eq(fake_broker.n_held, 5);
}
END_TEST

START_TEST(limit_in_all)
{
	struct fake_process limited;
	struct conn conns[4];

	fake_process_start_limited(&limited, 3, 0);
	for (unsigned i = 0; i < 3; i++)
		park_new(&a, &conns[i], i);
	fake_process_claim(&a, &conns[0]);
	park_new(&limited, &conns[3], 9);
	ck_assert(was_disconnected(&conns[1]));
	ck_assert(!was_disconnected(&conns[2]));
	ck_assert_uint_eq(fake_broker.n_held, 3);
	/* All are in use: as long as there is room, no park is refused. */
	fake_process_claim(&a, &conns[2]);
	fake_process_claim(&limited, &conns[3]);
	park_new(&limited, &one, 9);
	ck_assert_uint_eq(fake_broker.n_held, 4);
}
END_TEST

START_TEST(room_for_descriptors)
{
	static struct conn conns[101];

	for (unsigned i = 0; i < 100; i++)
		park_new(&a, &conns[i], i);
	ck_assert_uint_eq(fake_broker.n_held, 100);
	fake_process_claim(&a, &conns[0]);
	park_new(&a, &conns[100], 100);
	ck_assert_uint_eq(fake_broker.n_held, 100);
	ck_assert(was_disconnected(&conns[1]));
	for (unsigned i = 2; i <= 100; i++)
		fake_process_claim(&a, &conns[i]);
	/* Connections that can't be held stay their process's own. */
	fake_process_dial(&one, 1);
	fake_process_park(&b, &one);
	ck_assert_ptr_null(fake_broker_find(&one));
	ck_assert_uint_eq(fake_broker.n_held, 100);
	ck_assert(is_open(&one) && !was_disconnected(&one));
	ck_assert(slots_claim(&b.slots, &one));
}
END_TEST

START_TEST(at_its_end_the_broker_ends_what_is_idle)
{
	park_new(&a, &one, 1);
	park_new(&b, &two, 1);
	park_new(&c, &three, 1);
	fake_process_claim(&b, &two);
	fake_process_end_with(&c, &three);
	broker_fini(&fake_broker);
	ck_assert_uint_eq(fake_broker.n_held, 0);
	ck_assert(was_disconnected(&one));
	ck_assert(!was_disconnected(&two) && is_open(&two)); /* goes on */
	ck_assert(!is_open(&three));
}
END_TEST

START_TEST(a_disconnect_that_fails)
{
	park_new(&a, &one, 1);
	fake_sys_fail(FAKE_CALL_DISCONNECT, 1, 1, EIO);
	pass(FAKE_IDLE);
	ck_assert_uint_eq(fake_broker.n_held, 0);
	ck_assert_uint_eq(fake_process_let_go(&a), 1);
	ck_assert(!is_open(&one));
}
END_TEST

START_TEST(what_is_left_goes_to_the_broker)
{
	unsigned n_free = a.slots.n_free;

	/* A process that needs its descriptors, but lives on. */
	park_new(&a, &one, 1);
	fake_process_leave(&a, &one);
	ck_assert_int_eq(fake_process_lease(&b, &two, 1), BROKER_GIVEN);
	ck_assert_uint_eq(fake_process_let_go(&a), 0);
	ck_assert_uint_eq(a.slots.n_free, n_free);
	park_new(&a, &one, 3);
	fake_process_leave(&a, &one);
	pass(FAKE_IDLE);
	ck_assert(!is_open(&one));
	fake_process_let_go(&a);
	ck_assert_uint_eq(a.slots.n_free, n_free);
}
END_TEST

/* A region full of lies hurts only its own process. */
START_TEST(a_hostile_region)
{
	unsigned seed = (unsigned)_i + 1;
	static struct conn conns[40];

	for (unsigned i = 0; i < 40; i++) {
		park_new(&a, &conns[i], i % 4);
		conns[i].slot = -1;
	}
	park_new(&b, &one, 50);
	for (size_t i = 0; i < sizeof(*a.slots.region); i++)
		((unsigned char *)a.slots.region)[i] = (unsigned char)(rand_r(&seed) >> 8);
	/* Some that look right, except for their contents. */
	for (unsigned i = 0; i < SLOTS_PER_REGION; i++)
		if (a.process->held[i] && rand_r(&seed) % 2)
			a.slots.region->slots[i].word = a.process->held[i]->generation << 8 | SLOT_IDLE;
	for (unsigned i = 0; i < 4; i++) {
		for (unsigned j = 0; j < 3; j++)
			ck_assert_int_eq(fake_process_lease(&b, &two, i), BROKER_NONE);
		pass(0);
	}
	ck_assert_int_eq(fake_process_lease(&c, &two, 50), BROKER_GIVEN);
	ck_assert_uint_eq(two.cookie, one.cookie);
	memset(a.entries, 0, sizeof(a.entries));
	fake_process_end(&a);
	pass(1000 * FAKE_IDLE);
}
END_TEST

Suite *broker_life_suite(void)
{
	Suite *suite = suite_create("broker_life");
	TCase *tcase = tcase_create("ends");

	tcase_add_checked_fixture(tcase, start, fake_broker_stop);
	tcase_add_test(tcase, what_was_idle_survives_its_process);
	tcase_add_test(tcase, what_was_in_use_ends_with_it);
	tcase_add_test(tcase, what_was_leased_ends_with_its_user);
	tcase_add_loop_test(tcase, what_was_in_use_at_a_kill_is_hung_up, 0, 3);
	tcase_add_test(tcase, a_shared_one_is_in_use_for_good);
	tcase_add_test(tcase, ports_that_are_needed);
	tcase_add_test(tcase, what_was_private_ends_with_it);
	tcase_add_test(tcase, time_ends_what_is_idle);
	tcase_add_test(tcase, time_ends_what_was_inherited);
	tcase_add_test(tcase, time_does_not_end_what_is_in_use);
	tcase_add_test(tcase, the_servers_own_time);
	tcase_add_test(tcase, slots_that_were_freed_without_a_word);
	tcase_add_test(tcase, a_server_ends_what_is_idle);
	tcase_add_test(tcase, a_server_ends_what_was_inherited);
	tcase_add_test(tcase, a_server_ends_what_is_in_use);
	tcase_add_test(tcase, an_end_in_use_teaches_nothing);
	tcase_add_test(tcase, notices_of_no_end);
	tcase_add_test(tcase, at_its_end_the_broker_ends_what_is_idle);
	tcase_add_test(tcase, a_disconnect_that_fails);
	tcase_add_test(tcase, what_is_left_goes_to_the_broker);
	tcase_add_loop_test(tcase, a_hostile_region, 0, 4);
	suite_add_tcase(suite, tcase);
	tcase = tcase_create("limits");
	tcase_add_checked_fixture(tcase, start, fake_broker_stop);
	tcase_add_test(tcase, limit_per_host);
	tcase_add_test(tcase, limit_in_all);
	tcase_add_test(tcase, room_for_descriptors);
	suite_add_tcase(suite, tcase);
	return suite;
}
