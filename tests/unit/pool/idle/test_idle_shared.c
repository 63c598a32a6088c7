/*
 * The idle pool of a process with a broker: connections that the broker takes are let go, untouched; an end ends them
 * for all holders; and without the broker the pool goes on alone.
 */
#include "tests/unit/fake/pool.h"

#include <check.h>
#include <errno.h>
#include <string.h>

#include "pool/share/client.h"

static struct broker_client client;
static struct slots_region region;
static struct destination *here;
static struct broker_request last; /* the last packet sent */
static unsigned n_sent, n_unmapped;
static int send_error;

static ssize_t capture(int fd, const struct msghdr *message, int flags)
{
	(void)flags;
	ck_assert_int_eq(fd, 77);
	ck_assert_uint_eq(message->msg_iov->iov_len, sizeof(last));
	if (send_error) {
		errno = send_error;
		return -1;
	}
	memcpy(&last, message->msg_iov->iov_base, sizeof(last));
	n_sent++;
	return sizeof(last);
}

static void unmap(void *memory, uint64_t length)
{
	ck_assert_ptr_eq(memory, &region);
	ck_assert_uint_eq(length, sizeof(region));
	n_unmapped++;
}

static struct slots_entry entries[SLOTS_PER_REGION];

static const struct pool_sys client_sys = {.sendmsg = capture, .unmap = unmap};

static void start(void)
{
	fake_pool_start();
	memset(&region, 0, sizeof(region));
	memset(&client, 0, sizeof(client));
	memset(entries, 0, sizeof(entries));
	n_sent = n_unmapped = 0;
	send_error = 0;
	broker_client_init(&client, &client_sys, entries);
	client.fd = 77;
	slots_attach(&client.slots, &region);
	fake_pool.broker = &client;
	here = fake_pool_find(1);
}

static enum slot_state state_of(const struct conn *conn)
{
	return slots_state(&region, (unsigned)conn->slot, conn->slot_generation);
}

/* Takes one as the broker does for another process. */
static void take(const struct conn *conn)
{
	struct slot_contents contents;

	ck_assert(slots_take(&region, (unsigned)conn->slot, conn->slot_generation, &contents));
	ck_assert_uint_eq(contents.cookie, conn->cookie);
}

/* Idle, and the first n known to the broker. */
static void park_some(unsigned n_all, unsigned n, struct conn **conns)
{
	fake_pool_park_new(here, n_all, conns);
	for (unsigned i = 0; i < n; i++) {
		broker_client_offer(&client, conns[i], false);
		ck_assert(conns[i]->has_broker_dup);
		ck_assert_int_eq(state_of(conns[i]), SLOT_IDLE);
	}
}

static void park_new(unsigned n, struct conn **conns)
{
	park_some(n, n, conns);
}

static void check_closed(int fd, bool was_disconnected)
{
	ck_assert(!fake_socket(fd)->is_open);
	ck_assert(fake_socket(fd)->was_disconnected == was_disconnected);
}

START_TEST(its_own_come_back)
{
	struct conn *conn;
	const struct slot_contents *contents;

	park_new(1, &conn);
	ck_assert_ptr_eq(fake_pool_lease(here), conn);
	ck_assert_int_eq(state_of(conn), SLOT_LEASED);
	fake_pool_exchange(conn);
	fake_kernel.now_ns += 3 * SECOND;
	fake_pool_park(conn);
	ck_assert_int_eq(state_of(conn), SLOT_IDLE);
	/* No packet for that. */
	ck_assert_uint_eq(n_sent, 1);
	ck_assert_int_eq(last.head.type, BROKER_PARK);
	contents = &region.slots[conn->slot].contents;
	ck_assert_uint_eq(contents->idle_since_ns, fake_kernel.now_ns);
	ck_assert_uint_eq(contents->expires_ns, fake_kernel.now_ns + 60 * SECOND);
	ck_assert_uint_eq(contents->n_requests, 1);
	ck_assert_mem_eq(&contents->ledger, &conn->ledger, sizeof(conn->ledger));
}
END_TEST

START_TEST(what_was_taken_is_not_leased)
{
	struct conn *conns[4];
	int fds[4];

	park_new(4, conns);
	for (int i = 0; i < 4; i++)
		fds[i] = conns[i]->fd;
	take(conns[3]);
	take(conns[1]);
	ck_assert_ptr_eq(fake_pool_lease(here), conns[2]);
	check_closed(fds[3], false);
	ck_assert_ptr_eq(fake_pool_lease(here), conns[0]);
	check_closed(fds[1], false);
	ck_assert_ptr_null(fake_pool_lease(here));
	ck_assert_uint_eq(client.slots.n_free, SLOTS_PER_REGION - 2);
	ck_assert_uint_eq(fake_pool_counted(STATS_LEASED), 2);
	/* The news is old: the loss has been noticed. */
	fake_pool_expire();
	ck_assert_uint_eq(client.slots.n_free, SLOTS_PER_REGION - 2);
	ck_assert_uint_eq(fake_kernel.n_open, 2);
}
END_TEST

START_TEST(ends_for_all_who_hold_it)
{
	struct conn *conns[5];
	int fds[5];

	park_some(5, 3, conns);
	for (int i = 0; i < 5; i++)
		fds[i] = conns[i]->fd;
	/* Idle and ours. */
	idle_pool_discard(&fake_pool, conns[0]);
	check_closed(fds[0], true);
	/* Another process has it by now. */
	take(conns[1]);
	idle_pool_discard(&fake_pool, conns[1]);
	check_closed(fds[1], false);
	/* The broker never heard of it. */
	idle_pool_discard(&fake_pool, conns[3]);
	check_closed(fds[3], false);
	/* Found stale. */
	fake_pool_hang_up(conns[4], 0);
	fake_pool_hang_up(conns[2], 0);
	ck_assert_ptr_null(fake_pool_lease(here));
	check_closed(fds[4], false);
	check_closed(fds[2], true);
	ck_assert_uint_eq(client.slots.n_free, SLOTS_PER_REGION);
	ck_assert_uint_eq(n_sent, 3); /* the broker finds out by itself */
}
END_TEST

START_TEST(in_use_it_is_dropped)
{
	struct conn *conn, before;

	park_new(1, &conn);
	ck_assert_ptr_eq(fake_pool_lease(here), conn);
	before = *conn;
	send_error = _i ? EAGAIN : 0;
	idle_pool_discard(&fake_pool, conn);
	/* Bytes that another process still reads are not cut off. */
	check_closed(before.fd, false);
	ck_assert_int_eq(state_of(&before), SLOT_FREE);
	ck_assert_uint_eq(client.slots.n_free, SLOTS_PER_REGION);
	ck_assert_uint_eq(n_sent, _i ? 1 : 2);
	if (!_i) {
		ck_assert_uint_eq(last.head.type, BROKER_DROP);
		ck_assert_uint_eq(last.slot, (uint64_t)before.slot);
		ck_assert_uint_eq(last.generation, before.slot_generation);
	}
	fake_pool_clear_leaving(0);
}
END_TEST

static const unsigned N_TAKEN[] = {1, 5, SLOTS_NEWS, SLOTS_NEWS + 1, 150};

START_TEST(news_are_heard_at_every_call)
{
	struct conn *conns[150];
	unsigned n = N_TAKEN[_i];

	park_new(150, conns);
	fake_pool_expire();
	ck_assert_uint_eq(fake_pool.n_idle, 150);
	for (unsigned i = 0; i < n; i++)
		take(conns[i]);
	fake_pool_expire(); /* in the same second */
	ck_assert_uint_eq(fake_pool.n_idle, 150 - n);
	ck_assert_uint_eq(fake_kernel.n_open, 150 - n);
	ck_assert_uint_eq(client.slots.n_free, SLOTS_PER_REGION - 150 + n);
	ck_assert_uint_eq(fake_kernel.n_calls[FAKE_CALL_DISCONNECT], 0);
	ck_assert_uint_eq(fake_pool_refused(REFUSAL_IDLE_TIMEOUT), 0);
	for (unsigned i = 150; i-- > n;)
		ck_assert_ptr_eq(fake_pool_lease(here), conns[i]);
	ck_assert_ptr_null(fake_pool_lease(here));
}
END_TEST

/* Shared memory may claim that a connection was taken while the program uses it. */
START_TEST(lies_do_not_end_what_is_in_use)
{
	struct conn *conn;
	unsigned slot;

	park_new(1, &conn);
	slot = (unsigned)conn->slot;
	ck_assert_ptr_eq(fake_pool_lease(here), conn);
	region.slots[slot].word = conn->slot_generation << 8 | SLOT_TAKEN;
	region.taken[0] = (uint16_t)slot;
	region.n_taken = 1;
	fake_pool_expire();
	ck_assert_int_eq(conn->state, CONN_OPEN);
	ck_assert_int_eq(conn->slot, -1);
	ck_assert(fake_socket(conn->fd)->is_open);
	fake_pool_park(conn);
	ck_assert_ptr_eq(fake_pool_lease(here), conn);
	/* It can be offered again. */
	fake_pool_park(conn);
	broker_client_offer(&client, conn, false);
	ck_assert_int_eq(state_of(conn), SLOT_IDLE);
}
END_TEST

START_TEST(time_ends_only_what_is_ours)
{
	struct conn *conns[2];
	int fds[2];

	park_new(2, conns);
	fds[0] = conns[0]->fd;
	fds[1] = conns[1]->fd;
	take(conns[1]);
	region.n_taken--; /* the news has not come yet */
	fake_kernel.now_ns += 62 * SECOND;
	fake_pool_expire();
	check_closed(fds[0], true);
	check_closed(fds[1], false);
	ck_assert_uint_eq(client.slots.n_free, SLOTS_PER_REGION);
	fake_pool_clear_leaving(0);
}
END_TEST

START_TEST(limits_end_only_what_is_ours)
{
	struct conn *conns[2];
	int fds[2];

	park_new(2, conns);
	fds[0] = conns[0]->fd;
	fds[1] = conns[1]->fd;
	take(conns[0]);
	ck_assert(idle_pool_retire(&fake_pool, here, REFUSAL_POOL_FULL));
	check_closed(fds[0], false);
	ck_assert(idle_pool_retire(&fake_pool, here, REFUSAL_POOL_FULL));
	check_closed(fds[1], true);
	ck_assert(!idle_pool_retire(&fake_pool, here, REFUSAL_POOL_FULL));
}
END_TEST

START_TEST(ports_that_are_needed)
{
	struct destination_key other = here->key, key = here->key;
	struct conn *conns[3], *elsewhere;
	int fds[3];

	ck_assert_int_eq(destination_key_add_option(&key, 1, 2, "x", 1), 0); /* to the same peer */
	other.port++;
	fake_pool_park_new(idle_pool_find(&fake_pool, &other), 1, &elsewhere);
	park_some(3, 2, conns);
	for (int i = 0; i < 3; i++)
		fds[i] = conns[i]->fd;
	take(conns[1]);
	idle_pool_retire_peer(&fake_pool, &key);
	check_closed(fds[0], true);
	check_closed(fds[1], false);
	check_closed(fds[2], false);
	ck_assert_uint_eq(fake_pool.n_idle, 1);
	ck_assert_int_eq(elsewhere->state, CONN_IDLE);
}
END_TEST

/* The broker has the connections that it holds; the others are gone. */
START_TEST(descriptors_that_are_needed)
{
	struct conn *conns[2];
	int fds[2];

	park_some(2, 1, conns);
	for (int i = 0; i < 2; i++) {
		fds[i] = conns[i]->fd;
		fake_pool_surprise(conns[i]);
	}
	idle_pool_let_go(&fake_pool);
	ck_assert_uint_eq(fake_pool.n_idle, 0);
	check_closed(fds[0], false);
	check_closed(fds[1], true);
}
END_TEST

/* The idle connections are its parent's. */
START_TEST(a_child_ends_nothing)
{
	struct conn *conns[2];
	int fds[2];

	park_some(2, 1, conns);
	slots_detach(&client.slots);
	for (int i = 0; i < 2; i++) {
		fds[i] = conns[i]->fd;
		fake_pool_surprise(conns[i]);
	}
	idle_pool_clear(&fake_pool);
	check_closed(fds[0], false);
	check_closed(fds[1], false);
}
END_TEST

START_TEST(without_the_broker_it_goes_on)
{
	struct conn *conns[5];
	int fds[5];

	park_new(5, conns);
	ck_assert_ptr_eq(fake_pool_lease(here), conns[4]);
	for (int i = 0; i < 5; i++)
		fds[i] = conns[i]->fd;
	take(conns[0]);
	take(conns[2]);
	idle_pool_disconnect(&fake_pool);
	ck_assert_int_eq(client.fd, -1);
	ck_assert_ptr_null(client.slots.region);
	ck_assert_uint_eq(n_unmapped, 1);
	check_closed(fds[0], false);
	check_closed(fds[2], false);
	for (int i = 1; i < 5; i += i == 1 ? 2 : 1)
		ck_assert_int_eq(conns[i]->slot, -1);
	/* The broker inherits the idle connections, so none are ended. */
	for (unsigned i = 0; i < SLOTS_PER_REGION; i++)
		ck_assert_uint_ne(region.slots[i].word & 0xff, SLOT_IDLE);
	ck_assert_uint_eq(fake_pool.n_idle, 2);
	ck_assert_ptr_eq(fake_pool_lease(here), conns[3]);
	fake_pool_park(conns[3]);
	fake_pool_park(conns[4]);
	fake_pool_expire();
	ck_assert_uint_eq(fake_pool.n_idle, 3);
	/* The broker may still have its duplicates. */
	idle_pool_discard(&fake_pool, conns[3]);
	check_closed(fds[3], true);
	ck_assert_ptr_eq(fake_pool_lease(here), conns[4]);
	ck_assert_ptr_eq(fake_pool_lease(here), conns[1]);
	idle_pool_disconnect(&fake_pool); /* once is enough */
	ck_assert_uint_eq(n_unmapped, 1);
}
END_TEST

START_TEST(what_is_cleared_is_left_to_the_broker)
{
	struct conn *conns[3], before[3];

	park_new(3, conns);
	for (int i = 0; i < 3; i++)
		before[i] = *conns[i];
	take(conns[0]);
	fake_pool_clear_leaving(0);
	for (int i = 0; i < 3; i++)
		check_closed(before[i].fd, false);
	ck_assert_int_eq(state_of(&before[1]), SLOT_IDLE);
	ck_assert_int_eq(state_of(&before[2]), SLOT_IDLE);
	ck_assert_uint_eq(client.slots.n_free, SLOTS_PER_REGION - 3);
	/* The slots come back as the broker takes the connections. */
	take(&before[1]);
	fake_pool_expire();
	ck_assert_uint_eq(client.slots.n_free, SLOTS_PER_REGION - 1);
	take(&before[2]);
	fake_pool_expire();
	ck_assert_uint_eq(client.slots.n_free, SLOTS_PER_REGION);
}
END_TEST

START_TEST(a_process_that_shares_nothing)
{
	struct conn *conns[2];

	fake_pool.broker = NULL;
	fake_pool_park_new(here, 2, conns);
	fake_pool_expire();
	ck_assert_ptr_eq(fake_pool_lease(here), conns[1]);
	idle_pool_discard(&fake_pool, conns[1]);
	fake_kernel.now_ns += 62 * SECOND;
	fake_pool_expire();
	ck_assert_uint_eq(fake_kernel.n_calls[FAKE_CALL_DISCONNECT], 0);
	fake_pool_clear_leaving(0);
	ck_assert_uint_eq(n_sent, 0);
}
END_TEST

Suite *idle_shared_suite(void)
{
	Suite *suite = suite_create("idle_shared");
	TCase *tcase = tcase_create("with a broker");

	tcase_add_checked_fixture(tcase, start, fake_sys_stop);
	tcase_add_test(tcase, its_own_come_back);
	tcase_add_test(tcase, what_was_taken_is_not_leased);
	tcase_add_test(tcase, ends_for_all_who_hold_it);
	tcase_add_loop_test(tcase, in_use_it_is_dropped, 0, 2);
	tcase_add_loop_test(tcase, news_are_heard_at_every_call, 0, sizeof(N_TAKEN) / sizeof(N_TAKEN[0]));
	tcase_add_test(tcase, lies_do_not_end_what_is_in_use);
	tcase_add_test(tcase, time_ends_only_what_is_ours);
	tcase_add_test(tcase, limits_end_only_what_is_ours);
	tcase_add_test(tcase, ports_that_are_needed);
	tcase_add_test(tcase, descriptors_that_are_needed);
	tcase_add_test(tcase, a_child_ends_nothing);
	tcase_add_test(tcase, without_the_broker_it_goes_on);
	tcase_add_test(tcase, what_is_cleared_is_left_to_the_broker);
	tcase_add_test(tcase, a_process_that_shares_nothing);
	suite_add_tcase(suite, tcase);
	return suite;
}
