/*
 * Copies of a process's page: only what is used, and all of that.
 */
#include "tools/stats/page_file.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/fake/stats_pages.h"
#include "tools/stats/read.h"
#include "tools/stats/view.h"

#define SLOT "0001"

static const char *folder;
static int fd;
static struct stats_page *page;

static void start(void)
{
	folder = stats_pages_make_folder();
	fd = open(folder, O_RDONLY | O_DIRECTORY);
	ck_assert_int_ge(fd, 0);
	page = stats_pages_new_own();
}

static void stop(void)
{
	free(page);
	close(fd);
	stats_pages_remove_folder(folder);
}

static struct stats_page *copy(bool has_counts_only)
{
	stats_pages_write(folder, SLOT, page, STATS_PAGE_SIZE);
	return page_file_read_used(fd, SLOT, geteuid(), has_counts_only);
}

/* Adds n destinations, at most 68, each with a call site in a file of its own while there is room, and n intervals. */
static void fill(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct stats_callsite wanted = {.n_frames = 1, .offset = {i}}, *callsite;
		char path[32];

		snprintf(path, sizeof(path), "/usr/lib/%u.so", i);
		stats_pages_count(page, 1000 + i, i + 1);
		wanted.destination = i + 1;
		wanted.module[0] = stats_find_module(page, path, 0);
		callsite = stats_find_callsite(page, &wanted);
		if (callsite)
			callsite->connects = i + 1;
		stats_add_interval(page, stats_destination_at(page, i + 1), i, i + 1, true);
	}
}

START_TEST(only_used_room_is_copied)
{
	static const uint32_t room[STATS_N_ARRAYS] = {4, 3, 3, 3};
	struct stats_page *used;

	fill(3);
	used = copy(false);
	ck_assert_ptr_nonnull(used);
	ck_assert_mem_eq(used->n_max, room, sizeof(room));
	ck_assert_uint_eq(used->pid, page->pid);
	for (uint32_t i = 1; i < 4; i++) {
		ck_assert(stats_has(used, STATS_DESTINATIONS, i));
		ck_assert_mem_eq(stats_destination_at(used, i), stats_destination_at(page, i),
				 sizeof(struct stats_destination));
	}
	for (uint32_t i = 0; i < 3; i++) {
		ck_assert(stats_has(used, STATS_CALLSITES, i) && stats_has(used, STATS_MODULES, i));
		ck_assert_mem_eq(stats_callsite_at(used, i), stats_callsite_at(page, i), sizeof(struct stats_callsite));
		ck_assert_str_eq(stats_module_at(used, i)->path, stats_module_at(page, i)->path);
		ck_assert_uint_eq(stats_interval_at(used, i)->number, i + 1);
	}
	free(used);
}
END_TEST

START_TEST(a_full_page_is_copied_as_it_is)
{
	struct stats_page *used;

	fill(68);
	for (int i = 0; i < 300; i++)
		stats_add_interval(page, stats_destination_at(page, 1), 1, 2, true);
	used = copy(false);
	ck_assert_ptr_nonnull(used);
	ck_assert_mem_eq(used, page, stats_size(page->n_max));
	free(used);
}
END_TEST

START_TEST(an_empty_page_has_its_first_entries)
{
	static const uint32_t room[STATS_N_ARRAYS] = {1, 1, 1, 1};
	struct stats_page *used = copy(false);

	ck_assert_ptr_nonnull(used);
	ck_assert_mem_eq(used->n_max, room, sizeof(room));
	ck_assert(stats_has(used, STATS_DESTINATIONS, 0));
	free(used);
}
END_TEST

START_TEST(counts_alone_are_destinations)
{
	static const uint32_t room[STATS_N_ARRAYS] = {6};
	struct stats_page *used;

	fill(5);
	used = copy(true);
	ck_assert_ptr_nonnull(used);
	ck_assert_mem_eq(used->n_max, room, sizeof(room));
	ck_assert_mem_eq(stats_destination_at(used, 0), stats_destination_at(page, 0),
			 room[0] * sizeof(struct stats_destination));
	free(used);
}
END_TEST

START_TEST(a_page_without_an_owner_is_none)
{
	page->pid = 0;
	ck_assert_ptr_null(copy(false));
}
END_TEST

START_TEST(a_file_that_ends_before_its_arrays_is_none)
{
	fill(3);
	stats_pages_write(folder, SLOT, page, stats_size(page->n_max) - 1);
	ck_assert_ptr_null(page_file_read_used(fd, SLOT, geteuid(), false));
}
END_TEST

START_TEST(counts_are_the_same_by_both_ways)
{
	struct stats_view whole, counts;
	struct stats_page *killed = stats_pages_new(stats_pages_dead_pid(), "killed");

	fill(60);
	stats_find_same(page, stats_destination_at(page, 3))->idle = 4;
	stats_pages_count(killed, 1003, 7);
	stats_pages_write(folder, SLOT, page, STATS_PAGE_SIZE);
	stats_pages_write(folder, "0002", killed, STATS_PAGE_SIZE);
	ck_assert_int_eq(stats_read(&whole, folder), 0);
	ck_assert_int_eq(stats_read_counts(&counts, folder), 0);
	ck_assert_mem_eq(&counts.totals, &whole.totals, sizeof(counts.totals));
	ck_assert_uint_eq(counts.totals.counter[STATS_CONNECTS], 60 * 61 / 2 + 7);
	ck_assert_uint_eq(HASH_COUNT(counts.destinations), 60);
	ck_assert_uint_eq(counts.n_living, 1);
	ck_assert_uint_eq(counts.n_ended, 1);
	ck_assert_int_eq(stats_view_find(&counts, stats_destination_at(page, 3))->sum.idle, 4);
	ck_assert_uint_eq(HASH_COUNT(whole.callsites), 56);
	ck_assert_ptr_nonnull(whole.processes);
	ck_assert_uint_eq(whole.n_intervals, 60);
	ck_assert_ptr_null(counts.callsites);
	ck_assert_ptr_null(counts.processes);
	ck_assert_uint_eq(counts.n_intervals, 0);
	stats_view_fini(&whole);
	stats_view_fini(&counts);
	free(killed);
}
END_TEST

Suite *page_file_suite(void);
Suite *page_file_suite(void)
{
	Suite *suite = suite_create("page_file");
	TCase *tests = tcase_create("page_file");

	tcase_add_checked_fixture(tests, start, stop);
	tcase_add_test(tests, only_used_room_is_copied);
	tcase_add_test(tests, a_full_page_is_copied_as_it_is);
	tcase_add_test(tests, an_empty_page_has_its_first_entries);
	tcase_add_test(tests, counts_alone_are_destinations);
	tcase_add_test(tests, a_page_without_an_owner_is_none);
	tcase_add_test(tests, a_file_that_ends_before_its_arrays_is_none);
	tcase_add_test(tests, counts_are_the_same_by_both_ways);
	suite_add_tcase(suite, tests);
	return suite;
}
