/*
 * When connections are left alone because reuse fails: after how many failures, for how long, and what ends it.
 */
#include "pool/conn/bypass.h"

#include <check.h>

#define MILLISECOND 1000000ull

static struct bypass bypass;
static uint64_t now_ns;

static void forget(void)
{
	bypass = (struct bypass){0};
	now_ns = 1000 * MILLISECOND;
}

static unsigned failures_until_pause(enum refusal why)
{
	for (unsigned n = 1; n <= 100; n++)
		if (bypass_note_failure(&bypass, why, now_ns))
			return n;
	return 0;
}

START_TEST(a_few_failures_in_a_row_begin_a_pause)
{
	ck_assert(!bypass_is_on(&bypass, now_ns));
	ck_assert_uint_eq(failures_until_pause(REFUSAL_SERVER_CLOSE), 4);
	ck_assert(bypass_is_on(&bypass, now_ns));
	ck_assert(bypass_is_on(&bypass, now_ns + 199 * MILLISECOND));
	ck_assert(!bypass_is_on(&bypass, now_ns + 200 * MILLISECOND));
}
END_TEST

START_TEST(what_befell_one_connection_does_not_count)
{
	static const enum refusal passing[] = {REFUSAL_STALE,	     REFUSAL_IDLE_TIMEOUT, REFUSAL_UNSAFE_METHOD,
					       REFUSAL_SHARED,	     REFUSAL_POOL_FULL,	   REFUSAL_LEDGER,
					       REFUSAL_CLIENT_CLOSE, REFUSAL_BYPASSED};

	for (unsigned i = 0; i < sizeof(passing) / sizeof(passing[0]); i++)
		ck_assert_uint_eq(failures_until_pause(passing[i]), 0);
	ck_assert(!bypass_is_on(&bypass, now_ns));
}
END_TEST

START_TEST(one_that_is_reused_in_between_begins_the_count_anew)
{
	for (int i = 0; i < 20; i++) {
		ck_assert(!bypass_note_failure(&bypass, REFUSAL_HTTP10, now_ns));
		ck_assert(!bypass_note_failure(&bypass, REFUSAL_HTTP10, now_ns));
		ck_assert(!bypass_note_failure(&bypass, REFUSAL_HTTP10, now_ns));
		bypass_note_reuse(&bypass);
	}
}
END_TEST

/* After a pause one failure is enough. Connections from before the pause don't count. */
START_TEST(pauses_double_up_to_a_bound)
{
	uint64_t expected = 200 * MILLISECOND;

	failures_until_pause(REFUSAL_NO_FRAMING);
	for (int i = 0; i < 20; i++) {
		ck_assert_uint_eq(failures_until_pause(REFUSAL_NO_FRAMING), 0);
		ck_assert_uint_eq(bypass.until_ns - now_ns, expected);
		now_ns = bypass.until_ns;
		ck_assert_uint_eq(failures_until_pause(REFUSAL_NO_FRAMING), 1);
		if (expected < 25600 * MILLISECOND)
			expected *= 2;
	}
}
END_TEST

START_TEST(a_reuse_ends_it)
{
	failures_until_pause(REFUSAL_TLS_OPAQUE);
	bypass_note_reuse(&bypass);
	ck_assert(!bypass_is_on(&bypass, now_ns));
	ck_assert_uint_eq(failures_until_pause(REFUSAL_TLS_OPAQUE), 4);
	ck_assert_uint_eq(bypass.until_ns - now_ns, 200 * MILLISECOND);
}
END_TEST

Suite *bypass_suite(void);
Suite *bypass_suite(void)
{
	Suite *suite = suite_create("bypass");
	TCase *tcase = tcase_create("bypass");

	tcase_add_checked_fixture(tcase, forget, NULL);
	tcase_add_test(tcase, a_few_failures_in_a_row_begin_a_pause);
	tcase_add_test(tcase, what_befell_one_connection_does_not_count);
	tcase_add_test(tcase, one_that_is_reused_in_between_begins_the_count_anew);
	tcase_add_test(tcase, pauses_double_up_to_a_bound);
	tcase_add_test(tcase, a_reuse_ends_it);
	suite_add_tcase(suite, tcase);
	return suite;
}
