/* Tickets: who is served, in which order, and that every place is counted once and given back. */
#include <check.h>
#include <errno.h>

#include "tests/unit/fake/tickets.h"

static struct fake_process a, b, c;
static struct conn one, two;

static void start(void)
{
	fake_tickets_start();
	fake_process_start(&a, "a", 0);
	fake_process_start(&b, "b", 0);
	fake_process_start(&c, "c", 0);
}

START_TEST(granted_below_the_cap)
{
	struct ticket *first = fake_ticket_ask(&a, 3), *second = fake_ticket_ask(&b, 3),
		      *third = fake_ticket_ask(&a, 3);

	ck_assert_int_eq(first->status, BROKER_NONE);
	ck_assert_int_eq(second->status, BROKER_NONE);
	ck_assert_int_eq(third->status, BROKER_NONE);
	ck_assert_uint_ne(first->conn.ticket_number, second->conn.ticket_number);
	ck_assert_uint_eq(fake_ticket_n_granted(1), 3);
	fake_ticket_expect_waiters(0);
	ck_assert_int_eq(fake_ticket_ask(&b, 3)->status, BROKER_QUEUED);
	fake_ticket_expect_waiters(1);
	/* Elsewhere nothing has changed. */
	ck_assert_int_eq(fake_ticket_ask_so(&b, 2, 3, 0)->status, BROKER_NONE);
	ck_assert_uint_eq(fake_ticket_n_granted(1), 3);
}
END_TEST

START_TEST(an_idle_one_is_had_at_once)
{
	struct ticket *ticket;

	fake_process_dial(&one, 1);
	fake_process_park(&a, &one);
	ticket = fake_ticket_ask(&b, 1);
	ck_assert_int_eq(ticket->status, BROKER_GIVEN);
	ck_assert_uint_eq(ticket->conn.cookie, one.cookie);
	ck_assert_uint_eq(fake_ticket_n_granted(1), 0);
	/* Its end gives back nothing that it doesn't have. */
	ck_assert_int_eq(fake_ticket_ask(&c, 1)->status, BROKER_QUEUED);
	fake_ticket_hang_up(ticket);
	fake_ticket_expect_waiters(1);
}
END_TEST

START_TEST(first_come_first_served)
{
	struct ticket *granted = fake_ticket_ask(&a, 1), *waiting[5];

	for (unsigned i = 0; i < 5; i++) {
		waiting[i] = fake_ticket_ask(i % 2 ? &b : &c, 1);
		ck_assert_int_eq(waiting[i]->status, BROKER_QUEUED);
	}
	fake_ticket_expect_waiters(5);
	for (unsigned i = 0; i < 5; i++) {
		fake_ticket_hang_up(granted);
		granted = waiting[i];
		for (unsigned j = 0; j < 5; j++)
			ck_assert_int_eq(waiting[j]->status, j <= i ? BROKER_NONE : BROKER_QUEUED);
	}
	fake_ticket_expect_waiters(0);
}
END_TEST

/* The first to connect may be the last to ask. */
START_TEST(first_come_is_who_speaks_first)
{
	struct ticket *granted[2] = {fake_ticket_ask(&a, 2), fake_ticket_ask(&a, 2)},
		      *late = fake_ticket_begin(&b, 1, 2), *early = fake_ticket_begin(&c, 1, 2);

	fake_ticket_ask_on(early, 0);
	fake_ticket_ask_on(late, 0);
	fake_ticket_expect_waiters(2);
	fake_ticket_hang_up(granted[0]);
	ck_assert_int_eq(early->status, BROKER_NONE);
	ck_assert_int_eq(late->status, BROKER_QUEUED);
	fake_ticket_hang_up(granted[1]);
	ck_assert_int_eq(late->status, BROKER_NONE);
	fake_ticket_expect_waiters(0);
}
END_TEST

START_TEST(forced_ones_do_not_wait)
{
	struct ticket *granted = fake_ticket_ask(&a, 1), *waiting, *forced;

	forced = fake_ticket_ask_so(&a, 1, 1, BROKER_IS_FORCED);
	ck_assert_int_eq(forced->status, BROKER_NONE);
	ck_assert_uint_eq(fake_ticket_n_granted(1), 2);
	waiting = fake_ticket_ask(&b, 1);
	ck_assert_int_eq(waiting->status, BROKER_QUEUED);
	/* Nor does it wait behind others: they may be waiting for the process that asks. */
	ck_assert_int_eq(fake_ticket_ask_so(&a, 1, 1, BROKER_IS_FORCED)->status, BROKER_NONE);
	ck_assert_uint_eq(fake_ticket_n_granted(1), 3);
	/* Forced fake_tickets count. */
	fake_ticket_hang_up(granted);
	fake_ticket_hang_up(forced);
	ck_assert_int_eq(waiting->status, BROKER_QUEUED);
	fake_ticket_expect_waiters(1);
	fake_ticket_hang_up(&fake_tickets[3]);
	ck_assert_int_eq(waiting->status, BROKER_NONE);
	fake_ticket_expect_waiters(0);
}
END_TEST

/* It asked for a connection of its own. */
START_TEST(forced_ones_get_nothing_idle)
{
	fake_process_dial(&one, 1);
	fake_process_park(&a, &one);
	ck_assert_int_eq(fake_ticket_ask_so(&b, 1, 1, BROKER_IS_FORCED)->status, BROKER_NONE);
	ck_assert_ptr_nonnull(fake_broker_find(&one));
	ck_assert(!fake_socket(one.fd)->was_disconnected);
}
END_TEST

START_TEST(a_parked_one_counts_once)
{
	struct ticket *ticket = fake_ticket_ask(&a, 2), *other;

	fake_ticket_dial(ticket, &one);
	ck_assert_uint_eq(fake_ticket_n_granted(1), 1);
	fake_process_park(&a, &one);
	ck_assert_uint_eq(fake_ticket_n_granted(1), 0);
	ck_assert_uint_eq(fake_broker.n_held, 1);
	fake_process_claim(&a, &one);
	other = fake_ticket_ask(&b, 2);
	ck_assert_int_eq(other->status, BROKER_NONE);
	/* A number of no ticket, one of another that waits, the same again: nobody loses anything. */
	fake_ticket_dial(other, &two);
	two.ticket_number = _i == 0 ? 4711 : ticket->conn.ticket_number;
	fake_process_park(&b, &two);
	ck_assert_uint_eq(fake_ticket_n_granted(1), 1);
	ck_assert_uint_eq(fake_broker.n_held, 2);
}
END_TEST

/* A connection that can't be held is still counted, by its ticket. */
START_TEST(not_held_not_converted)
{
	struct ticket *ticket = fake_ticket_ask(&a, 1), *waiting = fake_ticket_ask(&b, 1);

	fake_ticket_dial(ticket, &one);
	if (_i == 0)
		fake_socket(one.fd)->protocol = IPPROTO_UDP;
	else
		fake_sys_fail(FAKE_CALL_WATCH, 1, 1, ENOSPC);
	fake_process_park(&a, &one);
	ck_assert_uint_eq(fake_broker.n_held, 0);
	ck_assert_uint_eq(fake_ticket_n_granted(1), 1);
	ck_assert_int_eq(waiting->status, BROKER_QUEUED);
	fake_ticket_hang_up(ticket);
	ck_assert_int_eq(waiting->status, BROKER_NONE);
}
END_TEST

START_TEST(newcomers_see_that_some_wait)
{
	struct fake_process late;
	struct ticket *granted = fake_ticket_ask(&a, 1), *waiting = fake_ticket_ask(&b, 1);

	fake_process_start(&late, "late", 0);
	ck_assert(slots_has_waiters(&late.slots));
	fake_ticket_expect_waiters(1);
	fake_ticket_hang_up(granted);
	ck_assert_int_eq(waiting->status, BROKER_NONE);
	fake_ticket_expect_waiters(0);
}
END_TEST

START_TEST(private_ones_are_counted_apart)
{
	struct fake_process private;
	struct ticket *waiting;

	fake_process_start(&private, "private", BROKER_IS_PRIVATE);
	ck_assert_int_eq(fake_ticket_ask(&a, 1)->status, BROKER_NONE);
	ck_assert_int_eq(fake_ticket_ask(&private, 1)->status, BROKER_NONE);
	waiting = fake_ticket_ask(&private, 1);
	ck_assert_int_eq(waiting->status, BROKER_QUEUED);
	fake_ticket_hang_up(&fake_tickets[0]);
	ck_assert_int_eq(waiting->status, BROKER_QUEUED);
	fake_ticket_hang_up(&fake_tickets[1]);
	ck_assert_int_eq(waiting->status, BROKER_NONE);
}
END_TEST

START_TEST(whoever_dials_gets_an_idle_ones_place)
{
	struct ticket *ticket, *waiting;

	fake_process_dial(&one, 1);
	if (_i == 0) {
		ck_assert(slots_reserve(&a.slots, &one));
		one.expires_ns = UINT64_MAX;
		slots_publish(&a.slots, &one);
		for (int i = 0; i < 4; i++)
			ck_assert_int_eq(fake_process_request(&a, BROKER_PARK, BROKER_WAS_UNFIT, &one,
							      fake_socket_duplicate(one.fd)),
					 0);
	} else {
		fake_process_park(&a, &one);
		fake_socket(one.fd)->last_ack_ms = HABIT_ALIVE_MS + 1;
		two = (struct conn){.destination = fake_broker_destination(1)};
		ck_assert_int_eq(fake_process_request(&b, BROKER_LOOKED, 0, &two, -1), 0);
	}
	/* Below the limit it may stay. */
	ticket = fake_ticket_ask(&b, 2);
	ck_assert_int_eq(ticket->status, BROKER_NONE);
	ck_assert(!fake_socket(one.fd)->was_disconnected);
	fake_ticket_hang_up(ticket);
	ck_assert_int_eq(fake_ticket_ask(&b, 1)->status, BROKER_NONE);
	ck_assert(fake_socket(one.fd)->was_disconnected);
	ck_assert_uint_eq(fake_broker.n_held, 0);
	waiting = fake_ticket_ask(&b, 1);
	ck_assert_int_eq(waiting->status, BROKER_QUEUED);
	fake_ticket_hang_up(&fake_tickets[1]);
	ck_assert_int_eq(waiting->status, BROKER_NONE);
}
END_TEST

Suite *broker_tickets_suite(void)
{
	Suite *suite = suite_create("broker_tickets");
	TCase *tcase = tcase_create("tickets");

	tcase_add_checked_fixture(tcase, start, fake_broker_stop);
	tcase_add_test(tcase, granted_below_the_cap);
	tcase_add_test(tcase, an_idle_one_is_had_at_once);
	tcase_add_test(tcase, first_come_first_served);
	tcase_add_test(tcase, first_come_is_who_speaks_first);
	tcase_add_test(tcase, forced_ones_do_not_wait);
	tcase_add_test(tcase, forced_ones_get_nothing_idle);
	tcase_add_loop_test(tcase, a_parked_one_counts_once, 0, 2);
	tcase_add_loop_test(tcase, not_held_not_converted, 0, 2);
	tcase_add_test(tcase, newcomers_see_that_some_wait);
	tcase_add_test(tcase, private_ones_are_counted_apart);
	tcase_add_loop_test(tcase, whoever_dials_gets_an_idle_ones_place, 0, 2);
	suite_add_tcase(suite, tcase);
	return suite;
}
