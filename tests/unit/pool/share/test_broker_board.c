/*
 * The board: it shows what is held, and a process that can't read it asks.
 */
#include "pool/share/board.h"

#include <arpa/inet.h>
#include <check.h>
#include <string.h>

static struct broker_board board;
static struct broker_counts counts;

static struct destination_key make_key(unsigned number)
{
	struct destination_key key = {.family = AF_INET, .port = htons(80)};

	memcpy(key.address, &number, sizeof(number));
	return key;
}

static void start(void)
{
	memset(&board, 0, sizeof(board));
	memset(&counts, 0, sizeof(counts));
	broker_board_open(&counts, &board, 1);
}

START_TEST(shows_what_is_held)
{
	struct destination_key one = make_key(1), other = make_key(2);

	ck_assert(broker_board_is_sound(&board, sizeof(board)));
	ck_assert_uint_eq(broker_board_n_held(&board, &one), 0);
	broker_board_count(&counts, &one, 1);
	broker_board_count(&counts, &one, 1);
	ck_assert_uint_eq(broker_board_n_held(&board, &one), 2);
	ck_assert_uint_eq(broker_board_n_held(&board, &other), 0);
	broker_board_count(&counts, &one, -1);
	ck_assert_uint_eq(broker_board_n_held(&board, &one), 1);
}
END_TEST

START_TEST(all_of_a_key_counts)
{
	struct destination_key one = make_key(1), other = one;

	other.netns_cookie++;
	broker_board_count(&counts, &one, 1);
	ck_assert_uint_eq(broker_board_n_held(&board, &other), 0);
	other = one;
	ck_assert_int_eq(destination_key_add_option(&other, 1, 2, "x", 1), 0);
	ck_assert_uint_eq(broker_board_n_held(&board, &other), 0);
}
END_TEST

/* Ten thousand destinations: nearly all places are used, and none by very many. */
START_TEST(destinations_are_spread)
{
	unsigned n_used = 0;

	for (unsigned i = 0; i < 10 * BROKER_BOARD_PLACES; i++) {
		struct destination_key key = make_key(i);

		broker_board_count(&counts, &key, 1);
	}
	for (unsigned i = 0; i < BROKER_BOARD_PLACES; i++) {
		n_used += board.n_held[i] != 0;
		ck_assert_uint_lt(board.n_held[i], 50);
	}
	ck_assert_uint_gt(n_used, BROKER_BOARD_PLACES * 99 / 100);
}
END_TEST

START_TEST(the_salt_says_where)
{
	static struct broker_board another;
	static struct broker_counts others;
	unsigned n_equal = 0;

	broker_board_open(&others, &another, 2);
	for (unsigned i = 0; i < 100; i++) {
		struct destination_key key = make_key(i);

		broker_board_count(&counts, &key, 1);
		broker_board_count(&others, &key, 1);
		ck_assert_uint_ge(broker_board_n_held(&another, &key), 1);
	}
	for (unsigned i = 0; i < BROKER_BOARD_PLACES; i++)
		n_equal += board.n_held[i] && another.n_held[i];
	ck_assert_uint_lt(n_equal, 30);
}
END_TEST

/* A place shows its maximum for larger numbers, and counts them all the same. */
START_TEST(very_many)
{
	struct destination_key key = make_key(1);

	for (unsigned i = 0; i < UINT16_MAX + 10u; i++)
		broker_board_count(&counts, &key, 1);
	ck_assert_uint_eq(broker_board_n_held(&board, &key), UINT16_MAX);
	for (unsigned i = 0; i < 11; i++)
		broker_board_count(&counts, &key, -1);
	ck_assert_uint_eq(broker_board_n_held(&board, &key), UINT16_MAX - 1);
}
END_TEST

START_TEST(unsound_or_closed)
{
	struct destination_key key = make_key(1);

	ck_assert(!broker_board_is_sound(&board, sizeof(board) - 1));
	ck_assert(!broker_board_is_sound(&board, 0));
	board.stamp++;
	ck_assert(!broker_board_is_sound(&board, sizeof(board)));
	broker_board_close(&counts);
	ck_assert_uint_eq(broker_board_n_held(&board, &key), UINT32_MAX);
	/* The counts go on, without a board. */
	broker_board_count(&counts, &key, 1);
	broker_board_open(&counts, &board, 1);
	ck_assert_uint_eq(broker_board_n_held(&board, &key), 1);
	/* Garbage is read within its bounds. */
	memset(&board, 0xff, sizeof(board));
	ck_assert_uint_eq(broker_board_n_held(&board, &key), UINT16_MAX);
}
END_TEST

Suite *broker_board_suite(void);
Suite *broker_board_suite(void)
{
	Suite *suite = suite_create("broker_board");
	TCase *tcase = tcase_create("board");

	tcase_add_checked_fixture(tcase, start, NULL);
	tcase_add_test(tcase, shows_what_is_held);
	tcase_add_test(tcase, all_of_a_key_counts);
	tcase_add_test(tcase, destinations_are_spread);
	tcase_add_test(tcase, the_salt_says_where);
	tcase_add_test(tcase, very_many);
	tcase_add_test(tcase, unsound_or_closed);
	suite_add_tcase(suite, tcase);
	return suite;
}
