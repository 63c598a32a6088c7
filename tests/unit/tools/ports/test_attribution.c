/*
 * Whose the connections in TIME_WAIT are: a page of counts stands for those of programs.
 */
#include "tools/ports/attribution.h"

#include <arpa/inet.h>
#include <check.h>
#include <string.h>
#include <sys/socket.h>

#include "pool/base/clock.h"
#include "pool/conn/destination.h"
#include "tools/base/clock.h"

static const uint32_t room[STATS_N_ARRAYS] = STATS_PAGE_ROOM;
static _Alignas(8) char memory[STATS_PAGE_SIZE];
static struct stats_page *const page = (struct stats_page *)memory;

static struct attribution counted;
static struct ports_tuple tuple;

static void set_up(void)
{
	memset(memory, 0, sizeof(memory));
	stats_init(page, room);
	page->pid = 1;
	memset(&tuple, 0, sizeof(tuple));
	ck_assert_int_eq(inet_pton(AF_INET6, "::ffff:127.0.0.1", &tuple.key.destination), 1);
	tuple.key.port = 80;
	tuple.n_time_wait = 50;
}

/* Dials of a program that is no more, the last of which ended so long ago. */
static void dial(unsigned port, unsigned n, uint64_t age_s)
{
	struct destination_key key = {.family = AF_INET, .port = htons((uint16_t)port), .address = {127, 0, 0, 1}};
	struct stats_destination *destination = stats_find(page, &key);
	uint64_t ended_ns = clock_now_ns(CLOCK_MONOTONIC) - age_s * SECOND_NS;

	while (n--) {
		stats_count(destination, STATS_CONNECTS);
		stats_count(destination, STATS_DIALED);
		stats_add_interval(page, destination, ended_ns - 1, ended_ns, true);
	}
}

static void look(void)
{
	struct stats_view view;

	stats_view_init(&view);
	stats_view_add(&view, page, STATS_VIEW_ENDED);
	stats_view_seal(&view);
	attribution_find(&view, &tuple.key, 0, NULL, &counted);
	stats_view_fini(&view);
}

START_TEST(dials_of_the_last_minute_explain)
{
	dial(80, 30, 2);
	dial(443, 30, 2);
	look();
	ck_assert(counted.is_there);
	ck_assert_uint_eq(counted.n_dialed, 30);
	ck_assert_uint_eq(attribution_explains(&counted, &tuple), 30);
	tuple.n_time_wait = 20;
	ck_assert_uint_eq(attribution_explains(&counted, &tuple), 20);
}
END_TEST

START_TEST(older_ones_do_not)
{
	dial(80, 30, 100);
	dial(443, 30, 2);
	look();
	ck_assert(!counted.is_there);
	ck_assert_uint_eq(attribution_explains(&counted, &tuple), 0);
	dial(80, 5, 2);
	look();
	ck_assert_uint_eq(counted.n_dialed, 35);
	ck_assert_uint_eq(attribution_explains(&counted, &tuple), 5);
}
END_TEST

/* More uses than are remembered: nobody can say. */
START_TEST(what_was_forgotten_may_be_new)
{
	dial(80, 40, 100);
	dial(443, 2 * room[STATS_INTERVALS], 2);
	look();
	ck_assert(counted.is_there);
	ck_assert_uint_eq(attribution_explains(&counted, &tuple), 40);
}
END_TEST

Suite *attribution_suite(void)
{
	Suite *suite = suite_create("attribution");
	TCase *tcase = tcase_create("attribution");

	tcase_add_checked_fixture(tcase, set_up, NULL);
	tcase_add_test(tcase, dials_of_the_last_minute_explain);
	tcase_add_test(tcase, older_ones_do_not);
	tcase_add_test(tcase, what_was_forgotten_may_be_new);
	suite_add_tcase(suite, tcase);
	return suite;
}
