/* The habits of programs at the broker: connections that nothing rides on, and programs that only look. */
#include <check.h>

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

static void park_one_at(struct fake_process *process, unsigned destination)
{
	fake_process_dial(&one, destination);
	fake_process_park(process, &one);
	ck_assert_ptr_nonnull(fake_broker_find(&one));
}

/* A connection that the broker holds, idle in process a. */
static void park_one(void)
{
	park_one_at(&a, 1);
}

static void park_unfit(struct conn *conn)
{
	fake_process_dial(conn, 1);
	ck_assert(slots_reserve(&a.slots, conn));
	conn->expires_ns = UINT64_MAX;
	slots_publish(&a.slots, conn);
	ck_assert_int_eq(fake_process_request(&a, BROKER_PARK, BROKER_WAS_UNFIT, conn, fake_socket_duplicate(conn->fd)),
			 0);
}

static void look(struct fake_process *process, int n)
{
	two = (struct conn){.destination = fake_broker_destination(1)};
	for (int i = 0; i < n; i++)
		ck_assert_int_eq(fake_process_request(process, BROKER_LOOKED, 0, &two, -1), 0);
}

START_TEST(a_destination_where_nothing_rides)
{
	struct conn conns[4], got;

	for (unsigned i = 0; i < 4; i++) {
		ck_assert_int_eq(fake_process_lease(&c, &got, 2), BROKER_NONE);
		park_unfit(&conns[i]);
	}
	/* Each time the connection that has been idle for longest makes room at the server. */
	for (unsigned i = 0; i < 4; i++) {
		ck_assert_int_eq(fake_process_lease(&b, &got, 1), BROKER_UNFIT);
		for (unsigned j = 0; j < 4; j++)
			ck_assert(fake_socket(conns[j].fd)->was_disconnected == (j <= i));
	}
	ck_assert_int_eq(fake_process_lease(&b, &got, 1), BROKER_UNFIT);
	ck_assert_uint_eq(fake_broker.n_held, 0);
	/* Until a connection is fit again. */
	fake_process_dial(&one, 1);
	fake_process_park(&a, &one);
	ck_assert_int_eq(fake_process_lease(&b, &got, 1), BROKER_GIVEN);
}
END_TEST

START_TEST(what_is_ridden_on_is_of_use)
{
	struct conn conns[20], got;

	/* One program leaves connections unused, another one uses them, again and again. */
	for (unsigned i = 0; i < 20; i++) {
		park_unfit(&conns[i]);
		ck_assert_int_eq(fake_process_lease(&b, &got, 1), BROKER_GIVEN);
		ck_assert_uint_eq(got.cookie, conns[i].cookie);
		if (i < 17)
			fake_process_exchange(&got);
		fake_process_park(&b, &got);
		ck_assert_int_eq(fake_process_lease(&c, &got, 1), BROKER_GIVEN);
		fake_process_close(&c, &got);
	}
	/* The last three were lent and came back unused. */
	park_unfit(&conns[0]);
	ck_assert_int_eq(fake_process_lease(&b, &got, 1), BROKER_UNFIT);
}
END_TEST

START_TEST(who_looks_is_told_the_truth)
{
	struct conn got;

	park_one();
	fake_socket((int)one.cookie)->last_ack_ms = HABIT_ALIVE_MS + 1;
	look(&b, 1);
	ck_assert_int_eq(fake_process_lease(&b, &got, 1), BROKER_UNHEARD);
	fake_process_claim(&a, &one);
	ck_assert_int_eq(fake_process_lease(&b, &got, 1), BROKER_NONE); /* in use */
	ck_assert_uint_eq(fake_broker.n_held, 1);
	fake_process_park(&a, &one);
	fake_process_dial(&three, 2);
	fake_process_park(&a, &three);
	fake_socket((int)three.cookie)->last_ack_ms = HABIT_ALIVE_MS + 1;
	ck_assert_int_eq(fake_process_lease(&b, &got, 2), BROKER_GIVEN); /* other servers are not affected */
	/* The server was heard just now. */
	fake_socket((int)one.cookie)->last_ack_ms = HABIT_ALIVE_MS;
	ck_assert_int_eq(fake_process_lease(&b, &got, 1), BROKER_GIVEN);
	got.was_looked_at = true;
	fake_process_park(&b, &got);
	/* It counts for one request only. */
	ck_assert_int_eq(fake_process_lease(&b, &two, 1), BROKER_UNHEARD);
	ck_assert_int_eq(fake_process_lease(&c, &two, 1), BROKER_GIVEN); /* this one only looks */
}
END_TEST

START_TEST(nobody_looks_for_ever)
{
	struct conn conns[16], got;

	look(&b, 100);
	for (unsigned i = 0; i < 16; i++) {
		fake_process_dial(&conns[i], 1);
		fake_process_park(&b, &conns[i]);
		fake_socket((int)conns[i].cookie)->last_ack_ms = 60000;
	}
	/* By now more than half of its last connections carried requests. */
	ck_assert_int_eq(fake_process_lease(&b, &got, 1), BROKER_GIVEN);
	look(&c, 1);
	ck_assert_int_eq(fake_process_lease(&c, &two, 1), BROKER_UNHEARD);
	/* It was a request after all, and the server may have room for just one connection. */
	ck_assert_int_eq(fake_process_request(&c, BROKER_RELIEVE, BROKER_JUST_ONE, &got, -1), 0);
	ck_assert_uint_eq(fake_broker.n_held, 15);
	ck_assert(fake_socket((int)conns[0].cookie)->was_disconnected);
}
END_TEST

Suite *broker_habits_suite(void)
{
	Suite *suite = suite_create("broker_habits");
	TCase *tcase = tcase_create("habits");

	tcase_add_checked_fixture(tcase, start, fake_broker_stop);
	tcase_add_test(tcase, a_destination_where_nothing_rides);
	tcase_add_test(tcase, what_is_ridden_on_is_of_use);
	tcase_add_test(tcase, who_looks_is_told_the_truth);
	tcase_add_test(tcase, nobody_looks_for_ever);
	suite_add_tcase(suite, tcase);
	return suite;
}
