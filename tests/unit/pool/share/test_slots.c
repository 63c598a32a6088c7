/*
 * Slots from both sides: every change of state, news of taken connections, the effect of shared memory full of lies
 * (none), and that in a race each idle connection is won exactly once.
 */
#include "pool/share/slots.h"

#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "pool/conn/conn.h"
#include "pool/conn/destination.h"

#define N SLOTS_PER_REGION

static struct slots_region region;
static struct slots_entry entries[SLOTS_PER_REGION];
static struct slots slots;
static struct destination destination;
static struct conn conns[N + 1];
static struct slot_contents contents;

static void start(void)
{
	memset(&region, 0, sizeof(region));
	memset(&destination, 0, sizeof(destination));
	memset(&contents, 0, sizeof(contents));
	for (unsigned i = 0; i <= N; i++)
		conns[i] = (struct conn){.destination = &destination, .slot = -1, .cookie = i + 1};
	memset(entries, 0, sizeof(entries));
	slots_init(&slots, entries);
	slots_attach(&slots, &region);
}

/* Check writes each assertion into a pipe; many would take most of the time. */
#define must(condition)                                         \
	do {                                                    \
		if (!(condition))                               \
			ck_abort_msg("not so: %s", #condition); \
	} while (0)

/* The list of free slots and the marks of used ones agree, and no slot is listed twice. */
static void check_lists(void)
{
	bool is_free[N] = {false};
	unsigned n_used = 0;

	must(slots.n_free <= N);
	must(slots.n_begun <= N && slots.n_free >= N - slots.n_begun);
	for (unsigned i = slots.n_begun; i < N; i++)
		is_free[i] = true;
	for (unsigned i = 0; i < slots.n_free - (N - slots.n_begun); i++) {
		unsigned returned = slots.entries[i].returned;

		must(returned < N && !is_free[returned]);
		is_free[returned] = true;
	}
	for (unsigned i = 0; i < N; i++) {
		must(is_free[i] != slots.entries[i].is_used);
		must(!slots.entries[i].conn || slots.entries[i].is_used);
		must(!slots.entries[i].conn || slots.entries[i].conn->slot == (int)i);
		n_used += slots.entries[i].is_used;
	}
	must(n_used + slots.n_free == N);
}

static enum slot_state state_of(const struct conn *conn)
{
	return slots_state(&region, (unsigned)conn->slot, conn->slot_generation);
}

static void reserve(struct conn *conn)
{
	must(slots_reserve(&slots, conn));
}

static void publish(struct conn *conn)
{
	if (conn->slot < 0)
		reserve(conn);
	slots_publish(&slots, conn);
}

static bool take(const struct conn *conn)
{
	return slots_take(&region, (unsigned)conn->slot, conn->slot_generation, &contents);
}

START_TEST(a_life)
{
	struct conn *conn = &conns[0];

	reserve(conn);
	ck_assert_int_ge(conn->slot, 0);
	ck_assert_int_lt(conn->slot, N);
	ck_assert_int_eq(state_of(conn), SLOT_LEASED);
	ck_assert_uint_eq(slots.n_free, N - 1);
	ck_assert(!take(conn));
	slots_publish(&slots, conn);
	ck_assert_int_eq(state_of(conn), SLOT_IDLE);
	ck_assert(slots_claim(&slots, conn));
	ck_assert_int_eq(state_of(conn), SLOT_LEASED);
	ck_assert(!slots_claim(&slots, conn));
	ck_assert(!take(conn));
	ck_assert(!slots_has_news(&slots));
	slots_publish(&slots, conn);
	ck_assert(take(conn));
	ck_assert_int_eq(state_of(conn), SLOT_TAKEN);
	ck_assert(!take(conn));
	ck_assert(!slots_claim(&slots, conn));
	ck_assert_int_eq(state_of(conn), SLOT_TAKEN);
	ck_assert(slots_has_news(&slots));
	ck_assert_ptr_eq(slots_next_taken(&slots), conn);
	slots_free(&slots, conn);
	ck_assert_int_eq(conn->slot, -1);
	ck_assert_ptr_null(slots_next_taken(&slots));
	ck_assert(!slots_has_news(&slots));
	check_lists();
	ck_assert_uint_eq(slots.n_free, N);
}
END_TEST

START_TEST(a_slot_used_again_is_another)
{
	struct conn *old = &conns[0], *new = &conns[1];
	struct conn before;

	publish(old);
	before = *old;
	slots_free(&slots, old);
	ck_assert_int_eq(state_of(&before), SLOT_FREE);
	ck_assert(!take(&before));
	publish(new);
	ck_assert_int_eq(new->slot, before.slot);
	ck_assert_uint_gt(new->slot_generation, before.slot_generation);
	ck_assert_int_eq(state_of(&before), SLOT_FREE);
	ck_assert_int_eq(state_of(new), SLOT_IDLE);
	ck_assert(!take(&before));
	ck_assert(!slots_claim(&slots, &before));
	ck_assert_int_eq(state_of(new), SLOT_IDLE);
	ck_assert(!slots_give(&region, (unsigned)new->slot, before.slot_generation, &contents));
	ck_assert(take(new));
	ck_assert_uint_eq(contents.cookie, new->cookie);
}
END_TEST

START_TEST(all_that_is_known_is_handed_over)
{
	struct conn *conn = &conns[0], *to = &conns[1];
	struct destination there = {.keep_alive_timeout_ns = 1};

	*conn = (struct conn){.destination = &destination,
			      .slot = -1,
			      .cookie = 11,
			      .ledger = {12, 13},
			      .created_ns = 14,
			      .idle_since_ns = 15,
			      .expires_ns = 16,
			      .n_requests = 17,
			      .requests_left = 18,
			      .status_flags = 19,
			      .protocol = 21,
			      .fence = {.nonce = 22, .parts = 23, .n_due = 24, .n_proven = 5},
			      .options = {.set = UINT32_MAX, .value = {{1, 2, 3}, {4}}}};
	destination.keep_alive_timeout_ns = 20;
	publish(conn);
	ck_assert(take(conn));
	ck_assert_uint_eq(contents.keep_alive_timeout_ns, 20);
	to->destination = &there;
	reserve(to);
	ck_assert(slots_give(&region, (unsigned)to->slot, to->slot_generation, &contents));
	slots_read(&slots, to);
	ck_assert_uint_eq(to->cookie, 11);
	ck_assert_uint_eq(to->ledger.sent, 12);
	ck_assert_uint_eq(to->ledger.received, 13);
	ck_assert_uint_eq(to->created_ns, 14);
	ck_assert_uint_eq(to->idle_since_ns, 15);
	ck_assert_uint_eq(to->used_ns, 15);
	ck_assert_uint_eq(to->expires_ns, 16);
	ck_assert_uint_eq(to->n_requests, 17);
	ck_assert_uint_eq(to->requests_left, 18);
	ck_assert_int_eq(to->status_flags, 19);
	ck_assert_uint_eq(to->protocol, 21);
	ck_assert_uint_eq(fence_n_awaited(&to->fence), 19);
	ck_assert(to->fence.nonce == 22 && to->fence.parts == 23);
	ck_assert_mem_eq(to->options.value, conn->options.value, sizeof(to->options.value));
	/* Bits without an option would be taken for indices. */
	ck_assert_uint_eq(to->options.set, (1u << SOCKET_OPTION_COUNT) - 1);
	ck_assert_uint_eq(there.keep_alive_timeout_ns, 20);
	/* Nothing said is no news. */
	contents.keep_alive_timeout_ns = 0;
	ck_assert(slots_give(&region, (unsigned)to->slot, to->slot_generation, &contents));
	slots_read(&slots, to);
	ck_assert_uint_eq(there.keep_alive_timeout_ns, 20);
}
END_TEST

START_TEST(only_what_is_reserved_is_filled)
{
	struct conn *conn = &conns[0];

	contents.cookie = 99;
	ck_assert(!slots_give(&region, 0, 0, &contents));
	ck_assert(!slots_give(&region, 0, 1, &contents));
	publish(conn);
	ck_assert(!slots_give(&region, (unsigned)conn->slot, conn->slot_generation, &contents));
	ck_assert(take(conn));
	ck_assert(!slots_give(&region, (unsigned)conn->slot, conn->slot_generation, &contents));
	ck_assert_uint_eq(region.slots[conn->slot].contents.cookie, conn->cookie);
}
END_TEST

START_TEST(a_shared_one_is_in_use_for_good)
{
	struct conn *conn = &conns[0];
	struct conn before;

	reserve(conn);
	slots_share(&slots, conn->slot, conn->slot_generation);
	ck_assert_int_eq(state_of(conn), SLOT_SHARED);
	ck_assert(!take(conn));
	ck_assert(!slots_claim(&slots, conn));
	ck_assert(!slots_give(&region, (unsigned)conn->slot, conn->slot_generation, &contents));
	ck_assert_int_eq(state_of(conn), SLOT_SHARED);
	before = *conn;
	slots_free(&slots, conn);
	/* Only slots in use can be shared, and none that has moved on. */
	publish(&conns[1]);
	slots_share(&slots, before.slot, before.slot_generation);
	slots_share(&slots, conns[1].slot, conns[1].slot_generation);
	ck_assert_int_eq(state_of(&conns[1]), SLOT_IDLE);
	ck_assert(take(&conns[1]));
	slots_share(&slots, conns[1].slot, conns[1].slot_generation);
	ck_assert_int_eq(state_of(&conns[1]), SLOT_TAKEN);
	slots_share(&slots, -1, 1);
	slots_share(&slots, N, 1);
}
END_TEST

START_TEST(without_a_slot_nothing_happens)
{
	static struct slots none;
	struct conn *conn = &conns[0];

	slots_publish(&slots, conn);
	ck_assert(slots_claim(&slots, conn)); /* nobody to contest it */
	slots_free(&slots, conn);
	slots_leave(&slots, conn);
	ck_assert_uint_eq(slots.n_free, N);
	memset(&none, 0, sizeof(none));
	ck_assert(!slots_reserve(&none, conn));
	ck_assert_int_eq(conn->slot, -1);
	ck_assert(!slots_has_news(&none));
	ck_assert_ptr_null(slots_next_taken(&none));
	slots_publish(&none, conn);
	ck_assert(slots_claim(&none, conn));
	slots_free(&none, conn);
	slots_leave(&none, conn);
	slots_free_all(&none);
	slots_detach(&none);
	ck_assert_uint_eq(none.n_free, 0);
}
END_TEST

START_TEST(all_slots_can_be_used)
{
	for (unsigned i = 0; i < N; i++)
		publish(&conns[i]);
	ck_assert_uint_eq(slots.n_free, 0);
	ck_assert(!slots_reserve(&slots, &conns[N]));
	ck_assert_int_eq(conns[N].slot, -1);
	check_lists();
	for (unsigned i = 0; i < N; i++)
		must(take(&conns[i]) && contents.cookie == conns[i].cookie);
	slots_free(&slots, &conns[500]);
	reserve(&conns[N]);
	check_lists();
}
END_TEST

START_TEST(free_all_frees_whatever_its_state)
{
	for (unsigned i = 0; i < 30; i++)
		publish(&conns[i]);
	for (unsigned i = 10; i < 20; i++)
		must(slots_claim(&slots, &conns[i]));
	for (unsigned i = 20; i < 30; i++)
		must(take(&conns[i]));
	slots_free_all(&slots);
	for (unsigned i = 0; i < 30; i++)
		ck_assert_int_eq(conns[i].slot, -1);
	ck_assert_uint_eq(slots.n_free, N);
	check_lists();
	ck_assert_ptr_null(slots_next_taken(&slots));
}
END_TEST

START_TEST(detached_connections_have_no_slot)
{
	for (unsigned i = 0; i < 3; i++)
		publish(&conns[i]);
	slots_detach(&slots);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(conns[i].slot, -1);
	ck_assert_ptr_null(slots.region);
	ck_assert(!slots_reserve(&slots, &conns[0]));
	/* The next owner of the memory inherits the idle connections. */
	ck_assert_int_eq(slots_state(&region, 0, 1), SLOT_IDLE);
}
END_TEST

START_TEST(news_come_in_order)
{
	for (unsigned i = 0; i < 40; i++)
		publish(&conns[i]);
	for (unsigned i = 40; i-- > 0;)
		must(take(&conns[i]));
	for (unsigned i = 40; i-- > 0;) {
		must(slots_has_news(&slots));
		must(slots_next_taken(&slots) == &conns[i]);
		slots_free(&slots, &conns[i]);
	}
	ck_assert_ptr_null(slots_next_taken(&slots));
	ck_assert_uint_eq(slots.n_free, N);
}
END_TEST

static const unsigned N_TAKEN[] = {1, SLOTS_NEWS - 1, SLOTS_NEWS, SLOTS_NEWS + 1, 2 * SLOTS_NEWS + 3, N};

START_TEST(however_many_were_taken_none_is_missed)
{
	unsigned n = N_TAKEN[_i], n_seen = 0;
	struct conn *conn;

	region.n_taken = UINT32_MAX - 20; /* counts on past its end */
	slots.n_taken_seen = UINT32_MAX - 20;
	for (unsigned i = 0; i < N; i++)
		publish(&conns[i]);
	for (unsigned i = 0; i < n; i++)
		must(take(&conns[i]));
	while ((conn = slots_next_taken(&slots))) {
		must(conn < &conns[n] && conn->slot >= 0);
		slots_free(&slots, conn);
		n_seen++;
	}
	ck_assert_uint_eq(n_seen, n);
	ck_assert(!slots_has_news(&slots));
	ck_assert_uint_eq(slots.n_free, n);
	check_lists();
}
END_TEST

START_TEST(what_was_left_is_freed_by_taking)
{
	unsigned n = N_TAKEN[_i];
	unsigned index[N];
	uint64_t generation[N];

	for (unsigned i = 0; i < N; i++) {
		publish(&conns[i]);
		index[i] = (unsigned)conns[i].slot;
		generation[i] = conns[i].slot_generation;
		slots_leave(&slots, &conns[i]);
		must(conns[i].slot == -1);
	}
	ck_assert_uint_eq(slots.n_free, 0);
	slots_free_all(&slots); /* the connections lose their owner */
	ck_assert_uint_eq(slots.n_free, 0);
	for (unsigned i = 0; i < n; i++)
		must(slots_take(&region, index[i], generation[i], &contents) && contents.cookie == conns[i].cookie);
	ck_assert_ptr_null(slots_next_taken(&slots));
	ck_assert_uint_eq(slots.n_free, n);
	check_lists();
	reserve(&conns[0]);
	ck_assert_uint_eq(conns[0].slot_generation, generation[conns[0].slot == (int)index[0] ? 0 : n - 1] + 1);
}
END_TEST

START_TEST(old_news_of_a_slot_used_again)
{
	publish(&conns[0]);
	must(take(&conns[0]));
	/* Its own claim finds out first. */
	must(!slots_claim(&slots, &conns[0]));
	slots_free(&slots, &conns[0]);
	publish(&conns[1]);
	ck_assert_ptr_null(slots_next_taken(&slots));
	ck_assert(slots_claim(&slots, &conns[1]));
}
END_TEST

static void fill_with_garbage(unsigned *seed)
{
	unsigned char *bytes = (unsigned char *)&region;

	for (size_t i = 0; i < sizeof(region); i++)
		bytes[i] = (unsigned char)(rand_r(seed) >> 8);
}

static uint64_t random_word(unsigned *seed)
{
	static const uint64_t GENERATIONS[] = {0, 1, 2, 3, UINT64_MAX >> 8};

	return GENERATIONS[rand_r(seed) % 5] << 8 | (uint64_t)(rand_r(seed) % 6);
}

static void lie(unsigned *seed)
{
	switch (rand_r(seed) % 4) {
	case 0:
		fill_with_garbage(seed);
		break;
	case 1:
		/* All are taken, free ones too, and each several times. */
		for (unsigned i = 0; i < N; i++)
			region.slots[i].word = (region.slots[i].word & ~(uint64_t)0xff) | SLOT_TAKEN;
		for (unsigned i = 0; i < SLOTS_NEWS; i++)
			region.taken[i] = (uint16_t)(rand_r(seed) % (rand_r(seed) % 2 ? 4 : 1u << 16));
		break;
	case 2:
		region.slots[rand_r(seed) % N].word = random_word(seed);
		break;
	default:
		region.n_taken += (uint32_t)(rand_r(seed) % (2 * SLOTS_NEWS));
	}
}

/* The process's half must tolerate anything that the other one writes. */
START_TEST(lies_to_the_process)
{
	unsigned seed = (unsigned)_i + 1;

	for (unsigned turn = 0; turn < 3000; turn++) {
		struct conn *conn = &conns[rand_r(&seed) % 200];
		unsigned n = 0;

		if (rand_r(&seed) % 20 == 0)
			lie(&seed);
		switch (rand_r(&seed) % 7) {
		case 0:
		case 1:
			if (conn->slot < 0)
				reserve(conn);
			break;
		case 2:
			slots_publish(&slots, conn);
			break;
		case 3:
			if (!slots_claim(&slots, conn))
				slots_free(&slots, conn);
			break;
		case 4:
			if (rand_r(&seed) % 8 == 0)
				slots_leave(&slots, conn);
			break;
		case 5:
			if (conn->slot >= 0)
				slots_read(&slots, conn);
			break;
		default:
			while ((conn = slots_next_taken(&slots))) {
				must(conn->slot >= 0 && ++n <= N);
				slots_free(&slots, conn);
			}
		}
		if (turn % 8 == 0)
			check_lists();
		/* No test leaves more slots than this. */
		if (slots.n_free < N / 2)
			start();
	}
}
END_TEST

START_TEST(lies_to_the_broker)
{
	unsigned seed = (unsigned)_i + 1;

	for (unsigned turn = 0; turn < 20000; turn++) {
		unsigned index = rand_r(&seed) % 4 ? (unsigned)rand_r(&seed) % 8 : N - 1;
		uint64_t generation = random_word(&seed) >> 8;
		uint64_t word = random_word(&seed);
		bool is_it = word >> 8 == generation;

		region.slots[index].word = word;

		must(slots_state(&region, index, generation) ==
		     (is_it && (word & 0xff) <= SLOT_ENDED ? (enum slot_state)(word & 0xff) : SLOT_FREE));
		must(slots_give(&region, index, generation, &contents) == (is_it && (word & 0xff) == SLOT_LEASED));
		must(slots_take(&region, index, generation, &contents) == (is_it && (word & 0xff) == SLOT_IDLE));
		region.n_taken = (uint32_t)rand_r(&seed); /* the process may write it, too */
	}
}
END_TEST

#define RACED 64
#define ROUNDS 400

/* One round: all are idle, one thread claims and the other takes, in opposite order. */
static pthread_barrier_t barrier;
static bool was_taken[RACED];

static void *take_all(void *unused)
{
	for (unsigned round = 0; round < ROUNDS; round++) {
		pthread_barrier_wait(&barrier);
		for (unsigned i = RACED; i-- > 0;)
			was_taken[i] = take(&conns[i]);
		pthread_barrier_wait(&barrier);
	}
	return unused;
}

START_TEST(each_is_won_exactly_once)
{
	unsigned n_claimed = 0, n_taken = 0;
	pthread_t thread;

	pthread_barrier_init(&barrier, NULL, 2);
	for (unsigned i = 0; i < RACED; i++)
		reserve(&conns[i]);
	ck_assert_int_eq(pthread_create(&thread, NULL, take_all, NULL), 0);
	for (unsigned round = 0; round < ROUNDS; round++) {
		bool was_claimed[RACED];

		for (unsigned i = 0; i < RACED; i++)
			publish(&conns[i]);
		pthread_barrier_wait(&barrier);
		for (unsigned i = 0; i < RACED; i++)
			was_claimed[i] = slots_claim(&slots, &conns[i]);
		pthread_barrier_wait(&barrier);
		for (unsigned i = 0; i < RACED; i++) {
			must(was_claimed[i] != was_taken[i]);
			n_claimed += was_claimed[i];
			n_taken += was_taken[i];
			if (was_taken[i])
				slots_free(&slots, &conns[i]);
		}
	}
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&barrier);
	ck_assert_uint_eq(n_claimed + n_taken, RACED * ROUNDS);
}
END_TEST

#define LEFT 60000

static _Atomic(bool) has_ended;
static uint64_t cookie_sum;

/* As fast as possible, so that the news overflows while it is read. */
static void *take_what_is_left(void *unused)
{
	struct slot_contents copy;

	while (!has_ended) {
		for (unsigned i = 0; i < 200; i++) {
			uint64_t word = region.slots[i].word;

			if ((word & 0xff) == SLOT_IDLE && slots_take(&region, i, word >> 8, &copy))
				cookie_sum += copy.cookie;
		}
	}
	return unused;
}

START_TEST(no_news_are_lost_in_a_race)
{
	uint64_t expected = 0;
	pthread_t thread;

	has_ended = false;
	cookie_sum = 0;
	/* Only few, so that each is used often. */
	slots.n_begun = N;
	slots.n_free = 200;
	for (unsigned i = 0; i < slots.n_free; i++)
		slots.entries[i].returned = (uint16_t)i;
	ck_assert_int_eq(pthread_create(&thread, NULL, take_what_is_left, NULL), 0);
	for (unsigned i = 0; i < LEFT; i++) {
		struct conn conn = {.destination = &destination, .slot = -1, .cookie = i};

		if (slots_reserve(&slots, &conn)) {
			slots_publish(&slots, &conn);
			slots_leave(&slots, &conn);
			expected += i;
		}
		/* Just before the overflow, when there is most to lose. */
		if (slots.n_free == 0 || region.n_taken - slots.n_taken_seen >= SLOTS_NEWS - 1)
			must(slots_next_taken(&slots) == NULL);
	}
	/* All the remaining ones are taken sooner or later. */
	for (unsigned i = 0; i < 200; i++)
		while ((region.slots[i].word & 0xff) == SLOT_IDLE)
			;
	has_ended = true;
	pthread_join(thread, NULL);
	must(slots_next_taken(&slots) == NULL);
	ck_assert_uint_eq(slots.n_free, 200);
	/* Torn contents count for nothing. */
	ck_assert_uint_le(cookie_sum, expected);
}
END_TEST

#ifndef __SANITIZE_THREAD__
/* Both fight for one slot. (Reading contents that may be overwritten is a race to TSan, even if the copy is then thrown
 * away.) */
static void *take_and_compare(void *n_torn)
{
	struct slot_contents copy;

	while (!has_ended) {
		uint64_t word = region.slots[N - 1].word;

		if ((word & 0xff) != SLOT_IDLE || !slots_take(&region, N - 1, word >> 8, &copy) || !copy.cookie)
			continue;
		*(unsigned *)n_torn +=
			copy.created_ns != copy.cookie || copy.ledger.sent != copy.cookie ||
			copy.expires_ns != copy.cookie ||
			copy.options.value[SOCKET_OPTION_COUNT - 1][SOCKET_OPTION_SIZE - 1] != (uint8_t)copy.cookie;
	}
	return NULL;
}

/* The process may reuse the slot between the taking and the reading: the new contents must not pass for the taken
 * connection's. */
START_TEST(contents_are_of_one_connection)
{
	unsigned n_torn = 0;
	pthread_t thread;

	has_ended = false;
	slots.n_begun = N;
	slots.n_free = N;
	for (unsigned i = 0; i < N; i++)
		slots.entries[i].returned = (uint16_t)i;
	ck_assert_int_eq(pthread_create(&thread, NULL, take_and_compare, &n_torn), 0);
	for (unsigned i = 1; i < 300000; i++) {
		struct conn conn = {.destination = &destination,
				    .slot = -1,
				    .cookie = i,
				    .created_ns = i,
				    .ledger = {i, i},
				    .expires_ns = i};

		memset(&conn.options, (uint8_t)i, sizeof(conn.options));
		must(slots_reserve(&slots, &conn) && conn.slot == N - 1);
		slots_publish(&slots, &conn);
		while (i % 4 && state_of(&conn) == SLOT_IDLE)
			;
		if (slots_claim(&slots, &conn))
			slots_publish(&slots, &conn);
		slots_free(&slots, &conn);
	}
	has_ended = true;
	pthread_join(thread, NULL);
	ck_assert_uint_eq(n_torn, 0);
}
END_TEST
#endif

Suite *slots_suite(void)
{
	Suite *suite = suite_create("slots");
	TCase *tcase = tcase_create("states");
	const int n = (int)(sizeof(N_TAKEN) / sizeof(N_TAKEN[0]));

	tcase_add_checked_fixture(tcase, start, NULL);
	tcase_add_test(tcase, a_life);
	tcase_add_test(tcase, a_slot_used_again_is_another);
	tcase_add_test(tcase, all_that_is_known_is_handed_over);
	tcase_add_test(tcase, only_what_is_reserved_is_filled);
	tcase_add_test(tcase, a_shared_one_is_in_use_for_good);
	tcase_add_test(tcase, without_a_slot_nothing_happens);
	tcase_add_test(tcase, all_slots_can_be_used);
	tcase_add_test(tcase, free_all_frees_whatever_its_state);
	tcase_add_test(tcase, detached_connections_have_no_slot);
	tcase_add_test(tcase, news_come_in_order);
	tcase_add_loop_test(tcase, however_many_were_taken_none_is_missed, 0, n);
	tcase_add_loop_test(tcase, what_was_left_is_freed_by_taking, 0, n);
	tcase_add_test(tcase, old_news_of_a_slot_used_again);
	tcase_add_loop_test(tcase, lies_to_the_process, 0, 4);
	tcase_add_loop_test(tcase, lies_to_the_broker, 0, 2);
	suite_add_tcase(suite, tcase);
	tcase = tcase_create("races");
	tcase_add_checked_fixture(tcase, start, NULL);
	tcase_set_timeout(tcase, 30);
	tcase_add_test(tcase, each_is_won_exactly_once);
	tcase_add_test(tcase, no_news_are_lost_in_a_race);
#ifndef __SANITIZE_THREAD__
	tcase_add_test(tcase, contents_are_of_one_connection);
#endif
	suite_add_tcase(suite, tcase);
	return suite;
}
