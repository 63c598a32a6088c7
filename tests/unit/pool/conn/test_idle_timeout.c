/*
 * Idle timeouts that servers announce or show, and the limits derived from them.
 */
#include "pool/conn/idle_timeout.h"

#include <check.h>

#include "pool/conn/destination.h"

#define SECOND 1000000000ull

static struct destination destination;

static void forget(void)
{
	destination = (struct destination){0};
}

START_TEST(nothing_known_is_no_limit)
{
	ck_assert_uint_eq(idle_timeout_limit_ns(&destination), UINT64_MAX);
	idle_timeout_announced(&destination, 0);
	idle_timeout_survived(&destination, 5 * SECOND);
	ck_assert_uint_eq(idle_timeout_limit_ns(&destination), UINT64_MAX);
}
END_TEST

static const struct {
	uint32_t timeout_s;
	uint64_t limit_ns;
} announced[] = {
	{1, SECOND * 3 / 4}, {2, SECOND * 3 / 2}, {3, SECOND * 9 / 4},
	{4, 3 * SECOND}, /* from here on the margin is one second */
	{5, 4 * SECOND},     {75, 74 * SECOND},	  {UINT32_MAX, (UINT32_MAX - 1) * SECOND},
};

START_TEST(announced_timeout_has_a_margin)
{
	idle_timeout_announced(&destination, announced[_i].timeout_s);
	ck_assert_uint_eq(idle_timeout_limit_ns(&destination), announced[_i].limit_ns);
}
END_TEST

START_TEST(last_announcement_counts)
{
	idle_timeout_announced(&destination, 5);
	idle_timeout_announced(&destination, 60);
	ck_assert_uint_eq(idle_timeout_limit_ns(&destination), 59 * SECOND);
	idle_timeout_announced(&destination, 0); /* an answer without the field says nothing new */
	ck_assert_uint_eq(idle_timeout_limit_ns(&destination), 59 * SECOND);
	idle_timeout_announced(&destination, 10);
	ck_assert_uint_eq(idle_timeout_limit_ns(&destination), 9 * SECOND);
}
END_TEST

START_TEST(a_young_connection)
{
	ck_assert(idle_timeout_is_young(&destination, 0));
	ck_assert(idle_timeout_is_young(&destination, SECOND - 1));
	ck_assert(!idle_timeout_is_young(&destination, SECOND));
	idle_timeout_announced(&destination, 5);
	ck_assert(idle_timeout_is_young(&destination, SECOND - 1));
	ck_assert(!idle_timeout_is_young(&destination, SECOND));
	idle_timeout_closed(&destination, 3 * SECOND);
	ck_assert(idle_timeout_is_young(&destination, SECOND * 3 / 4 - 1));
	ck_assert(!idle_timeout_is_young(&destination, SECOND * 3 / 4));
	idle_timeout_announced(&destination, 2);
	ck_assert(idle_timeout_is_young(&destination, SECOND / 2 - 1));
	ck_assert(!idle_timeout_is_young(&destination, SECOND / 2));
}
END_TEST

START_TEST(shortest_close_counts)
{
	idle_timeout_closed(&destination, 20 * SECOND);
	ck_assert_uint_eq(idle_timeout_limit_ns(&destination), 19 * SECOND);
	idle_timeout_closed(&destination, 30 * SECOND);
	ck_assert_uint_eq(idle_timeout_limit_ns(&destination), 19 * SECOND);
	idle_timeout_closed(&destination, 2 * SECOND);
	ck_assert_uint_eq(idle_timeout_limit_ns(&destination), SECOND * 3 / 2);
}
END_TEST

START_TEST(close_within_a_second_teaches_nothing)
{
	idle_timeout_closed(&destination, 0);
	idle_timeout_closed(&destination, SECOND - 1);
	ck_assert_uint_eq(idle_timeout_limit_ns(&destination), UINT64_MAX);
	idle_timeout_closed(&destination, SECOND);
	ck_assert_uint_eq(idle_timeout_limit_ns(&destination), SECOND * 3 / 4);
}
END_TEST

START_TEST(survival_disproves_a_close)
{
	idle_timeout_closed(&destination, 10 * SECOND);
	idle_timeout_survived(&destination, 10 * SECOND - 1);
	ck_assert_uint_eq(idle_timeout_limit_ns(&destination), 9 * SECOND);
	idle_timeout_survived(&destination, 10 * SECOND);
	ck_assert_uint_eq(idle_timeout_limit_ns(&destination), UINT64_MAX);
	idle_timeout_closed(&destination, 40 * SECOND);
	ck_assert_uint_eq(idle_timeout_limit_ns(&destination), 39 * SECOND);
}
END_TEST

START_TEST(survival_leaves_the_announcement)
{
	idle_timeout_announced(&destination, 5);
	idle_timeout_survived(&destination, 100 * SECOND);
	ck_assert_uint_eq(idle_timeout_limit_ns(&destination), 4 * SECOND);
}
END_TEST

START_TEST(lower_of_both_counts)
{
	idle_timeout_announced(&destination, 60);
	idle_timeout_closed(&destination, 15 * SECOND);
	ck_assert_uint_eq(idle_timeout_limit_ns(&destination), 14 * SECOND);
	idle_timeout_announced(&destination, 5);
	ck_assert_uint_eq(idle_timeout_limit_ns(&destination), 4 * SECOND);
}
END_TEST

Suite *idle_timeout_suite(void)
{
	Suite *suite = suite_create("idle_timeout");
	TCase *tcase = tcase_create("learn");

	tcase_add_checked_fixture(tcase, forget, NULL);
	tcase_add_test(tcase, nothing_known_is_no_limit);
	tcase_add_loop_test(tcase, announced_timeout_has_a_margin, 0, sizeof(announced) / sizeof(announced[0]));
	tcase_add_test(tcase, last_announcement_counts);
	tcase_add_test(tcase, a_young_connection);
	tcase_add_test(tcase, shortest_close_counts);
	tcase_add_test(tcase, close_within_a_second_teaches_nothing);
	tcase_add_test(tcase, survival_disproves_a_close);
	tcase_add_test(tcase, survival_leaves_the_announcement);
	tcase_add_test(tcase, lower_of_both_counts);
	suite_add_tcase(suite, tcase);
	return suite;
}
