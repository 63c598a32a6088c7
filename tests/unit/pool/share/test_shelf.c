/*
 * The shelf from both sides: who may take what lies there, that it is taken once, and that who has lost it can change
 * nothing any more.
 */
#include "pool/share/shelf.h"

#include <arpa/inet.h>
#include <check.h>
#include <pthread.h>
#include <string.h>

#include "pool/conn/conn.h"

#define SECOND UINT64_C(1000000000)
#define NOW (100 * SECOND)
#define FIRST (SLOTS_ON_SHELF - 2) /* its neighbours are at the other end */

static struct shelf shelf;
static struct slots slots, others;
static struct conn one, two;
static struct destination destination;

static struct slot_contents contents_of(uint64_t cookie, uint64_t idle_since_ns)
{
	return (struct slot_contents){
		.cookie = cookie, .idle_since_ns = idle_since_ns, .expires_ns = NOW + 60 * SECOND, .n_requests = 1};
}

/* On the next place that is free. */
static int put_that(const struct destination_key *key, int fd, const struct slot_contents *contents)
{
	pid_t user;

	for (unsigned i = 0; i < SHELF_LOOKS; i++) {
		unsigned place = (FIRST + i) % SLOTS_ON_SHELF;

		if (shelf_state(&shelf, place, &user) == SLOT_FREE) {
			shelf_put(&shelf, place, key, fd, contents);
			return (int)place;
		}
	}
	return -1;
}

static int put(uint64_t cookie, uint64_t idle_since_ns)
{
	const struct slot_contents contents = contents_of(cookie, idle_since_ns);

	return put_that(&destination.key, (int)cookie, &contents);
}

static int take(struct slots *view, struct conn *conn, pid_t user)
{
	struct shelf_reader reader = {
		.key = &destination.key, .first = FIRST, .now_ns = NOW, .user = user, .name = "a program"};
	int fd;

	*conn = (struct conn){.slot = -1, .destination = &destination};
	fd = slots_take_from_shelf(view, &shelf, conn, &reader);
	if (fd >= 0)
		slots_read(view, conn);
	return fd;
}

static unsigned place_of(const struct conn *conn)
{
	return (unsigned)conn->slot - SLOTS_PER_REGION;
}

static void start(void)
{
	memset(&shelf, 0, sizeof(shelf));
	memset(&slots, 0, sizeof(slots));
	memset(&others, 0, sizeof(others));
	destination = (struct destination){.key = {.family = AF_INET, .port = htons(80)}};
	shelf_open(&shelf, UINT64_C(0xffffffffffffffff));
}

START_TEST(it_is_taken_and_parked_by_turns)
{
	pid_t user;

	ck_assert_int_eq(take(&slots, &one, 11), -1);
	ck_assert_int_eq(one.slot, -1);
	ck_assert_int_ge(put(7, NOW), 0);
	ck_assert_int_eq(take(&slots, &one, 11), 7);
	ck_assert_uint_eq(one.cookie, 7);
	ck_assert_uint_eq(slots.n_on_shelf, 1);
	ck_assert_str_eq(shelf.labels[place_of(&one)].name, "a program");
	ck_assert_int_eq(shelf_state(&shelf, place_of(&one), &user), SLOT_LEASED);
	ck_assert_int_eq(user, 11);
	ck_assert_int_eq(take(&others, &two, 12), -1);
	one.n_requests = 2;
	one.idle_since_ns = one.expires_ns = NOW + SECOND;
	slots_publish(&slots, &one);
	ck_assert(slots_claim(&slots, &one));
	slots_publish(&slots, &one);
	ck_assert_int_eq(take(&others, &two, 12), 7);
	ck_assert_uint_eq(two.n_requests, 2);
	/* The first one can't have it any more, nor say anything of it. */
	ck_assert(!slots_claim(&slots, &one));
	one.n_requests = 99;
	slots_publish(&slots, &one);
	ck_assert_uint_eq(shelf.slots[place_of(&two)].contents.n_requests, 2);
	ck_assert_ptr_eq(slots_next_taken_from_shelf(&slots), &one);
	slots_free(&slots, &one);
	ck_assert_ptr_null(slots_next_taken_from_shelf(&slots));
	ck_assert_int_eq(shelf_state(&shelf, place_of(&two), &user), SLOT_LEASED);
	ck_assert_int_eq(user, 12);
	ck_assert_uint_eq(slots.n_on_shelf, 0);
}
END_TEST

START_TEST(the_newest_comes_first)
{
	ck_assert_int_ge(put(1, NOW - 2 * SECOND), 0);
	ck_assert_int_ge(put(2, NOW - SECOND), 0);
	ck_assert_int_ge(put(3, NOW - 3 * SECOND), 0);
	ck_assert_int_eq(take(&slots, &one, 1), 2);
	ck_assert_int_eq(take(&others, &two, 2), 1);
}
END_TEST

START_TEST(what_is_not_for_it_stays)
{
	struct slot_contents contents = contents_of(1, NOW);
	struct destination_key key = destination.key;

	switch (_i) {
	case 0:
		contents.expires_ns = NOW;
		break;
	case 1:
		contents.idle_since_ns = NOW + 2 * SECOND;
		break;
	case 2:
		contents.was_looked_at = 1;
		break;
	case 3:
		key.port++;
		break;
	case 4:
		key.options_length = DESTINATION_OPTIONS_MAX + 1; /* a lie */
		break;
	}
	ck_assert_int_ge(put_that(&key, 1, &contents), 0);
	ck_assert_int_eq(take(&slots, &one, 1), -1);
	ck_assert_int_ge(put(2, NOW), 0);
	ck_assert_int_eq(take(&slots, &one, 1), 2);
}
END_TEST

/* The broker has given up on it, and the place is another one's. */
START_TEST(a_place_goes_on)
{
	unsigned place;

	ck_assert_int_ge(put(1, NOW), 0);
	ck_assert_int_eq(take(&slots, &one, 1), 1);
	place = place_of(&one);
	shelf_empty(&shelf, place);
	ck_assert_int_eq(put(2, NOW), (int)place);
	one.n_requests = 99;
	slots_publish(&slots, &one);
	ck_assert_uint_eq(shelf.slots[place].contents.n_requests, 1);
	slots_share(&slots, one.slot, one.slot_generation);
	slots_put_back_on_shelf(&slots, &one);
	ck_assert_int_eq(one.slot, -1);
	ck_assert_int_eq(take(&slots, &one, 1), 2);
	/* Nor is it taken for that of another shelf. */
	shelf_open(&shelf, 4711);
	slots_publish(&slots, &one);
	slots_free(&slots, &one);
	ck_assert_int_eq(take(&slots, &one, 1), -1);
}
END_TEST

START_TEST(its_own_is_not_taken_again)
{
	ck_assert_int_ge(put(1, NOW), 0);
	ck_assert_int_eq(take(&slots, &one, 1), 1);
	one.expires_ns = NOW + 60 * SECOND;
	slots_publish(&slots, &one);
	ck_assert_int_eq(take(&slots, &two, 1), -1);
	ck_assert_int_eq(take(&others, &two, 2), 1);
}
END_TEST

START_TEST(it_goes_back_as_it_came)
{
	ck_assert_int_ge(put(1, NOW), 0);
	ck_assert_int_eq(take(&slots, &one, 1), 1);
	one.n_requests = 99;
	slots_put_back_on_shelf(&slots, &one);
	ck_assert_int_eq(one.slot, -1);
	ck_assert_int_eq(take(&others, &two, 1), 1);
	ck_assert_uint_eq(two.n_requests, 1);
}
END_TEST

/* A child has none of them. Another program goes on with none, unless it could not be executed. */
START_TEST(who_leaves_says_nothing)
{
	pid_t user;
	unsigned place;

	ck_assert_int_ge(put(1, NOW), 0);
	ck_assert_int_ge(put(2, NOW - SECOND), 0);
	ck_assert_int_eq(take(&slots, &one, 1), 1);
	ck_assert_int_eq(take(&slots, &two, 1), 2);
	slots_publish(&slots, &two);
	place = place_of(&one);
	if (_i == 0) {
		slots_leave_shelf(&slots);
		ck_assert_int_eq(shelf_state(&shelf, place, &user), SLOT_LEASED);
		ck_assert_int_eq(one.slot, -1);
		ck_assert_int_eq(two.slot, -1);
	} else {
		if (_i == 1)
			ck_assert(slots_share(&slots, one.slot, one.slot_generation));
		ck_assert(slots_end_used(&slots) == (_i == 2));
		ck_assert_int_eq(shelf_state(&shelf, place, &user), _i == 1 ? SLOT_SHARED : SLOT_ENDED);
		slots_use_again(&slots);
		ck_assert_int_eq(shelf_state(&shelf, place, &user), _i == 1 ? SLOT_SHARED : SLOT_LEASED);
		ck_assert(slots_claim(&slots, &two));
	}
}
END_TEST

START_TEST(the_broker_takes_what_is_idle)
{
	struct slot_contents contents;
	int place = put(1, NOW);

	ck_assert_int_ge(place, 0);
	ck_assert_int_eq(take(&slots, &one, 5), 1);
	ck_assert(!shelf_take(&shelf, (unsigned)place, &contents));
	ck_assert(!shelf_take_from(&shelf, (unsigned)place, SLOT_LEASED, 6));
	ck_assert(!shelf_take_from(&shelf, (unsigned)place, SLOT_SHARED, 5));
	one.n_requests = 3;
	slots_publish(&slots, &one);
	ck_assert(!shelf_take_from(&shelf, (unsigned)place, SLOT_LEASED, 5));
	ck_assert(shelf_take(&shelf, (unsigned)place, &contents));
	ck_assert_uint_eq(contents.n_requests, 3);
	ck_assert(!slots_claim(&slots, &one));
	shelf_empty(&shelf, (unsigned)place);
	ck_assert_ptr_eq(slots_next_taken_from_shelf(&slots), &one);
}
END_TEST

#define ROUNDS 20000
static _Atomic(int) n_holders[SHELF_LOOKS + 1];
static _Atomic(unsigned) n_taken;

/* Threads for processes: each with a view of its own. */
static void *use(void *pid)
{
	struct slots view;
	struct conn conn;

	memset(&view, 0, sizeof(view));
	for (unsigned i = 0; i < ROUNDS; i++) {
		int fd = take(&view, &conn, (pid_t)(uintptr_t)pid);

		if (fd < 0)
			continue;
		if (atomic_fetch_add(&n_holders[fd], 1))
			ck_abort_msg("%d has two users", fd);
		n_taken++;
		conn.n_requests++;
		conn.expires_ns = NOW + 60 * SECOND;
		atomic_fetch_sub(&n_holders[fd], 1);
		slots_publish(&view, &conn);
		slots_leave(&view, &conn);
	}
	return NULL;
}

START_TEST(each_is_won_by_one)
{
	pthread_t threads[4];
	uint64_t n_requests = 0;

	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_ge(put(i + 1, NOW), 0);
	for (uintptr_t i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, use, (void *)(i + 1)), 0);
	for (unsigned i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	for (unsigned i = 0; i < SLOTS_ON_SHELF; i++)
		n_requests += shelf.slots[i].contents.n_requests;
	ck_assert_uint_eq(n_requests, 3 + n_taken);
	ck_assert_uint_gt(n_taken, ROUNDS);
}
END_TEST

Suite *shelf_suite(void)
{
	Suite *suite = suite_create("shelf");
	TCase *tcase = tcase_create("shelf");

	tcase_add_checked_fixture(tcase, start, NULL);
	tcase_add_test(tcase, it_is_taken_and_parked_by_turns);
	tcase_add_test(tcase, the_newest_comes_first);
	tcase_add_loop_test(tcase, what_is_not_for_it_stays, 0, 5);
	tcase_add_test(tcase, a_place_goes_on);
	tcase_add_test(tcase, its_own_is_not_taken_again);
	tcase_add_test(tcase, it_goes_back_as_it_came);
	tcase_add_loop_test(tcase, who_leaves_says_nothing, 0, 3);
	tcase_add_test(tcase, the_broker_takes_what_is_idle);
	tcase_add_test(tcase, each_is_won_by_one);
	suite_add_tcase(suite, tcase);
	return suite;
}
