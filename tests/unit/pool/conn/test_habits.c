/*
 * Conclusions from the habits of programs.
 */
#include "pool/conn/habits.h"

#include <check.h>

static void add(struct habit_streak *streak, int n)
{
	for (int i = 0; i < n; i++)
		habit_streak_add(streak);
}

START_TEST(a_streak_takes_four)
{
	struct habit_streak streak = {0};

	ck_assert(!habit_streak_lasts(&streak));
	add(&streak, 3);
	ck_assert(!habit_streak_lasts(&streak));
	habit_streak_break(&streak);
	add(&streak, 3);
	ck_assert(!habit_streak_lasts(&streak));
	add(&streak, 1);
	ck_assert(habit_streak_lasts(&streak));
	add(&streak, 100000); /* must not overflow */
	ck_assert(habit_streak_lasts(&streak));
	habit_streak_break(&streak);
	ck_assert(!habit_streak_lasts(&streak));
}
END_TEST

START_TEST(a_wrong_guess_makes_it_harder)
{
	struct habit_streak streak = {0};

	for (int enough = 4; enough <= 64; enough *= 2) {
		add(&streak, enough - 1);
		ck_assert(!habit_streak_lasts(&streak));
		add(&streak, 1);
		ck_assert(habit_streak_lasts(&streak));
		habit_streak_break(&streak);
		habit_streak_break(&streak); /* it had ended already */
	}
	add(&streak, 63);
	ck_assert(!habit_streak_lasts(&streak));
	add(&streak, 1);
	ck_assert(habit_streak_lasts(&streak)); /* the same threshold as before */
}
END_TEST

START_TEST(it_may_be_told)
{
	struct habit_streak streak = {0};

	habit_streak_believe(&streak);
	ck_assert(habit_streak_lasts(&streak));
	habit_streak_break(&streak);
	ck_assert(!habit_streak_lasts(&streak));
	add(&streak, 20);
	habit_streak_believe(&streak);
	ck_assert_uint_eq(streak.n, 20);
}
END_TEST

START_TEST(looks_are_a_share_of_the_last)
{
	struct habit_looks looks = {0};

	ck_assert(!habit_looks_often(&looks, 7));
	habit_looks_note(&looks, 7, false);
	ck_assert(!habit_looks_often(&looks, 7));
	habit_looks_note(&looks, 7, true); /* 1 of 2 */
	ck_assert(habit_looks_often(&looks, 7));
	ck_assert(!habit_looks_often(&looks, 8));
	habit_looks_note(&looks, 7, false); /* 1 of 3 */
	ck_assert(!habit_looks_often(&looks, 7));
	for (int i = 0; i < 1000; i++)
		habit_looks_note(&looks, 7, true);
	for (int i = 0; i < 8; i++) {
		ck_assert(habit_looks_often(&looks, 7));
		habit_looks_note(&looks, 7, false);
	}
	ck_assert(habit_looks_often(&looks, 7)); /* 8 of 16 */
	habit_looks_note(&looks, 7, false);
	ck_assert(!habit_looks_often(&looks, 7));
}
END_TEST

START_TEST(so_many_are_told_apart)
{
	struct habit_looks looks = {0};

	habit_looks_note(&looks, 0, true); /* nobody */
	ck_assert(!habit_looks_often(&looks, 0));
	for (uint64_t who = 1; who <= HABIT_SITES; who++)
		habit_looks_note(&looks, who, who % 2);
	for (uint64_t who = 1; who <= HABIT_SITES; who++)
		ck_assert_int_eq(habit_looks_often(&looks, who), who % 2);
	habit_looks_note(&looks, HABIT_SITES + 1, true);
	ck_assert(!habit_looks_often(&looks, 1)); /* forgotten */
	ck_assert(habit_looks_often(&looks, 3));
	ck_assert(habit_looks_often(&looks, HABIT_SITES + 1));
}
END_TEST

Suite *habits_suite(void)
{
	Suite *suite = suite_create("habits");
	TCase *tcase = tcase_create("habits");

	tcase_add_test(tcase, a_streak_takes_four);
	tcase_add_test(tcase, a_wrong_guess_makes_it_harder);
	tcase_add_test(tcase, it_may_be_told);
	tcase_add_test(tcase, looks_are_a_share_of_the_last);
	tcase_add_test(tcase, so_many_are_told_apart);
	suite_add_tcase(suite, tcase);
	return suite;
}
