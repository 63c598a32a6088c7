/* Deadlines: at, before and behind them, the longest and none at all. */
#include "pool/base/clock.h"

#include <check.h>
#include <limits.h>

#define NOW (100 * SECOND_NS)

Suite *clock_suite(void);

START_TEST(units)
{
	ck_assert_uint_eq(SECOND_NS, 1000000000u);
	ck_assert_uint_eq(MILLISECOND_NS, 1000000u);
	ck_assert_uint_eq(MICROSECOND_NS, 1000u);
}
END_TEST

START_TEST(what_is_left)
{
	struct deadline deadline = deadline_after(NOW, SECOND_NS);

	ck_assert_uint_eq(deadline_left_ns(deadline, NOW), SECOND_NS);
	ck_assert_uint_eq(deadline_left_ns(deadline, NOW + SECOND_NS - 1), 1);
	ck_assert_uint_eq(deadline_left_ns(deadline, NOW + SECOND_NS), 0);
	ck_assert_uint_eq(deadline_left_ns(deadline, UINT64_MAX), 0);
}
END_TEST

/* A wait that poll(2) ends is over: it does not begin again for no time, over and over. */
START_TEST(milliseconds_are_rounded_up)
{
	struct deadline deadline = deadline_after(NOW, SECOND_NS);

	for (uint64_t left_ns = SECOND_NS; left_ns; left_ns -= left_ns > MILLISECOND_NS ? MILLISECOND_NS / 3 : 1) {
		uint64_t now_ns = NOW + SECOND_NS - left_ns;
		int left_ms = deadline_left_ms(deadline, now_ns);

		ck_assert_uint_ge(now_ns + (uint64_t)left_ms * MILLISECOND_NS, deadline.at_ns);
		ck_assert_uint_le((uint64_t)left_ms * MILLISECOND_NS, left_ns + MILLISECOND_NS);
		if (left_ns <= MILLISECOND_NS)
			left_ns = left_ns > 100 ? left_ns - 99 : left_ns;
	}
	ck_assert_int_eq(deadline_left_ms(deadline, NOW + SECOND_NS), 0);
	ck_assert_int_eq(deadline_left_ms(deadline, NOW + SECOND_NS + 1), 0);
}
END_TEST

START_TEST(none)
{
	struct deadline never = deadline_after(NOW, 0), beyond = deadline_after(NOW, UINT64_MAX),
			behind = deadline_after(UINT64_MAX - 1, 1);

	ck_assert_int_eq(deadline_left_ms(never, NOW), -1);
	ck_assert_int_eq(deadline_left_ms(never, UINT64_MAX), -1);
	ck_assert_uint_eq(deadline_left_ns(never, NOW), UINT64_MAX);
	/* The clock does not get there. */
	ck_assert_int_eq(deadline_left_ms(beyond, NOW), -1);
	ck_assert_int_eq(deadline_left_ms(behind, NOW), -1);
}
END_TEST

START_TEST(longer_than_poll_can_wait)
{
	ck_assert_int_eq(deadline_left_ms(deadline_after(NOW, UINT64_MAX - 2 * NOW), NOW), INT_MAX);
	ck_assert_int_eq(deadline_left_ms(deadline_after(NOW, MILLISECOND_NS * INT_MAX), NOW), INT_MAX);
	ck_assert_int_eq(deadline_left_ms(deadline_after(NOW, MILLISECOND_NS * (INT_MAX - 2)), NOW), INT_MAX - 1);
}
END_TEST

Suite *clock_suite(void)
{
	Suite *suite = suite_create("clock");
	TCase *tcase = tcase_create("deadlines");

	tcase_add_test(tcase, units);
	tcase_add_test(tcase, what_is_left);
	tcase_add_test(tcase, milliseconds_are_rounded_up);
	tcase_add_test(tcase, none);
	tcase_add_test(tcase, longer_than_poll_can_wait);
	suite_add_tcase(suite, tcase);
	return suite;
}
