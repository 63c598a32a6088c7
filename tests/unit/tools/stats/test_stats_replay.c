/*
 * A replay of recorded uses through a pool.
 */
#include "tools/stats/replay.h"

#include <check.h>
#include <stdlib.h>

#define S UINT64_C(1000000000)

static struct stats_replay_result replay(const struct stats_replay_use *uses, size_t n, uint64_t idle_timeout_ns)
{
	struct stats_replay_result result;

	ck_assert_int_eq(stats_replay(uses, n, idle_timeout_ns, &result), 0);
	ck_assert_uint_eq(result.n_uses, n);
	return result;
}

START_TEST(nothing_needs_nothing)
{
	struct stats_replay_result result = replay(NULL, 0, 60 * S);

	ck_assert_uint_eq(result.n_dials, 0);
	ck_assert_uint_eq(result.pool_size, 0);
	ck_assert_uint_eq(result.span_ns, 0);
}
END_TEST

START_TEST(one_after_the_other_needs_one)
{
	const struct stats_replay_use uses[] = {{0, 1 * S, true}, {1 * S, 2 * S, true}, {5 * S, 6 * S, true}};
	struct stats_replay_result result = replay(uses, 3, 60 * S);

	ck_assert_uint_eq(result.n_dials, 1);
	ck_assert_uint_eq(result.pool_size, 1);
	ck_assert_uint_eq(result.span_ns, 6 * S);
}
END_TEST

START_TEST(overlaps_are_counted)
{
	const struct stats_replay_use uses[] = {
		{0, 10 * S, true}, {1 * S, 2 * S, true}, {3 * S, 9 * S, true}, {4 * S, 5 * S, true}};
	struct stats_replay_result result = replay(uses, 4, 60 * S);

	ck_assert_uint_eq(result.n_dials, 3); /* the third reuses the second one's connection */
	ck_assert_uint_eq(result.pool_size, 3);
}
END_TEST

START_TEST(what_was_idle_for_too_long_is_dialled_again)
{
	const struct stats_replay_use uses[] = {{0, 1 * S, true}, {11 * S, 12 * S, true}, {23 * S, 24 * S, true}};

	ck_assert_uint_eq(replay(uses, 3, 10 * S).n_dials, 2);
	ck_assert_uint_eq(replay(uses, 3, 11 * S).n_dials, 1);
	ck_assert_uint_eq(replay(uses, 3, 0).n_dials, 1);
	ck_assert_uint_eq(replay(uses, 3, 10 * S).pool_size, 1);
}
END_TEST

START_TEST(the_newest_is_given_out_so_that_others_expire)
{
	/* Two at once, then one every 4 s: those don't keep the other connection alive. */
	const struct stats_replay_use uses[] = {{0, 1 * S, true},     {0, 1 * S, true},	      {4 * S, 5 * S, true},
						{8 * S, 9 * S, true}, {12 * S, 13 * S, true}, {12 * S, 13 * S, true}};
	struct stats_replay_result result = replay(uses, 6, 10 * S);

	ck_assert_uint_eq(result.n_dials, 3);
	ck_assert_uint_eq(result.pool_size, 2);
}
END_TEST

START_TEST(what_could_not_be_kept_serves_nobody)
{
	const struct stats_replay_use uses[] = {{0, 1 * S, false}, {2 * S, 3 * S, false}, {4 * S, 5 * S, true}};

	ck_assert_uint_eq(replay(uses, 3, 60 * S).n_dials, 3);
	ck_assert_uint_eq(replay(uses, 3, 60 * S).pool_size, 1);
}
END_TEST

START_TEST(an_end_before_the_beginning_lasts_no_time)
{
	const struct stats_replay_use uses[] = {{5 * S, 0, true}, {5 * S, 4 * S, true}};
	struct stats_replay_result result = replay(uses, 2, 60 * S);

	ck_assert_uint_eq(result.n_dials, 1);
	ck_assert_uint_eq(result.span_ns, 0);
}
END_TEST

/* Against a count too slow to be wrong: without expiry, and with all connections kept, the pool is the greatest
 * overlap. */
START_TEST(the_pool_is_the_greatest_overlap)
{
	struct stats_replay_use uses[300];
	size_t most = 0;

	srand(7);
	for (int i = 0; i < 300; i++) {
		uses[i].began_ns = (i ? uses[i - 1].began_ns : 0) + (uint64_t)(rand() % 5);
		uses[i].ended_ns = uses[i].began_ns + (uint64_t)(rand() % 60);
		uses[i].was_kept = true;
	}
	for (int i = 0; i < 300; i++) {
		size_t n = 0;

		for (int j = 0; j <= i; j++)
			n += j == i || uses[j].ended_ns > uses[i].began_ns;
		if (n > most)
			most = n;
	}
	ck_assert_uint_eq(replay(uses, 300, 0).pool_size, most);
	ck_assert_uint_eq(replay(uses, 300, 0).n_dials, most);
}
END_TEST

Suite *stats_replay_suite(void)
{
	Suite *suite = suite_create("stats_replay");
	TCase *tcase = tcase_create("replay");

	tcase_add_test(tcase, nothing_needs_nothing);
	tcase_add_test(tcase, one_after_the_other_needs_one);
	tcase_add_test(tcase, overlaps_are_counted);
	tcase_add_test(tcase, what_was_idle_for_too_long_is_dialled_again);
	tcase_add_test(tcase, the_newest_is_given_out_so_that_others_expire);
	tcase_add_test(tcase, what_could_not_be_kept_serves_nobody);
	tcase_add_test(tcase, an_end_before_the_beginning_lasts_no_time);
	tcase_add_test(tcase, the_pool_is_the_greatest_overlap);
	suite_add_tcase(suite, tcase);
	return suite;
}
