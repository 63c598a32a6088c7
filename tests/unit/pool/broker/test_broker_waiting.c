/* Tickets that wait: what serves them, and what ends the wait, whichever process dies when. */
#include <check.h>
#include <errno.h>

#include "tests/unit/fake/tickets.h"

static struct fake_process a, b, c;
static struct conn one, two, three;

static void start(void)
{
	fake_tickets_start();
	fake_process_start(&a, "a", 0);
	fake_process_start(&b, "b", 0);
	fake_process_start(&c, "c", 0);
}

/* The same, when there is room for both at once. */
START_TEST(nobody_is_left_waiting)
{
	struct ticket *late, *early;

	fake_process_dial(&one, 1);
	fake_process_park(&a, &one);
	fake_process_claim(&a, &one);
	fake_process_dial(&two, 1);
	fake_process_park(&a, &two);
	fake_process_claim(&a, &two);
	late = fake_ticket_begin(&b, 1, 2);
	early = fake_ticket_begin(&c, 1, 2);
	fake_ticket_ask_on(early, 0);
	fake_ticket_ask_on(late, 0);
	fake_ticket_expect_waiters(2);
	fake_process_lose(&one);
	fake_process_lose(&two);
	fake_process_end(&a);
	ck_assert_int_eq(early->status, BROKER_NONE);
	ck_assert_int_eq(late->status, BROKER_NONE);
	fake_ticket_expect_waiters(0);
}
END_TEST

START_TEST(a_park_serves)
{
	struct ticket *ticket = fake_ticket_ask(&a, 1), *waiting = fake_ticket_ask(&b, 1);

	fake_ticket_dial(ticket, &one);
	fake_process_park(&a, &one);
	/* Held now, and passed on at once. */
	ck_assert_int_eq(waiting->status, BROKER_GIVEN);
	ck_assert_uint_eq(waiting->conn.cookie, one.cookie);
	ck_assert_uint_eq(fake_ticket_n_granted(1), 0);
	ck_assert_uint_eq(fake_broker.n_held, 1);
	fake_ticket_expect_waiters(0);
	/* Counted once: the ticket's end gives nothing back any more. */
	waiting = fake_ticket_ask(&c, 1);
	fake_ticket_hang_up(ticket);
	ck_assert_int_eq(waiting->status, BROKER_QUEUED);
	ck_assert_uint_eq(fake_process_let_go(&a), 1);
}
END_TEST

START_TEST(an_idle_notice_serves)
{
	struct ticket *waiting;

	fake_process_dial(&one, 1);
	fake_process_park(&a, &one);
	fake_process_claim(&a, &one);
	waiting = fake_ticket_ask(&b, 1);
	ck_assert_int_eq(waiting->status, BROKER_QUEUED);
	ck_assert(slots_has_waiters(&a.slots));
	fake_process_park(&a, &one);
	ck_assert_int_eq(waiting->status, BROKER_QUEUED);
	fake_process_tell_idle(&a);
	ck_assert_int_eq(waiting->status, BROKER_GIVEN);
	ck_assert(!slots_has_waiters(&a.slots));
	ck_assert_uint_eq(fake_process_let_go(&a), 1);
}
END_TEST

/* Whoever parks there may have no other connection to the broker. */
START_TEST(what_is_parked_on_the_shelf_serves)
{
	struct ticket *waiting;

	fake_process_dial(&one, 1);
	fake_process_park(&a, &one);
	fake_process_end_with(&a, &one);
	fake_process_start(&a, "a", 0);
	ck_assert(fake_process_take(&a, &one, 1));
	ck_assert(!slots_shelf_has_waiters(&a.slots));
	waiting = fake_ticket_ask(&b, 1);
	ck_assert_int_eq(waiting->status, BROKER_QUEUED);
	ck_assert(slots_shelf_has_waiters(&a.slots));
	fake_process_park(&a, &one);
	broker_look_at_shelf(&fake_broker);
	ck_assert_int_eq(waiting->status, BROKER_GIVEN);
	ck_assert(!slots_shelf_has_waiters(&a.slots));
	ck_assert_uint_eq(fake_process_let_go(&a), 1);
}
END_TEST

/* However many connections before it are in use. */
START_TEST(an_idle_one_among_many_is_found)
{
	struct conn conns[90];
	struct ticket *waiting;

	for (unsigned i = 0; i < 90; i++) {
		fake_process_dial(&conns[i], 1);
		fake_process_park(&a, &conns[i]);
		fake_process_claim(&a, &conns[i]);
	}
	waiting = fake_ticket_ask(&b, 90);
	ck_assert_int_eq(waiting->status, BROKER_QUEUED);
	fake_process_park(&a, &conns[_i ? 80 : 3]);
	fake_process_tell_idle(&a);
	ck_assert_int_eq(waiting->status, BROKER_GIVEN);
}
END_TEST

START_TEST(a_tick_serves)
{
	struct ticket *waiting;

	fake_process_dial(&one, 1);
	fake_process_park(&a, &one);
	fake_process_claim(&a, &one);
	waiting = fake_ticket_ask(&b, 1);
	switch (_i) {
	case 0: /* its notice was lost */
		fake_process_park(&a, &one);
		break;
	case 1: /* likewise, and it has expired since: room, but no connection */
		fake_process_park(&a, &one);
		fake_kernel.now_ns += 2 * FAKE_IDLE;
		break;
	default: /* its process has ended it without telling us */
		slots_free(&a.slots, &one);
	}
	ck_assert_int_eq(waiting->status, BROKER_QUEUED);
	broker_tick(&fake_broker);
	ck_assert_int_eq(waiting->status, _i == 0 ? BROKER_GIVEN : BROKER_NONE);
	fake_ticket_expect_waiters(0);
}
END_TEST

START_TEST(a_drop_serves)
{
	struct ticket *waiting;
	struct conn before;

	fake_process_dial(&one, 1);
	fake_process_park(&a, &one);
	fake_process_claim(&a, &one);
	waiting = fake_ticket_ask(&b, 1);
	before = one;
	fake_process_close(&a, &one);
	ck_assert_int_eq(fake_process_request(&a, BROKER_DROP, 0, &before, -1), 0);
	ck_assert_int_eq(waiting->status, BROKER_NONE);
}
END_TEST

START_TEST(the_end_of_a_held_one_serves)
{
	struct ticket *waiting;

	fake_process_dial(&one, 1);
	fake_process_park(&a, &one);
	fake_process_claim(&a, &one);
	waiting = fake_ticket_ask(&b, 1);
	/* In use: its user must see the end first. */
	fake_broker_hang_up(&one);
	ck_assert_int_eq(waiting->status, BROKER_QUEUED);
	slots_free(&a.slots, &one);
	fake_broker_notice(&one);
	ck_assert_int_eq(waiting->status, BROKER_NONE);
}
END_TEST

START_TEST(a_death_serves)
{
	struct ticket *granted = fake_ticket_ask(&a, 3), *first, *second, *third;

	fake_ticket_dial(granted, &one);
	fake_process_dial(&two, 1);
	fake_process_park(&a, &two);
	fake_process_claim(&a, &two);
	fake_process_dial(&three, 1);
	fake_process_park(&a, &three);
	fake_process_claim(&a, &three);
	first = fake_ticket_ask(&b, 3);
	second = fake_ticket_ask(&c, 3);
	third = fake_ticket_ask(&c, 3);
	fake_process_park(&a, &three);
	fake_ticket_expect_waiters(3);
	/* The kernel closes a process's descriptors in no reliable order. */
	fake_process_lose(&one);
	fake_process_lose(&two);
	fake_process_lose(&three);
	if (_i)
		fake_ticket_hang_up(granted);
	fake_process_end(&a);
	if (!_i)
		fake_ticket_hang_up(granted);
	ck_assert_int_eq((first->status == BROKER_GIVEN) + (second->status == BROKER_GIVEN), 1);
	ck_assert_int_eq((first->status == BROKER_NONE) + (second->status == BROKER_NONE), 1);
	ck_assert_int_eq(third->status, BROKER_NONE);
	fake_ticket_expect_waiters(0);
	ck_assert_uint_eq(fake_ticket_n_granted(1) + fake_broker.n_held, 3);
}
END_TEST

/* A process that still has the ticket must not wait for ever: it goes on without a connection. */
START_TEST(the_principal_ends_while_it_waits)
{
	struct ticket *granted = fake_ticket_ask(&a, 1), *orphan = fake_ticket_ask(&b, 1),
		      *next = fake_ticket_ask(&c, 1);

	fake_process_end(&b);
	ck_assert_int_eq(orphan->status, BROKER_DIAL);
	fake_ticket_expect_waiters(1);
	fake_ticket_hang_up(granted);
	ck_assert_int_eq(next->status, BROKER_NONE);
	ck_assert_uint_eq(fake_ticket_n_granted(1), 1);
	fake_ticket_hang_up(orphan);
	fake_ticket_hang_up(next);
	ck_assert_uint_eq(fake_ticket_n_granted(1), 0);
}
END_TEST

START_TEST(a_ticket_ends_while_it_waits)
{
	struct ticket *granted = fake_ticket_ask(&a, 1),
		      *waiting[3] = {fake_ticket_ask(&b, 1), fake_ticket_ask(&c, 1), fake_ticket_ask(&b, 1)};

	fake_ticket_hang_up(waiting[_i]);
	fake_ticket_expect_waiters(2);
	fake_ticket_hang_up(granted);
	ck_assert_int_eq(waiting[_i == 0]->status, BROKER_NONE);
	fake_ticket_expect_waiters(1);
	fake_ticket_hang_up(waiting[_i == 0]);
	ck_assert_int_eq(waiting[_i == 2 ? 1 : 2]->status, BROKER_NONE);
	fake_ticket_expect_waiters(0);
}
END_TEST

START_TEST(who_does_not_take_his_answer_has_nothing)
{
	struct ticket *granted = fake_ticket_ask(&a, 1), *deaf = fake_ticket_ask(&b, 1), *next = fake_ticket_ask(&c, 1);

	deaf->is_deaf = true;
	fake_ticket_hang_up(granted);
	ck_assert_int_eq(next->status, BROKER_NONE);
	ck_assert_uint_eq(fake_ticket_n_granted(1), 1);
	fake_ticket_expect_waiters(0);
}
END_TEST

Suite *broker_waiting_suite(void)
{
	Suite *suite = suite_create("broker_waiting");
	TCase *tcase = tcase_create("waiting");

	tcase_add_checked_fixture(tcase, start, fake_broker_stop);
	tcase_add_test(tcase, nobody_is_left_waiting);
	tcase_add_test(tcase, a_park_serves);
	tcase_add_test(tcase, an_idle_notice_serves);
	tcase_add_test(tcase, what_is_parked_on_the_shelf_serves);
	tcase_add_loop_test(tcase, an_idle_one_among_many_is_found, 0, 2);
	tcase_add_loop_test(tcase, a_tick_serves, 0, 3);
	tcase_add_test(tcase, a_drop_serves);
	tcase_add_test(tcase, the_end_of_a_held_one_serves);
	tcase_add_loop_test(tcase, a_death_serves, 0, 2);
	tcase_add_test(tcase, the_principal_ends_while_it_waits);
	tcase_add_loop_test(tcase, a_ticket_ends_while_it_waits, 0, 3);
	tcase_add_test(tcase, who_does_not_take_his_answer_has_nothing);
	suite_add_tcase(suite, tcase);
	return suite;
}
