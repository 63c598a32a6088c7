/*
 * Reading folders of counters: sums, living processes, folders of runs, and hostile contents.
 */
#include "tools/stats/read.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pool/conn/destination.h"
#include "pool/stats/file.h"
#include "tests/unit/fake/stats_pages.h"
#include "tools/stats/counts.h"
#include "tools/stats/run_folder.h"
#include "tools/stats/view.h"

static const uint32_t total_room[STATS_N_ARRAYS] = STATS_TOTAL_ROOM;
static const char *folder;
static struct stats_page *page;
static struct stats_view view;

static void start(void)
{
	folder = stats_pages_make_folder();
	page = stats_pages_new_own();
	stats_view_init(&view);
}

static void stop(void)
{
	stats_view_fini(&view);
	free(page);
	stats_pages_remove_folder(folder);
}

static void read_it(void)
{
	stats_view_fini(&view);
	ck_assert_int_eq(stats_read(&view, folder), 0);
}

static const char *path_in(const char *name)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	return path;
}

static void write_total(unsigned n_connects, uint64_t n_ended, uint32_t generation)
{
	struct stats_page *total = calloc(1, stats_size(total_room));

	stats_init(total, total_room);
	stats_pages_count(total, 80, n_connects);
	total->n_ended = n_ended;
	total->generation = generation;
	stats_pages_write(folder, STATS_TOTAL_NAME, total, stats_size(total_room));
	free(total);
}

START_TEST(an_empty_folder_is_an_empty_view)
{
	read_it();
	ck_assert_uint_eq(view.n_folders, 1);
	ck_assert_uint_eq(view.n_living + view.n_ended, 0);
	ck_assert_ptr_null(view.destinations);
	ck_assert(!view.is_incomplete);
	ck_assert_int_eq(stats_read(&view, path_in("nothing")), -ENOENT);
}
END_TEST

START_TEST(a_folder_that_others_may_write_to_is_refused)
{
	ck_assert_int_eq(chmod(folder, 0755), 0);
	ck_assert_int_eq(stats_read(&view, folder), -EPERM);
}
END_TEST

START_TEST(living_ended_and_killed_are_summed)
{
	struct stats_page *killed = stats_pages_new(stats_pages_dead_pid(), "killed");
	struct destination_key key = stats_pages_key(1, 80);

	stats_pages_count(page, 80, 3);
	stats_pages_count(page, 443, 1);
	stats_find(page, &key)->active = 2;
	stats_find(page, &key)->idle = 1;
	stats_pages_count(killed, 80, 10);
	stats_find(killed, &key)->active = 5;
	stats_pages_write(folder, "0001", page, STATS_PAGE_SIZE);
	stats_pages_write(folder, "0002", killed, STATS_PAGE_SIZE);
	write_total(100, 7, 4);
	read_it();
	ck_assert_uint_eq(view.totals.counter[STATS_CONNECTS], 114);
	ck_assert_uint_eq(view.n_living, 1);
	ck_assert_uint_eq(view.n_ended, 8);
	ck_assert_uint_eq(HASH_COUNT(view.destinations), 2);
	ck_assert_uint_eq(view.destinations->sum.counts.counter[STATS_DIALED], 113);
	ck_assert_int_eq(view.destinations->sum.active, 2); /* the killed process's connections are closed */
	ck_assert_int_eq(view.destinations->sum.idle, 1);
	ck_assert_uint_eq(view.destinations->n_living, 1);
	ck_assert_str_eq(view.processes->program, "killed");
	ck_assert(!view.processes->is_alive);
	ck_assert(view.processes->next->is_alive);
	ck_assert_uint_eq(view.processes->next->n_uses, 2);
	ck_assert(!view.is_incomplete);
	free(killed);
}
END_TEST

START_TEST(a_pid_that_is_used_again_is_not_the_process)
{
	stats_pages_count(page, 80, 1);
	page->began_ns = 1; /* before we started */
	stats_pages_write(folder, "0001", page, STATS_PAGE_SIZE);
	read_it();
	ck_assert_uint_eq(view.n_living, 0);
	ck_assert_uint_eq(view.n_ended, 1);
}
END_TEST

START_TEST(who_has_ended_does_not_live_until_waited_for)
{
	pid_t child = fork();
	siginfo_t info;

	if (child == 0)
		_exit(0);
	ck_assert_int_eq(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
	page->pid = (uint32_t)child;
	stats_pages_count(page, 80, 1);
	stats_pages_write(folder, "0001", page, STATS_PAGE_SIZE);
	read_it();
	ck_assert_uint_eq(view.n_ended, 1);
	ck_assert_int_eq(waitpid(child, NULL, 0), child);
}
END_TEST

START_TEST(a_pid_of_another_namespace_may_live)
{
	stats_pages_count(page, 80, 1);
	page->pid = stats_pages_dead_pid();
	page->pid_namespace++;
	stats_pages_write(folder, "0001", page, STATS_PAGE_SIZE);
	read_it();
	ck_assert_uint_eq(view.n_living, 1);
}
END_TEST

START_TEST(what_is_nobodys_is_in_the_total_only)
{
	stats_pages_count(page, 80, 3);
	page->pid = 0;
	stats_pages_write(folder, "0001", page, STATS_PAGE_SIZE);
	write_total(3, 1, 2);
	read_it();
	ck_assert_uint_eq(view.totals.counter[STATS_CONNECTS], 3);
	ck_assert_uint_eq(view.n_ended, 1);
}
END_TEST

START_TEST(a_generation_that_stays_odd_is_read_as_it_is)
{
	write_total(5, 1, 3);
	read_it();
	ck_assert_uint_eq(view.totals.counter[STATS_CONNECTS], 5);
	ck_assert(view.is_incomplete);
}
END_TEST

START_TEST(call_sites_are_merged_by_file_and_offset)
{
	struct stats_page *other = stats_pages_new(stats_pages_dead_pid(), "other");
	struct stats_page *pages[] = {page, other};

	for (int i = 0; i < 2; i++) {
		struct stats_callsite wanted = {.n_frames = 2, .offset = {0x1234, 0x99}};
		struct stats_callsite *callsite;

		/* The same file has another index in each. */
		if (i == 1)
			ck_assert_uint_eq(stats_find_module(pages[i], "/usr/lib/first.so", 0), 0);
		wanted.module[0] = stats_find_module(pages[i], "/usr/lib/libcurl.so", 0);
		wanted.module[1] = STATS_NO_MODULE;
		stats_pages_count(pages[i], 80, 1);
		wanted.destination = 1;
		callsite = stats_find_callsite(pages[i], &wanted);
		callsite->connects = 10;
		callsite->dialed = 4;
		strncpy(pages[i]->program, "curl", STATS_NAME_MAX);
	}
	stats_pages_write(folder, "0001", page, STATS_PAGE_SIZE);
	stats_pages_write(folder, "0002", other, STATS_PAGE_SIZE);
	read_it();
	ck_assert_uint_eq(HASH_COUNT(view.callsites), 1);
	ck_assert_uint_eq(view.callsites->connects, 20);
	ck_assert_uint_eq(view.callsites->dialed, 8);
	ck_assert_uint_eq(view.callsites->key.n_frames, 2);
	ck_assert_str_eq(view.callsites->key.program, "curl");
	ck_assert_str_eq(view.callsites->key.frames[0].module->path, "/usr/lib/libcurl.so");
	ck_assert_uint_eq(view.callsites->key.frames[0].offset, 0x1234);
	ck_assert_ptr_null(view.callsites->key.frames[1].module);
	ck_assert_ptr_eq(view.callsites->key.destination, view.destinations);
	free(other);
}
END_TEST

START_TEST(intervals_come_in_order)
{
	struct destination_key key = stats_pages_key(1, 80);
	struct stats_destination *destination;

	stats_pages_count(page, 80, 1);
	destination = stats_find(page, &key);
	for (uint64_t i = 0; i < 300; i++) /* more than there is room for: the last 256 stay */
		stats_add_interval(page, destination, 1000 - i, 2000 - i, i % 2);
	stats_pages_write(folder, "0001", page, STATS_PAGE_SIZE);
	read_it();
	ck_assert_uint_eq(view.n_intervals, 256);
	for (size_t i = 0; i < view.n_intervals; i++) {
		ck_assert_ptr_eq(view.intervals[i].destination, view.destinations);
		ck_assert_uint_eq(view.intervals[i].began_ns, 701 + i);
	}
}
END_TEST

START_TEST(what_is_no_page_is_passed_over)
{
	struct stats_page *bad = stats_pages_new_own();

	stats_pages_count(page, 80, 1);
	stats_pages_write(folder, "0001", page, STATS_PAGE_SIZE);
	stats_pages_count(bad, 80, 1000);
	stats_pages_write(folder, "0002", bad, 0);
	stats_pages_write(folder, "0003", bad, 100);
	stats_pages_write(folder, "0004", bad, sizeof(*bad));
	stats_pages_write(folder, "0005", bad, 30000);
	stats_pages_write(folder, "1024", bad, STATS_PAGE_SIZE);
	stats_pages_write(folder, "006", bad, STATS_PAGE_SIZE);
	stats_pages_write(folder, "0x07", bad, STATS_PAGE_SIZE);
	bad->n_max[STATS_CALLSITES] = UINT32_MAX;
	stats_pages_write(folder, "0008", bad, STATS_PAGE_SIZE);
	bad->n_max[STATS_CALLSITES] = 0;
	stats_pages_write(folder, "0009", bad, STATS_PAGE_SIZE);
	bad->n_max[STATS_CALLSITES] = 56;
	bad->version = STATS_VERSION + 1;
	stats_pages_write(folder, "0010", bad, STATS_PAGE_SIZE);
	bad->version = STATS_VERSION;
	bad->magic[0] = 'X';
	stats_pages_write(folder, "0011", bad, STATS_PAGE_SIZE);
	stats_pages_write(folder, STATS_TOTAL_NAME, bad, STATS_PAGE_SIZE);
	bad->magic[0] = 'H';
	stats_pages_write("/tmp", "holdline-unit-elsewhere", bad, STATS_PAGE_SIZE);
	ck_assert_int_eq(symlink("/tmp/holdline-unit-elsewhere", path_in("0012")), 0);
	ck_assert_int_eq(mkfifo(path_in("0013"), 0600), 0);
	ck_assert_int_eq(mkdir(path_in("0014"), 0700), 0);
	ck_assert_int_eq(symlink("/tmp", path_in("run-1")), 0);
	read_it();
	unlink("/tmp/holdline-unit-elsewhere");
	ck_assert_uint_eq(view.totals.counter[STATS_CONNECTS], 1);
	ck_assert_uint_eq(view.n_living, 1);
	free(bad);
}
END_TEST

START_TEST(files_of_others_are_passed_over)
{
	if (geteuid() != 0)
		return;
	stats_pages_count(page, 80, 1);
	stats_pages_write(folder, "0001", page, STATS_PAGE_SIZE);
	stats_pages_write(folder, "0002", page, STATS_PAGE_SIZE);
	ck_assert_int_eq(chown(path_in("0002"), 65534, 65534), 0);
	read_it();
	ck_assert_uint_eq(view.totals.counter[STATS_CONNECTS], 1);
	ck_assert_int_eq(chown(folder, 65534, 65534), 0);
	stats_view_fini(&view);
	ck_assert_int_eq(stats_read(&view, folder), -EPERM);
}
END_TEST

/* Sound, and yet every number in it is wrong. */
START_TEST(indices_and_strings_are_not_trusted)
{
	struct stats_module *module;
	struct stats_callsite *callsite, wanted = {.n_frames = 1, .offset = {7}};

	stats_pages_count(page, 80, 1);
	wanted.module[0] = stats_find_module(page, "/bin/true", 0);
	wanted.destination = 1;
	callsite = stats_find_callsite(page, &wanted);
	callsite->n_frames = UINT32_MAX;
	memset(callsite->module, 200, sizeof(callsite->module));
	callsite->module[0] = 0;
	callsite->connects = 3;
	module = stats_module_at(page, 0);
	memset(module->path, 'a', sizeof(module->path));
	wanted.offset[0] = 8;
	stats_find_callsite(page, &wanted)->destination = 79; /* nobody's */
	wanted.offset[0] = 9;
	stats_find_callsite(page, &wanted)->destination = UINT32_MAX;
	stats_add_interval(page, stats_destination_at(page, 1), 5, 6, true);
	stats_interval_at(page, 0)->destination = UINT32_MAX;
	stats_add_interval(page, stats_destination_at(page, 1), 6, 5, true);
	page->n_intervals = UINT64_MAX;
	memset(page->program, 'b', sizeof(page->program));
	stats_destination_at(page, 1)->active = INT64_MAX;
	stats_pages_write(folder, "0001", page, STATS_PAGE_SIZE);
	page->pid = (uint32_t)getppid();
	stats_pages_write(folder, "0002", page, STATS_PAGE_SIZE);
	page->pid = UINT32_MAX;
	stats_pages_write(folder, "0003", page, STATS_PAGE_SIZE);
	read_it();
	ck_assert_uint_eq(HASH_COUNT(view.callsites), 1);
	ck_assert_uint_eq(view.callsites->connects, 9);
	ck_assert_uint_eq(view.callsites->key.n_frames, STATS_MAX_FRAMES);
	ck_assert_uint_eq(strlen(view.callsites->key.frames[0].module->path), STATS_PATH_MAX);
	ck_assert_ptr_null(view.callsites->key.frames[1].module);
	ck_assert_str_eq(view.callsites->key.program, "bbbbbbbbbbbbbbbb");
	ck_assert_uint_eq(view.n_intervals, 0);
	ck_assert_uint_eq(view.totals.counter[STATS_CONNECTS], 3);
}
END_TEST

START_TEST(folders_of_runs_are_read_and_settled)
{
	struct run_folder outer, inner;
	struct stats_page *dead = stats_pages_new(stats_pages_dead_pid(), "dead");

	stats_pages_count(dead, 80, 5);
	ck_assert_int_eq(run_folder_begin(&outer, folder), 0);
	ck_assert_int_eq(run_folder_begin(&inner, outer.path), 0);
	stats_pages_count(page, 80, 1);
	stats_pages_write(outer.path, "0001", page, STATS_PAGE_SIZE);
	stats_pages_write(inner.path, "0002", dead, STATS_PAGE_SIZE);
	read_it();
	ck_assert_uint_eq(view.n_folders, 3);
	ck_assert_uint_eq(view.totals.counter[STATS_CONNECTS], 6);

	/* The inner run is over; its numbers are in the outer one's total now. */
	run_folder_end(&inner);
	ck_assert_int_eq(access(inner.path, F_OK), -1);
	read_it();
	ck_assert_uint_eq(view.n_folders, 2);
	ck_assert_uint_eq(view.totals.counter[STATS_CONNECTS], 6);
	ck_assert_uint_eq(view.n_ended, 1);

	/* A process of the outer run still lives: the folder stays until a reader finds it dead. */
	run_folder_end(&outer);
	ck_assert_int_eq(access(outer.path, F_OK), 0);
	read_it();
	ck_assert_uint_eq(view.totals.counter[STATS_CONNECTS], 6);
	ck_assert_uint_eq(view.n_living, 1);
	page->pid = dead->pid;
	stats_pages_write(outer.path, "0001", page, STATS_PAGE_SIZE);
	read_it();
	ck_assert_int_eq(access(outer.path, F_OK), -1);
	ck_assert_uint_eq(view.totals.counter[STATS_CONNECTS], 6);
	ck_assert_uint_eq(view.n_ended, 2);
	ck_assert_uint_eq(view.n_folders, 1);
	free(dead);
}
END_TEST

START_TEST(a_run_that_is_under_way_is_not_settled)
{
	struct run_folder run;
	struct stats_page *dead = stats_pages_new(stats_pages_dead_pid(), "dead");

	ck_assert_int_eq(run_folder_begin(&run, folder), 0);
	stats_pages_count(dead, 80, 5);
	stats_pages_write(run.path, "0001", dead, STATS_PAGE_SIZE);
	for (int i = 0; i < 2; i++) {
		read_it();
		ck_assert_uint_eq(view.totals.counter[STATS_CONNECTS], 5);
		ck_assert_int_eq(access(run.path, F_OK), 0);
	}
	/* Killed: the kernel releases its lock. */
	close(run.holder);
	close(run.folder);
	close(run.outer);
	read_it();
	ck_assert_uint_eq(view.totals.counter[STATS_CONNECTS], 5);
	ck_assert_int_eq(access(run.path, F_OK), -1);
	free(dead);
}
END_TEST

START_TEST(a_folder_that_somebody_reads_is_not_settled)
{
	struct run_folder run;
	int reader = open(folder, O_RDONLY | O_DIRECTORY);

	ck_assert_int_eq(run_folder_begin(&run, folder), 0);
	ck_assert_int_eq(flock(reader, LOCK_SH), 0);
	run_folder_end(&run);
	ck_assert_int_eq(access(run.path, F_OK), 0);
	close(reader);
	read_it();
	ck_assert_int_eq(access(run.path, F_OK), -1);
}
END_TEST

START_TEST(names_of_runs)
{
	static const char *const good[] = {"run-1", "run-4194304", "run-4194304.9", "run-4294967295.1"};
	static const char *const bad[] = {"run-",    "run-x",  "run-1.", "run-1.10",
					  "run-1.x", "run-1/", "xrun-1", "run-1234567890123456789"};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		ck_assert_msg(run_folder_is_name(good[i]), "%s", good[i]);
		ck_assert_uint_lt(strlen(good[i]), STATS_RUN_NAME_MAX);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!run_folder_is_name(bad[i]), "%s", bad[i]);
}
END_TEST

START_TEST(the_variable_names_the_folder)
{
	stats_pages_count(page, 80, 2);
	stats_pages_write(folder, "0001", page, STATS_PAGE_SIZE);
	setenv("HOLDLINE_STATS", folder, 1);
	ck_assert_int_eq(stats_read(&view, NULL), 0);
	unsetenv("HOLDLINE_STATS");
	ck_assert_uint_eq(view.totals.counter[STATS_CONNECTS], 2);
}
END_TEST

START_TEST(destinations_are_found_and_named)
{
	struct destination_key key = stats_pages_key(1, 80);
	struct stats_destination wanted = {.family = AF_INET, .address = {127, 0, 0, 1}, .port = htons(80)};
	char name[STATS_COUNTS_NAME_MAX];

	key.netns_cookie = 5;
	stats_count(stats_find(page, &key), STATS_CONNECTS);
	key.family = AF_INET6;
	key.scope_id = UINT32_MAX;
	memset(key.address, 0xff, 16);
	key.port = 0xffff;
	stats_count(stats_find(page, &key), STATS_CONNECTS);
	stats_count(stats_destination_at(page, 0), STATS_CONNECTS);
	stats_pages_write(folder, "0001", page, STATS_PAGE_SIZE);
	read_it();
	ck_assert_uint_eq(HASH_COUNT(view.destinations), 3);
	ck_assert_ptr_nonnull(stats_view_find(&view, &wanted));
	ck_assert_str_eq(stats_counts_name(&stats_view_find(&view, &wanted)->sum, name), "127.0.0.1:80");
	wanted.netns_cookie = 5;
	ck_assert_ptr_nonnull(stats_view_find(&view, &wanted));
	wanted.netns_cookie = 6;
	ck_assert_ptr_null(stats_view_find(&view, &wanted));
	wanted = (struct stats_destination){.family = AF_INET6, .scope_id = UINT32_MAX, .port = 0xffff};
	memset(wanted.address, 0xff, 16);
	ck_assert_str_eq(stats_counts_name(&stats_view_find(&view, &wanted)->sum, name),
			 "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535");
	wanted = (struct stats_destination){0};
	ck_assert_str_eq(stats_counts_name(&stats_view_find(&view, &wanted)->sum, name), "other");
}
END_TEST

START_TEST(what_follows_from_counts)
{
	struct stats_destination destination = {0};
	struct stats_counts *counts = &destination.counts;

	ck_assert_uint_eq(stats_counts_dial_time_ns(counts, 0.5), 0);
	ck_assert_double_eq(stats_counts_reuse_ratio(counts), 0);
	for (int i = 0; i < 90; i++)
		stats_count_dial(&destination, 10000);
	for (int i = 0; i < 9; i++)
		stats_count_dial(&destination, 1000000);
	ck_assert_uint_eq(stats_counts_dial_time_ns(counts, 0.5), 16000);
	ck_assert_uint_eq(stats_counts_dial_time_ns(counts, 0.95), 1024000);
	stats_count_dial(&destination, UINT64_C(1) << 50);
	ck_assert_uint_eq(stats_counts_dial_time_ns(counts, 0.99), 1024000);
	ck_assert_uint_eq(stats_counts_dial_time_ns(counts, 1), UINT64_MAX);
	counts->counter[STATS_REUSED] = 300;
	counts->counter[STATS_CONNECTS] = 500;
	ck_assert_double_eq_tol(stats_counts_reuse_ratio(counts), 0.6, 1e-9);
	stats_count_failure(&destination, ECONNREFUSED);
	stats_count_failure(&destination, EIO);
	ck_assert_uint_eq(stats_counts_failures(counts), 2);
	stats_refuse(&destination, REFUSAL_STALE);
	stats_refuse(&destination, REFUSAL_SERVER_IDLE_CLOSE);
	stats_refuse(&destination, REFUSAL_IDLE_TIMEOUT);
	ck_assert_uint_eq(stats_counts_stale(counts), 2);
}
END_TEST

Suite *stats_read_suite(void)
{
	Suite *suite = suite_create("stats_read");
	TCase *tcase = tcase_create("folders");

	tcase_add_checked_fixture(tcase, start, stop);
	tcase_add_test(tcase, an_empty_folder_is_an_empty_view);
	tcase_add_test(tcase, a_folder_that_others_may_write_to_is_refused);
	tcase_add_test(tcase, living_ended_and_killed_are_summed);
	tcase_add_test(tcase, a_pid_that_is_used_again_is_not_the_process);
	tcase_add_test(tcase, who_has_ended_does_not_live_until_waited_for);
	tcase_add_test(tcase, a_pid_of_another_namespace_may_live);
	tcase_add_test(tcase, what_is_nobodys_is_in_the_total_only);
	tcase_add_test(tcase, a_generation_that_stays_odd_is_read_as_it_is);
	tcase_add_test(tcase, call_sites_are_merged_by_file_and_offset);
	tcase_add_test(tcase, intervals_come_in_order);
	tcase_add_test(tcase, what_is_no_page_is_passed_over);
	tcase_add_test(tcase, files_of_others_are_passed_over);
	tcase_add_test(tcase, indices_and_strings_are_not_trusted);
	tcase_add_test(tcase, folders_of_runs_are_read_and_settled);
	tcase_add_test(tcase, a_run_that_is_under_way_is_not_settled);
	tcase_add_test(tcase, a_folder_that_somebody_reads_is_not_settled);
	tcase_add_test(tcase, names_of_runs);
	tcase_add_test(tcase, the_variable_names_the_folder);
	tcase_add_test(tcase, destinations_are_found_and_named);
	tcase_add_test(tcase, what_follows_from_counts);
	suite_add_tcase(suite, tcase);
	return suite;
}
