/*
 * What is made of the habits of programs.
 */
#include "pool/habits.h"

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
	add(&streak, 100000); /* does not run over */
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
		habit_streak_break(&streak); /* was none any more */
	}
	add(&streak, 63);
	ck_assert(!habit_streak_lasts(&streak));
	add(&streak, 1);
	ck_assert(habit_streak_lasts(&streak)); /* no harder than that */
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

Suite *habits_suite(void)
{
	Suite *suite = suite_create("habits");
	TCase *tcase = tcase_create("habits");

	tcase_add_test(tcase, a_streak_takes_four);
	tcase_add_test(tcase, a_wrong_guess_makes_it_harder);
	tcase_add_test(tcase, it_may_be_told);
	suite_add_tcase(suite, tcase);
	return suite;
}
