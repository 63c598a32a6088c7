/*
 * The idle pool: who gets which connection, how many are kept, which ones are no longer given out.
 */
#include "tests/unit/fake/pool.h"

#include <check.h>
#include <errno.h>
#include <string.h>

#define POOL_FULL fake_pool_refused(REFUSAL_POOL_FULL)

static bool is_closed(int fd)
{
	return !fake_socket(fd)->is_open;
}

START_TEST(newest_is_leased_first)
{
	struct destination *here = fake_pool_find(1), *there = fake_pool_find(2);
	struct conn *a[5], *b[5];

	fake_pool_park_new(here, 5, a);
	fake_pool_park_new(there, 5, b);
	for (int i = 4; i >= 0; i--) {
		struct conn *conn = fake_pool_lease(here);

		ck_assert_ptr_eq(conn, a[i]);
		ck_assert_int_eq(conn->state, CONN_OPEN);
		ck_assert_ptr_eq(fake_pool_lease(there), b[i]);
	}
	ck_assert_ptr_null(fake_pool_lease(here));
	ck_assert_ptr_null(fake_pool_lease(there));
	ck_assert_uint_eq(fake_pool_counted(STATS_LEASED), 10);
	ck_assert_uint_eq(fake_pool_counted(STATS_PARKED), 10);
	fake_pool_park(a[2]);
	fake_pool_park(a[0]);
	ck_assert_ptr_eq(fake_pool_lease(here), a[0]);
	ck_assert_ptr_eq(fake_pool_lease(here), a[2]);
	fake_pool_clear_leaving(10);
}
END_TEST

START_TEST(a_parked_one_carries_its_life_on)
{
	struct destination *destination = fake_pool_find(1);
	struct conn *conn = fake_pool_dial(destination);
	struct conn before;

	ck_assert_uint_eq(conn->created_ns, fake_kernel.now_ns);
	ck_assert_uint_eq(conn->requests_left, UINT32_MAX);
	ck_assert_uint_eq(conn->n_requests, 0);
	ck_assert_uint_eq(conn->options.set, 0);
	fake_pool_exchange(conn);
	conn->options.set = 3;
	conn->status_flags = 04000;
	before = *conn;
	fake_kernel.now_ns += 5 * SECOND;
	fake_pool_park(conn);
	ck_assert_uint_eq(conn->idle_since_ns, fake_kernel.now_ns);
	ck_assert_uint_eq(conn->used_ns, fake_kernel.now_ns);
	ck_assert_uint_eq(conn->expires_ns, fake_kernel.now_ns + 60 * SECOND);
	ck_assert_ptr_eq(fake_pool_lease(destination), conn);
	ck_assert_int_eq(conn->fd, before.fd);
	ck_assert_uint_eq(conn->cookie, before.cookie);
	ck_assert_uint_eq(conn->created_ns, before.created_ns);
	ck_assert_uint_eq(conn->n_requests, 1);
	ck_assert_mem_eq(&conn->ledger, &before.ledger, sizeof(before.ledger));
	ck_assert_mem_eq(&conn->options, &before.options, sizeof(before.options));
	ck_assert_int_eq(conn->status_flags, before.status_flags);
}
END_TEST

START_TEST(objects_are_fresh_when_used_again)
{
	struct destination *destination = fake_pool_find(1);
	struct conn *conn = fake_pool_dial(destination), *again;

	memset(&conn->options, 0xee, sizeof(conn->options));
	conn->requests_left = 0;
	conn->n_requests = 9;
	conn->name_length = 16;
	idle_pool_discard(&fake_pool, conn);
	again = idle_pool_open(&fake_pool, destination, 7);
	ck_assert_ptr_eq(again, conn);
	ck_assert_int_eq(again->fd, -1);
	ck_assert_uint_eq(again->options.set, 0);
	ck_assert_uint_eq(again->requests_left, UINT32_MAX);
	ck_assert_uint_eq(again->n_requests, 0);
	ck_assert_uint_eq(again->name_length, 0);
	ck_assert_uint_eq(again->created_ns, 7);
	idle_pool_discard(&fake_pool, again); /* without a descriptor: nothing to close */
	ck_assert_uint_eq(fake_kernel.n_calls[FAKE_CALL_CLOSE], 1);
}
END_TEST

START_TEST(limit_per_host_ends_its_oldest)
{
	struct destination *here = fake_pool_find(1), *there = fake_pool_find(2);
	struct conn *a[6], *b[3];

	fake_pool_config.policy.max_idle_conns_per_host = 3;
	fake_pool_park_new(there, 3, b);
	fake_pool_park_new(here, 6, a);
	ck_assert_uint_eq(here->n_idle, 3);
	ck_assert_uint_eq(there->n_idle, 3); /* another destination's are safe */
	ck_assert_uint_eq(POOL_FULL, 3);
	ck_assert(is_closed(FAKE_FD_MIN + 3) && is_closed(FAKE_FD_MIN + 4) && is_closed(FAKE_FD_MIN + 5));
	for (int i = 5; i >= 3; i--)
		ck_assert_ptr_eq(fake_pool_lease(here), a[i]);
	ck_assert_ptr_null(fake_pool_lease(here));
	fake_pool_clear_leaving(3);
}
END_TEST

START_TEST(limit_in_total_ends_the_oldest_of_all)
{
	struct destination *destinations[4];
	struct conn *conns[4][3];

	fake_pool_config.max_idle_conns = 5;
	for (unsigned i = 0; i < 4; i++) {
		destinations[i] = fake_pool_find(i);
		fake_pool_park_new(destinations[i], 3, conns[i]);
	}
	ck_assert_uint_eq(fake_pool.n_idle, 5);
	ck_assert_uint_eq(POOL_FULL, 7);
	ck_assert_uint_eq(destinations[0]->n_idle, 0);
	ck_assert_uint_eq(destinations[1]->n_idle, 0);
	ck_assert_uint_eq(destinations[2]->n_idle, 2);
	ck_assert_uint_eq(destinations[3]->n_idle, 3);
	/* A leased connection is not idle, and the youngest when it comes back. */
	ck_assert_ptr_eq(fake_pool_lease(destinations[2]), conns[2][2]);
	fake_pool_park(conns[2][2]);
	fake_pool_park(fake_pool_dial(destinations[0]));
	ck_assert_uint_eq(destinations[2]->n_idle, 1);
	ck_assert_ptr_eq(fake_pool_lease(destinations[2]), conns[2][2]);
	fake_pool_clear_leaving(1);
}
END_TEST

START_TEST(zero_is_no_limit)
{
	static struct conn *conns[3000];

	fake_pool_park_new(fake_pool_find(1), 3000, conns);
	ck_assert_uint_eq(fake_pool.n_idle, 3000);
	ck_assert_uint_eq(POOL_FULL, 0);
	fake_pool_clear_leaving(0);
	ck_assert_uint_eq(fake_kernel.n_calls[FAKE_CALL_CLOSE], 3000);
}
END_TEST

START_TEST(limit_of_one)
{
	struct destination *destination = fake_pool_find(1);
	struct conn *conns[4];

	fake_pool_config.max_idle_conns = 1;
	fake_pool_config.policy.max_idle_conns_per_host = 1;
	fake_pool_park_new(destination, 4, conns);
	ck_assert_uint_eq(fake_pool.n_idle, 1);
	ck_assert_ptr_eq(fake_pool_lease(destination), conns[3]);
	fake_pool_clear_leaving(1);
}
END_TEST

START_TEST(never_more_than_the_program_had)
{
	struct destination *destination = fake_pool_find(1);
	struct conn *a, *b, *c;

	a = fake_pool_dial(destination);
	fake_pool_park(a);
	/* One at a time: a dial that bypasses the idle one (an unsafe request may not lease it) takes its place. */
	b = fake_pool_dial(destination);
	fake_pool_park(b);
	ck_assert_uint_eq(destination->peak_open, 1);
	ck_assert_uint_eq(destination->n_idle, 1);
	ck_assert_uint_eq(POOL_FULL, 1);
	ck_assert_ptr_eq(fake_pool_lease(destination), b);
	c = fake_pool_dial(destination);
	ck_assert_uint_eq(destination->peak_open, 2);
	fake_pool_park(b);
	fake_pool_park(c);
	ck_assert_uint_eq(destination->n_idle, 2);
	/* Every further dial without a lease ends one connection at its park. */
	for (int i = 0; i < 20; i++) {
		a = fake_pool_dial(destination);
		fake_pool_park(a);
		ck_assert_uint_eq(destination->n_idle, 2);
	}
	ck_assert_uint_eq(destination->peak_open, 2);
	fake_pool_clear_leaving(0);
}
END_TEST

static struct conn *lease_for(uint64_t who, struct destination *destination, enum refusal expected)
{
	enum refusal why;
	struct conn *conn = idle_pool_lease(&fake_pool, destination, who, fake_kernel.now_ns, &why);

	ck_assert_int_eq(why, conn ? REFUSAL_NONE : expected);
	return conn;
}

/* Several threads dial at once: one comes back before the other's connection is there. */
START_TEST(a_dial_under_way_counts)
{
	struct destination *destination = fake_pool_find(1);
	struct conn *a = fake_pool_dial(destination), *b;

	idle_pool_note_dial(destination);
	fake_pool_park(a);
	b = fake_pool_dial(destination);
	ck_assert(!idle_pool_is_beyond_peak(destination));
	fake_pool_park(b);
	ck_assert_uint_eq(destination->n_idle, 2);
	ck_assert_uint_eq(POOL_FULL, 0);
	/* One that follows the other doesn't. */
	idle_pool_note_dial(destination);
	ck_assert_uint_eq(destination->peak_open, 2);
	fake_pool_clear_leaving(0);
}
END_TEST

START_TEST(who_looks_is_told_the_truth)
{
	struct destination *destination = fake_pool_find(1);
	struct conn *conn = fake_pool_dial(destination);

	habit_looks_note(&destination->looks, 1, true);
	habit_looks_note(&destination->looks, 2, false);
	ck_assert_ptr_null(lease_for(1, destination, REFUSAL_NONE)); /* nothing there */
	fake_pool_park(conn);
	fake_socket(conn->fd)->last_ack_ms = HABIT_ALIVE_MS + 1;
	ck_assert_ptr_null(lease_for(1, destination, REFUSAL_PROBED));
	ck_assert_uint_eq(destination->stats->counts.refused[REFUSAL_PROBED], 1);
	ck_assert_uint_eq(destination->n_idle, 1);
	/* Other programs may use it; lending it to a look gained nothing. */
	ck_assert_ptr_eq(lease_for(2, destination, REFUSAL_NONE), conn);
	conn->was_looked_at = true;
	fake_pool_park(conn);
	fake_socket(conn->fd)->last_ack_ms = 0;
	ck_assert_ptr_null(lease_for(1, destination, REFUSAL_PROBED));
	ck_assert_ptr_eq(lease_for(3, destination, REFUSAL_NONE), conn);
	conn->was_looked_at = false;
	fake_pool_park(conn);
	fake_socket(conn->fd)->last_ack_ms = HABIT_ALIVE_MS;
	ck_assert_ptr_eq(lease_for(1, destination, REFUSAL_NONE), conn);
	fake_pool_park(conn);
	/* A look, too, finds out that the server has closed a connection. */
	fake_kernel.now_ns += 1000000000ull;
	fake_socket(conn->fd)->state = FAKE_CLOSE_WAIT;
	fake_socket(conn->fd)->last_ack_ms = 5000;
	ck_assert_ptr_null(lease_for(1, destination, REFUSAL_SERVER_IDLE_CLOSE));
	ck_assert_uint_eq(destination->n_idle, 0);
	fake_pool_clear_leaving(0);
}
END_TEST

START_TEST(a_look_makes_nothing_younger)
{
	struct destination *destination = fake_pool_find(1);
	struct conn *conn = fake_pool_dial(destination);
	uint64_t expires_ns;

	fake_pool_park(conn);
	expires_ns = conn->expires_ns;
	fake_kernel.now_ns += 5 * 1000000000ull;
	ck_assert_ptr_eq(fake_pool_lease(destination), conn);
	conn->was_looked_at = true;
	fake_pool_park(conn);
	ck_assert_uint_eq(conn->expires_ns, expires_ns);
	ck_assert_ptr_eq(fake_pool_lease(destination), conn);
	conn->was_looked_at = false;
	fake_pool_park(conn);
	ck_assert_uint_gt(conn->expires_ns, expires_ns);
	fake_pool_clear_leaving(0);
}
END_TEST

START_TEST(retire_takes_the_longest_idle)
{
	struct destination *here = fake_pool_find(1), *there = fake_pool_find(2);
	struct conn *a[3], *b[1];

	fake_pool_park_new(there, 1, b);
	fake_pool_park_new(here, 3, a);
	for (int i = 0; i < 3; i++) {
		int fd = a[i]->fd;

		ck_assert(idle_pool_retire(&fake_pool, here, REFUSAL_POOL_FULL));
		ck_assert(is_closed(fd));
	}
	ck_assert(!idle_pool_retire(&fake_pool, here, REFUSAL_POOL_FULL));
	ck_assert_uint_eq(there->n_idle, 1);
	fake_pool_clear_leaving(0);
}
END_TEST

START_TEST(max_requests)
{
	struct destination *destination = fake_pool_find(1);
	struct conn *conn = fake_pool_dial(destination);

	fake_pool_config.policy.max_conn_requests = 3;
	for (int i = 1; i < 3; i++) {
		fake_pool_exchange(conn);
		fake_pool_park(conn);
		ck_assert_ptr_eq(fake_pool_lease(destination), conn);
	}
	fake_pool_exchange(conn);
	ck_assert_int_eq(idle_pool_park(&fake_pool, conn, fake_kernel.now_ns), REFUSAL_POLICY);
	ck_assert_int_eq(conn->state, CONN_OPEN);
	ck_assert(!is_closed(conn->fd));
	idle_pool_discard(&fake_pool, conn);
	ck_assert_uint_eq(destination->n_open, 0);
	fake_pool_clear_leaving(0);
}
END_TEST

START_TEST(the_servers_own_max)
{
	struct conn *conn = fake_pool_dial(fake_pool_find(1));

	conn->requests_left = 1;
	fake_pool_park(conn);
	ck_assert_ptr_eq(fake_pool_lease(conn->destination), conn);
	conn->requests_left = 0;
	ck_assert_int_eq(idle_pool_park(&fake_pool, conn, fake_kernel.now_ns), REFUSAL_POLICY);
	idle_pool_discard(&fake_pool, conn);
	fake_pool_clear_leaving(0);
}
END_TEST

START_TEST(a_refusal_ends_nobody_else)
{
	struct destination *destination = fake_pool_find(1);
	struct conn *kept[2], *conn;

	fake_pool_config.max_idle_conns = 2;
	fake_pool_config.policy.max_idle_conns_per_host = 2;
	conn = fake_pool_dial(destination);
	fake_pool_park_new(destination, 2, kept);
	conn->requests_left = 0;
	ck_assert_int_eq(idle_pool_park(&fake_pool, conn, fake_kernel.now_ns), REFUSAL_POLICY);
	ck_assert_uint_eq(destination->n_idle, 2);
	idle_pool_discard(&fake_pool, conn);
	fake_pool_clear_leaving(0);
}
END_TEST

static void fin(struct fake_socket *socket)
{
	socket->state = FAKE_CLOSE_WAIT;
}

static void rst(struct fake_socket *socket)
{
	socket->state = FAKE_CLOSE;
}

static void extra_bytes(struct fake_socket *socket)
{
	socket->bytes_received++;
}

static void sent_elsewhere(struct fake_socket *socket)
{
	socket->bytes_sent++;
}

static void no_info(struct fake_socket *socket)
{
	socket->info_length = 8;
}

static const struct {
	enum refusal reason;
	void (*spoil)(struct fake_socket *socket);
} SPOILERS[] = {
	{REFUSAL_SERVER_IDLE_CLOSE, fin}, {REFUSAL_SERVER_IDLE_CLOSE, rst}, {REFUSAL_LEDGER, extra_bytes},
	{REFUSAL_LEDGER, sent_elsewhere}, {REFUSAL_LEDGER, no_info},
};

START_TEST(spoilt_ones_are_skipped)
{
	struct destination *destination = fake_pool_find(1);
	struct conn *conns[4], *leased;
	int fds[4];

	fake_pool_park_new(destination, 4, conns);
	for (int i = 0; i < 4; i++)
		fds[i] = conns[i]->fd;
	SPOILERS[_i].spoil(fake_socket(fds[3]));
	SPOILERS[_i].spoil(fake_socket(fds[2]));
	SPOILERS[_i].spoil(fake_socket(fds[0]));
	leased = fake_pool_lease(destination);
	ck_assert_ptr_eq(leased, conns[1]);
	ck_assert(is_closed(fds[3]) && is_closed(fds[2]) && !is_closed(fds[1]));
	ck_assert(!is_closed(fds[0])); /* nobody looked */
	ck_assert_ptr_null(fake_pool_lease(destination));
	ck_assert(is_closed(fds[0]));
	ck_assert_uint_eq(fake_pool_refused(SPOILERS[_i].reason), 3);
	ck_assert_uint_eq(fake_pool_counted(STATS_LEASED), 1);
	fake_pool_clear_leaving(1);
}
END_TEST

/* An answer came before the last bytes of its request were acknowledged. */
START_TEST(those_in_flight_are_for_later)
{
	struct destination *destination = fake_pool_find(1);
	struct conn *conns[3];

	fake_pool_park_new(destination, 3, conns);
	for (int i = 1; i < 3; i++) {
		fake_socket(conns[i]->fd)->unacked = 1;
		conns[i]->is_in_flight = true;
	}
	ck_assert_ptr_eq(fake_pool_lease(destination), conns[0]);
	/* A server that serves one at a time may be waiting for the end of one: a dial ends one. */
	ck_assert_ptr_null(fake_pool_lease(destination));
	ck_assert_uint_eq(destination->n_idle, 1);
	ck_assert_int_eq(conns[1]->state, CONN_FREE);
	fake_socket(conns[2]->fd)->unacked = 0;
	ck_assert_ptr_eq(fake_pool_lease(destination), conns[2]);
	ck_assert(!conns[2]->is_in_flight);
}
END_TEST

START_TEST(a_close_that_fails_is_a_close)
{
	struct conn *conns[3];

	fake_pool_park_new(fake_pool_find(1), 3, conns);
	fake_sys_fail(FAKE_CALL_CLOSE, 1, 3, EIO);
	fake_pool_clear_leaving(0);
	ck_assert_uint_eq(fake_kernel.n_calls[FAKE_CALL_CLOSE], 3);
}
END_TEST

Suite *idle_suite(void)
{
	Suite *suite = suite_create("idle");
	TCase *tcase = tcase_create("lease and limits");

	tcase_add_checked_fixture(tcase, fake_pool_start, fake_sys_stop);
	tcase_add_test(tcase, newest_is_leased_first);
	tcase_add_test(tcase, a_parked_one_carries_its_life_on);
	tcase_add_test(tcase, objects_are_fresh_when_used_again);
	tcase_add_test(tcase, limit_per_host_ends_its_oldest);
	tcase_add_test(tcase, limit_in_total_ends_the_oldest_of_all);
	tcase_add_test(tcase, zero_is_no_limit);
	tcase_add_test(tcase, limit_of_one);
	tcase_add_test(tcase, never_more_than_the_program_had);
	tcase_add_test(tcase, a_dial_under_way_counts);
	tcase_add_test(tcase, who_looks_is_told_the_truth);
	tcase_add_test(tcase, a_look_makes_nothing_younger);
	tcase_add_test(tcase, retire_takes_the_longest_idle);
	tcase_add_test(tcase, max_requests);
	tcase_add_test(tcase, the_servers_own_max);
	tcase_add_test(tcase, a_refusal_ends_nobody_else);
	tcase_add_loop_test(tcase, spoilt_ones_are_skipped, 0, sizeof(SPOILERS) / sizeof(SPOILERS[0]));
	tcase_add_test(tcase, a_close_that_fails_is_a_close);
	tcase_add_test(tcase, those_in_flight_are_for_later);
	suite_add_tcase(suite, tcase);
	return suite;
}
