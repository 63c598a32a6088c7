/*
 * A page of counters: names, claims of entries, sums, and pages that are not to be trusted.
 */
#include "pool/stats/stats.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "pool/conn/destination.h"

static const uint32_t room[STATS_N_ARRAYS] = STATS_PAGE_ROOM;
static const uint32_t total_room[STATS_N_ARRAYS] = STATS_TOTAL_ROOM;

static _Alignas(8) char memory[STATS_PAGE_SIZE];
static _Alignas(8) char total_memory[512 * 1024];
static struct stats_page *const page = (struct stats_page *)memory;
static struct stats_page *const total = (struct stats_page *)total_memory;

static void begin(void)
{
	memset(memory, 0, sizeof(memory));
	memset(total_memory, 0, sizeof(total_memory));
	stats_init(page, room);
	stats_init(total, total_room);
}

static struct destination_key key_of(unsigned port)
{
	return (struct destination_key){.family = AF_INET, .port = htons((uint16_t)port), .address = {127, 0, 0, 1}};
}

static struct stats_destination *find(struct stats_page *in, unsigned port)
{
	struct destination_key key = key_of(port);

	return stats_find(in, &key);
}

static void check_names(const char *const *names, int n)
{
	for (int i = 0; i < n; i++) {
		ck_assert_msg(names[i] != NULL, "no name for %d", i);
		ck_assert_uint_gt(strlen(names[i]), 0);
		ck_assert_uint_eq(strspn(names[i], "abcdefghijklmnopqrstuvwxyz_0123456789"), strlen(names[i]));
		for (int j = 0; j < i; j++)
			ck_assert_str_ne(names[i], names[j]);
	}
}

START_TEST(every_number_has_a_name_of_its_own)
{
	check_names(stats_refusal_names, REFUSAL_COUNT);
	check_names(stats_counter_names, STATS_N_COUNTERS);
	for (int i = 0; i < STATS_N_ERRORS; i++)
		ck_assert_ptr_nonnull(stats_error_names[i]);
	ck_assert_int_eq(stats_errors[STATS_N_ERRORS - 1], 0);
}
END_TEST

START_TEST(names_are_at_their_place)
{
	ck_assert_int_eq(REFUSAL_NONE, 0); /* so that 0 means no reason */
	ck_assert_str_eq(stats_refusal_names[REFUSAL_NONE], "none");
	ck_assert_str_eq(stats_refusal_names[REFUSAL_SERVER_CLOSE], "server_close");
	ck_assert_str_eq(stats_refusal_names[REFUSAL_STALE], "stale");
	ck_assert_str_eq(stats_refusal_names[REFUSAL_LEDGER], "ledger");
	ck_assert_str_eq(stats_refusal_names[REFUSAL_POLICY], "policy");
	ck_assert_str_eq(stats_error_names[0], "EADDRNOTAVAIL");
	ck_assert_int_eq(stats_errors[0], EADDRNOTAVAIL);
}
END_TEST

static void mix(uint32_t *hash, const char *text)
{
	for (; *text; text++)
		*hash = (*hash ^ (unsigned char)*text) * 16777619u;
	*hash = (*hash ^ ',') * 16777619u;
}

/* A program with an older library counts in the same folder as one with this, if both have the same version: where
 * that is no mistake, STATS_VERSION and this number are changed together. */
START_TEST(other_numbers_are_another_version)
{
	uint32_t hash = STATS_VERSION;

	for (int i = 0; i < STATS_N_COUNTERS; i++)
		mix(&hash, stats_counter_names[i]);
	for (int i = 0; i < STATS_N_ERRORS; i++)
		mix(&hash, stats_error_names[i]);
	for (int i = 0; i < REFUSAL_COUNT; i++)
		mix(&hash, stats_refusal_names[i]);
	hash = (hash ^ (uint32_t)stats_size(room)) * 16777619u;
	hash = (hash ^ (uint32_t)stats_size(total_room)) * 16777619u;
	ck_assert_uint_eq(hash, 1265480266);
}
END_TEST

START_TEST(a_page_and_a_total_fit)
{
	ck_assert_uint_le(stats_size(room), STATS_PAGE_SIZE);
	ck_assert_uint_le(stats_size(total_room), sizeof(total_memory));
	ck_assert(stats_is_sound(page, STATS_PAGE_SIZE));
	ck_assert(stats_is_sound(total, sizeof(total_memory)));
	ck_assert(stats_is_sound(page, stats_size(room)));
	ck_assert(!stats_is_sound(page, stats_size(room) - 1));
}
END_TEST

START_TEST(one_destination_has_one_entry)
{
	struct destination_key key = key_of(80);
	struct stats_destination *first = find(page, 80);

	ck_assert_ptr_eq(find(page, 80), first);
	ck_assert_ptr_ne(find(page, 81), first);
	key.scope_id = 2;
	ck_assert_ptr_ne(stats_find(page, &key), first);
	key = key_of(80);
	key.netns_cookie = 7;
	ck_assert_ptr_ne(stats_find(page, &key), first);
	/* A person calls connections with different options one destination. */
	key = key_of(80);
	key.options_length = 4;
	key.is_bound = 1;
	ck_assert_ptr_eq(stats_find(page, &key), first);
}
END_TEST

START_TEST(what_finds_no_place_is_counted_as_other)
{
	struct stats_counts sum;

	for (unsigned port = 1; port <= 1000; port++)
		stats_count(find(page, port), STATS_CONNECTS);
	ck_assert_ptr_eq(find(page, 1000), stats_destination_at(page, 0));
	ck_assert_uint_eq(stats_destination_at(page, 0)->counts.counter[STATS_CONNECTS],
			  1000 - (room[STATS_DESTINATIONS] - 1));
	stats_sum(page, &sum);
	ck_assert_uint_eq(sum.counter[STATS_CONNECTS], 1000);
}
END_TEST

START_TEST(nothing_is_counted_nowhere)
{
	struct stats_counts sum;

	stats_count(NULL, STATS_DIALED);
	stats_refuse(NULL, REFUSAL_STALE);
	stats_count_dial(NULL, 1);
	stats_count_failure(NULL, ENOENT);
	stats_sum(page, &sum);
	for (size_t i = 0; i < sizeof(sum) / sizeof(uint64_t); i++)
		ck_assert_uint_eq(((uint64_t *)&sum)[i], 0);
}
END_TEST

START_TEST(dials_are_sorted_by_time_and_failures_by_errno)
{
	struct stats_destination *destination = find(page, 80);

	stats_count_dial(destination, 0);
	stats_count_dial(destination, 16000);
	stats_count_dial(destination, 16001);
	stats_count_dial(destination, UINT64_MAX / 2);
	ck_assert_uint_eq(destination->counts.dial_times[0], 2);
	ck_assert_uint_eq(destination->counts.dial_times[1], 1);
	ck_assert_uint_eq(destination->counts.dial_times[STATS_N_DIAL_TIMES - 1], 1);
	ck_assert_uint_eq(destination->counts.counter[STATS_DIALED], 4);
	stats_count_failure(destination, EADDRNOTAVAIL);
	stats_count_failure(destination, EIO);
	stats_count_failure(destination, 0);
	ck_assert_uint_eq(destination->counts.failed[0], 1);
	ck_assert_uint_eq(destination->counts.failed[STATS_N_ERRORS - 1], 2);
}
END_TEST

static struct stats_callsite site_of(unsigned destination, uint64_t offset, uint8_t module)
{
	return (struct stats_callsite){
		.destination = destination, .n_frames = 1, .offset = {offset}, .module = {module}};
}

START_TEST(call_sites_differ_by_place_and_destination)
{
	struct stats_callsite wanted = site_of(1, 0x100, 0);
	struct stats_callsite *first = stats_find_callsite(page, &wanted);

	ck_assert_ptr_eq(stats_find_callsite(page, &wanted), first);
	wanted = site_of(2, 0x100, 0);
	ck_assert_ptr_ne(stats_find_callsite(page, &wanted), first);
	wanted = site_of(1, 0x101, 0);
	ck_assert_ptr_ne(stats_find_callsite(page, &wanted), first);
	wanted = site_of(1, 0x100, 1);
	ck_assert_ptr_ne(stats_find_callsite(page, &wanted), first);
	for (unsigned i = 0; i < room[STATS_CALLSITES]; i++) {
		wanted = site_of(3, i, 0);
		first = stats_find_callsite(page, &wanted);
	}
	ck_assert_ptr_null(first);
}
END_TEST

START_TEST(modules_are_told_by_path)
{
	char path[STATS_PATH_MAX + 1];

	ck_assert_uint_eq(stats_find_module(page, "/bin/a", 4096), 0);
	ck_assert_uint_eq(stats_find_module(page, "/bin/b", 8192), 1);
	ck_assert_uint_eq(stats_find_module(page, "/bin/a", 4096), 0);
	memset(path, 'x', STATS_PATH_MAX);
	path[STATS_PATH_MAX] = '\0';
	ck_assert_uint_eq(stats_find_module(page, path, 0), STATS_NO_MODULE);
	for (unsigned i = 0; i < room[STATS_MODULES]; i++) {
		path[0] = (char)('A' + i);
		path[1] = '\0';
		stats_find_module(page, path, 0);
	}
	ck_assert_uint_eq(stats_find_module(page, "/bin/late", 0), STATS_NO_MODULE);
}
END_TEST

START_TEST(the_newest_intervals_stay)
{
	struct stats_destination *destination = find(page, 80);
	uint64_t n = room[STATS_INTERVALS] + 10;

	for (uint64_t i = 0; i < n; i++)
		stats_add_interval(page, destination, i, i + 5, i % 2);
	ck_assert_uint_eq(page->n_intervals, n);
	ck_assert_uint_eq(stats_interval_at(page, 9)->number, n);
	ck_assert_uint_eq(stats_interval_at(page, 9)->began_ns, n - 1);
	ck_assert_uint_eq(stats_interval_at(page, 10)->began_ns, 10);
	ck_assert_uint_eq(stats_interval_at(page, 10)->destination, stats_index_of(page, destination));
}
END_TEST

/* One process's counts: to that port, from that place in that module. */
static void live(struct stats_page *in, unsigned port, const char *module)
{
	struct stats_destination *destination = find(in, port);
	struct stats_callsite wanted =
		site_of(stats_index_of(in, destination), 0x40, stats_find_module(in, module, 4096));
	struct stats_callsite *site = stats_find_callsite(in, &wanted);

	stats_count(destination, STATS_CONNECTS);
	stats_refuse(destination, REFUSAL_STALE);
	stats_count_dial(destination, 100);
	stats_gauge(&destination->active, 1);
	stats_add(&site->connects, 1);
	stats_add(&site->dialed, 1);
	stats_add_interval(in, destination, 10, 20, true);
	in->pid = 1;
}

static const struct stats_callsite *only_site_of(const struct stats_page *in, unsigned destination)
{
	const struct stats_callsite *found = NULL;

	for (unsigned i = 0; i < in->n_max[STATS_CALLSITES]; i++) {
		if (!stats_has(in, STATS_CALLSITES, i) || stats_callsite_at(in, i)->destination != destination)
			continue;
		ck_assert_ptr_null(found);
		found = stats_callsite_at(in, i);
	}
	ck_assert_ptr_nonnull(found);
	return found;
}

START_TEST(pages_are_added_up)
{
	const struct stats_callsite *site;
	struct stats_destination *destination;

	/* In the second page destinations and modules have other indices. */
	live(page, 80, "/bin/a");
	stats_fold(total, page);
	ck_assert_uint_eq(page->pid, 0);
	/* As by somebody who was killed before he could tell that it is done. */
	stats_fold(total, page);
	memset(memory, 0, sizeof(memory));
	stats_init(page, room);
	live(page, 443, "/bin/b");
	live(page, 80, "/bin/a");
	stats_fold(total, page);

	destination = find(total, 80);
	site = only_site_of(total, stats_index_of(total, destination));
	ck_assert_uint_eq(destination->counts.counter[STATS_CONNECTS], 2);
	ck_assert_uint_eq(destination->counts.refused[REFUSAL_STALE], 2);
	ck_assert_uint_eq(destination->counts.dial_time_ns, 200);
	ck_assert_int_eq(destination->active, 0);
	ck_assert_uint_eq(site->connects, 2);
	ck_assert_str_eq(stats_module_at(total, site->module[0])->path, "/bin/a");
	site = only_site_of(total, stats_index_of(total, find(total, 443)));
	ck_assert_str_eq(stats_module_at(total, site->module[0])->path, "/bin/b");
	ck_assert_uint_eq(total->n_intervals, 3);
	ck_assert_uint_eq(total->n_ended, 2);
}
END_TEST

/* A process's own page moves while it counts. */
START_TEST(a_page_moves_with_all_that_it_has)
{
	static _Alignas(8) char first_memory[STATS_PAGE_SIZE];
	static const uint32_t first_room[STATS_N_ARRAYS] = {4, 4, 4, 8};
	struct stats_page *first = (struct stats_page *)first_memory;
	const struct stats_callsite *site;
	struct stats_destination *destination;

	memset(first_memory, 0, sizeof(first_memory));
	stats_init(first, first_room);
	live(page, 443, "/bin/b"); /* the same numbers mean something else there */
	live(first, 80, "/bin/a");
	stats_move(page, first);

	destination = find(page, 80);
	ck_assert_uint_eq(destination->counts.counter[STATS_CONNECTS], 1);
	ck_assert_int_eq(destination->active, 1);
	site = only_site_of(page, stats_index_of(page, destination));
	ck_assert_uint_eq(site->connects, 1);
	ck_assert_uint_eq(stats_module_at(page, site->module[0])->load_address, 4096);
	ck_assert_ptr_eq(stats_find_moved(page, first, only_site_of(first, stats_index_of(first, find(first, 80)))),
			 site);
	ck_assert_uint_eq(page->n_intervals, 2);
	ck_assert_uint_eq(page->n_ended, 0);

	/* Late counts in the former page are added later, and nothing twice. */
	stats_count(find(first, 80), STATS_CONNECTS);
	stats_move(page, first);
	ck_assert_uint_eq(destination->counts.counter[STATS_CONNECTS], 2);
	ck_assert_int_eq(destination->active, 1);
	ck_assert_uint_eq(site->connects, 1);
	ck_assert_uint_eq(page->n_intervals, 2);
}
END_TEST

START_TEST(a_total_that_is_full_still_counts)
{
	struct stats_counts sum;

	for (unsigned round = 0; round < 20; round++) {
		memset(memory, 0, sizeof(memory));
		stats_init(page, room);
		page->pid = 1;
		for (unsigned i = 0; i < 70; i++)
			stats_count(find(page, 1 + round * 70 + i), STATS_DIALED);
		stats_fold(total, page);
	}
	stats_sum(total, &sum);
	ck_assert_uint_eq(sum.counter[STATS_DIALED], 20 * 70);
	ck_assert_uint_gt(stats_destination_at(total, 0)->counts.counter[STATS_DIALED], 0);
}
END_TEST

START_TEST(nonsense_is_not_followed)
{
	live(page, 80, "/bin/a");
	for (unsigned i = 0; i < room[STATS_CALLSITES]; i++) {
		stats_callsite_at(page, i)->destination = 4000000000u;
		stats_callsite_at(page, i)->n_frames = 4000000000u;
		memset(stats_callsite_at(page, i)->module, 200, STATS_MAX_FRAMES);
	}
	for (unsigned i = 0; i < room[STATS_INTERVALS]; i++)
		stats_interval_at(page, i)->destination = 4000000000u;
	page->n_intervals = UINT64_MAX;
	stats_fold(total, page);
	ck_assert(stats_is_sound(total, sizeof(total_memory)));
	ck_assert_uint_eq(find(total, 80)->counts.counter[STATS_CONNECTS], 1);

	page->n_max[STATS_INTERVALS] = 4000000000u;
	ck_assert(!stats_is_sound(page, STATS_PAGE_SIZE));
	page->n_max[STATS_INTERVALS] = 0;
	ck_assert(!stats_is_sound(page, STATS_PAGE_SIZE));
	page->n_max[STATS_INTERVALS] = 1;
	ck_assert(stats_is_sound(page, STATS_PAGE_SIZE));
	page->version++;
	ck_assert(!stats_is_sound(page, STATS_PAGE_SIZE));
	page->version--;
	page->magic[0]++;
	ck_assert(!stats_is_sound(page, STATS_PAGE_SIZE));
	ck_assert(!stats_is_sound(total, 10));
}
END_TEST

#define N_THREADS 4
#define N_ROUNDS 2000

static void *count_for_a_while(void *unused)
{
	(void)unused;
	for (unsigned i = 0; i < N_ROUNDS; i++) {
		struct stats_destination *destination = find(page, 1 + i % 40);
		struct stats_callsite wanted = site_of(stats_index_of(page, destination) % 8, i % 4, 0);
		struct stats_callsite *site = stats_find_callsite(page, &wanted);

		stats_count(destination, STATS_CONNECTS);
		stats_add_interval(page, destination, 1, 2, false);
		if (site)
			stats_add(&site->connects, 1);
	}
	return NULL;
}

START_TEST(threads_lose_nothing)
{
	pthread_t threads[N_THREADS];
	uint64_t at_sites = 0, at_destinations = 0;

	for (int i = 0; i < N_THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, count_for_a_while, NULL), 0);
	for (int i = 0; i < N_THREADS; i++)
		pthread_join(threads[i], NULL);
	/* A thread that was interrupted while it filled an entry may have sent another to the entry for the rest. */
	for (unsigned i = 0; i < room[STATS_DESTINATIONS]; i++)
		at_destinations += stats_has(page, STATS_DESTINATIONS, i)
					   ? stats_destination_at(page, i)->counts.counter[STATS_CONNECTS]
					   : 0;
	ck_assert_uint_eq(at_destinations, N_THREADS * N_ROUNDS);
	for (unsigned i = 0; i < room[STATS_CALLSITES]; i++)
		at_sites += stats_has(page, STATS_CALLSITES, i) ? stats_callsite_at(page, i)->connects : 0;
	ck_assert_uint_eq(at_sites, N_THREADS * N_ROUNDS);
	ck_assert_uint_eq(page->n_intervals, N_THREADS * N_ROUNDS);
}
END_TEST

static void *move_for_a_while(void *is_over)
{
	while (!atomic_load((_Atomic(bool) *)is_over))
		stats_move(total, page);
	return NULL;
}

START_TEST(threads_lose_nothing_while_the_page_moves)
{
	pthread_t threads[N_THREADS], mover;
	_Atomic(bool) is_over = false;

	ck_assert_int_eq(pthread_create(&mover, NULL, move_for_a_while, &is_over), 0);
	for (int i = 0; i < N_THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, count_for_a_while, NULL), 0);
	for (int i = 0; i < N_THREADS; i++)
		pthread_join(threads[i], NULL);
	is_over = true;
	pthread_join(mover, NULL);
	stats_move(total, page);
	for (unsigned port = 1; port <= 40; port++)
		ck_assert_uint_eq(find(total, port)->counts.counter[STATS_CONNECTS], N_THREADS * N_ROUNDS / 40);
}
END_TEST

Suite *stats_suite(void)
{
	Suite *suite = suite_create("stats");
	TCase *tcase = tcase_create("page");

	tcase_add_checked_fixture(tcase, begin, NULL);
	tcase_add_test(tcase, every_number_has_a_name_of_its_own);
	tcase_add_test(tcase, names_are_at_their_place);
	tcase_add_test(tcase, other_numbers_are_another_version);
	tcase_add_test(tcase, a_page_and_a_total_fit);
	tcase_add_test(tcase, one_destination_has_one_entry);
	tcase_add_test(tcase, what_finds_no_place_is_counted_as_other);
	tcase_add_test(tcase, nothing_is_counted_nowhere);
	tcase_add_test(tcase, dials_are_sorted_by_time_and_failures_by_errno);
	tcase_add_test(tcase, call_sites_differ_by_place_and_destination);
	tcase_add_test(tcase, modules_are_told_by_path);
	tcase_add_test(tcase, the_newest_intervals_stay);
	tcase_add_test(tcase, pages_are_added_up);
	tcase_add_test(tcase, a_total_that_is_full_still_counts);
	tcase_add_test(tcase, nonsense_is_not_followed);
	tcase_add_test(tcase, threads_lose_nothing);
	tcase_add_test(tcase, a_page_moves_with_all_that_it_has);
	tcase_add_test(tcase, threads_lose_nothing_while_the_page_moves);
	suite_add_tcase(suite, tcase);
	return suite;
}
