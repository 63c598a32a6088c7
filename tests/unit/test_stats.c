/*
 * The names of reasons, which logs and reports are read by.
 */
#include "pool/stats.h"

#include <check.h>
#include <string.h>

START_TEST(every_reason_has_a_name_of_its_own)
{
	for (int i = 0; i < REFUSAL_COUNT; i++) {
		ck_assert_msg(stats_refusal_names[i] != NULL, "no name for %d", i);
		ck_assert_uint_gt(strlen(stats_refusal_names[i]), 0);
		ck_assert_uint_eq(strspn(stats_refusal_names[i], "abcdefghijklmnopqrstuvwxyz_0123456789"),
				  strlen(stats_refusal_names[i]));
		for (int j = 0; j < i; j++)
			ck_assert_str_ne(stats_refusal_names[i], stats_refusal_names[j]);
	}
}
END_TEST

START_TEST(names_are_at_their_place)
{
	ck_assert_int_eq(REFUSAL_NONE, 0); /* so that it reads as no */
	ck_assert_str_eq(stats_refusal_names[REFUSAL_NONE], "none");
	ck_assert_str_eq(stats_refusal_names[REFUSAL_SERVER_CLOSE], "server_close");
	ck_assert_str_eq(stats_refusal_names[REFUSAL_STALE], "stale");
	ck_assert_str_eq(stats_refusal_names[REFUSAL_LEDGER], "ledger");
	ck_assert_str_eq(stats_refusal_names[REFUSAL_POLICY], "policy");
}
END_TEST

Suite *stats_suite(void)
{
	Suite *suite = suite_create("stats");
	TCase *tcase = tcase_create("names");

	tcase_add_test(tcase, every_reason_has_a_name_of_its_own);
	tcase_add_test(tcase, names_are_at_their_place);
	suite_add_tcase(suite, tcase);
	return suite;
}
