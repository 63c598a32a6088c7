/*
 * When idle connections end: the wheel, the timeout, the age, what the server announced and showed.
 */
#include "tests/unit/fake/pool.h"

#include <check.h>

#include "pool/conn/idle_timeout.h"

#define TIMED_OUT fake_pool_refused(REFUSAL_IDLE_TIMEOUT)

/* Moves the clock to the start of the second after that of `ns`: by then the wheel has passed it. */
static void expire_after(uint64_t ns)
{
	fake_kernel.now_ns = (ns / SECOND + 1) * SECOND;
	fake_pool_expire();
}

static const uint64_t TIMEOUTS[] = {
	1,
	SECOND / 2,
	SECOND,
	60 * SECOND,
	127 * SECOND,
	128 * SECOND,
	128 * SECOND + 1,
	129 * SECOND,
	255 * SECOND,
	256 * SECOND,
	1000 * SECOND,
	12800 * SECOND,
	86400 * SECOND,
	86399 * SECOND + 5,
};

/* One call a second, as in a busy program, or few calls with odd steps. */
static const uint64_t STEPS[] = {SECOND / 3,   SECOND,	     7 * SECOND,   127 * SECOND,
				 128 * SECOND, 129 * SECOND, 1000 * SECOND};

#define N_TIMEOUTS (int)(sizeof(TIMEOUTS) / sizeof(TIMEOUTS[0]))
#define N_STEPS (int)(sizeof(STEPS) / sizeof(STEPS[0]))

START_TEST(the_timeout_is_kept)
{
	uint64_t timeout_ns = TIMEOUTS[_i % N_TIMEOUTS], step_ns = STEPS[_i / N_TIMEOUTS];
	struct destination *destination = fake_pool_find(1);
	struct conn *conn;

	fake_pool_config.policy.idle_conn_timeout_ns = timeout_ns;
	fake_pool_expire();
	fake_kernel.now_ns += 123456789;
	conn = fake_pool_dial(destination);
	fake_pool_park(conn);
	ck_assert_uint_eq(conn->expires_ns, fake_kernel.now_ns + timeout_ns);
	while (fake_pool.n_idle) {
		uint64_t expires_ns = conn->expires_ns;

		fake_kernel.now_ns += step_ns;
		fake_pool_expire();
		if (fake_kernel.now_ns < expires_ns)
			ck_assert_uint_eq(fake_pool.n_idle, 1);
		else if (fake_kernel.now_ns / SECOND > expires_ns / SECOND)
			ck_assert_uint_eq(fake_pool.n_idle, 0);
	}
	ck_assert_uint_eq(TIMED_OUT, 1);
	fake_pool_clear_leaving(0);
}
END_TEST

START_TEST(a_lease_looks_at_the_deadline_itself)
{
	struct destination *destination = fake_pool_find(1);
	struct conn *conns[2];

	fake_pool_park_new(destination, 2, conns);
	fake_kernel.now_ns += 60 * SECOND - 1;
	ck_assert_ptr_eq(fake_pool_lease(destination), conns[1]);
	fake_kernel.now_ns += 1;
	ck_assert_ptr_null(fake_pool_lease(destination));
	ck_assert_uint_eq(TIMED_OUT, 1);
	/* It is over in any case; the kernel was only asked whose it is, and how to end it. */
	ck_assert_uint_eq(fake_kernel.n_calls[FAKE_CALL_GETSOCKOPT], 3);
	fake_pool_clear_leaving(1);
}
END_TEST

START_TEST(many_turns_with_many_deadlines)
{
	struct conn *conns[600];
	uint64_t start_ns = fake_kernel.now_ns;

	fake_pool_expire();
	for (unsigned i = 0; i < 600; i++) {
		fake_pool_config.policy.idle_conn_timeout_ns = (i + 1) * SECOND;
		conns[i] = fake_pool_dial(fake_pool_find(i));
		fake_pool_park(conns[i]);
	}
	for (unsigned second = 0; second < 602; second++) {
		fake_kernel.now_ns = start_ns + second * SECOND;
		fake_pool_expire();
		/* The one that expires right now is ended a second later. */
		ck_assert_uint_eq(fake_pool.n_idle, second ? 601 - second : 600);
		fake_pool_expire(); /* once more in the same second: nothing */
	}
	ck_assert_uint_eq(TIMED_OUT, 600);
	fake_pool_clear_leaving(0);
}
END_TEST

static const uint64_t JUMPS[] = {61 * SECOND, 127 * SECOND, 128 * SECOND, 129 * SECOND, 1ull << 40, 1ull << 62};

START_TEST(the_clock_jumps)
{
	struct conn *conns[64];

	fake_pool_expire();
	for (unsigned i = 0; i < 64; i++) {
		fake_kernel.now_ns += 900000000;
		conns[i] = fake_pool_dial(fake_pool_find(1));
		fake_pool_park(conns[i]);
	}
	fake_kernel.now_ns += JUMPS[_i];
	fake_pool_expire();
	ck_assert_uint_eq(fake_pool.n_idle, 0);
	/* And goes on from there. */
	fake_pool_park(fake_pool_dial(fake_pool_find(1)));
	fake_kernel.now_ns += 59 * SECOND;
	fake_pool_expire();
	ck_assert_uint_eq(fake_pool.n_idle, 1);
	expire_after(fake_kernel.now_ns + SECOND);
	ck_assert_uint_eq(fake_pool.n_idle, 0);
	fake_pool_clear_leaving(0);
}
END_TEST

START_TEST(two_threads_clocks_may_cross)
{
	struct destination *destination = fake_pool_find(1);
	struct conn *conns[3];

	/* Both read the clock before they got the lock: the later one came first. */
	fake_pool_expire();
	fake_kernel.now_ns += 10 * SECOND;
	fake_pool_park_new(destination, 3, conns);
	fake_pool_expire();
	fake_kernel.now_ns -= SECOND / 2;
	fake_pool_expire();
	ck_assert_uint_eq(fake_pool.n_idle, 3);
	fake_pool_hang_up(conns[2], 0);
	ck_assert_ptr_eq(fake_pool_lease(destination), conns[1]);
	ck_assert_uint_ge(idle_timeout_limit_ns(destination), UINT64_MAX - 2 * SECOND);
	fake_pool_park(conns[1]);
	ck_assert_uint_le(conns[1]->expires_ns, fake_kernel.now_ns + 60 * SECOND);
	expire_after(conns[0]->expires_ns);
	ck_assert_uint_eq(fake_pool.n_idle, 0);
	fake_pool_clear_leaving(0);
}
END_TEST

START_TEST(no_timeout_is_for_ever)
{
	struct conn *conn = fake_pool_dial(fake_pool_find(1));

	fake_pool_config.policy.idle_conn_timeout_ns = 0;
	fake_pool_park(conn);
	ck_assert_uint_eq(conn->expires_ns, UINT64_MAX);
	for (int i = 0; i < 300; i++) {
		fake_kernel.now_ns += 1ull << 55;
		fake_pool_expire();
	}
	ck_assert_ptr_eq(fake_pool_lease(conn->destination), conn);
	fake_pool_clear_leaving(1);
}
END_TEST

START_TEST(age_is_spread_by_a_fifth)
{
	static bool seen[41];
	unsigned n_seen = 0;

	fake_pool_config.policy.max_conn_age_ns = 100 * SECOND;
	fake_pool_config.policy.idle_conn_timeout_ns = 0;
	for (unsigned i = 0; i < 1000; i++) {
		struct conn *conn = fake_pool_dial(fake_pool_find(1));
		uint64_t age_s;

		fake_pool_park(conn);
		age_s = (conn->expires_ns - conn->created_ns) / SECOND;
		ck_assert_uint_ge(age_s, 80);
		ck_assert_uint_le(age_s, 120);
		ck_assert_uint_eq(conn->expires_ns, conn->created_ns + age_s * SECOND);
		n_seen += !seen[age_s - 80];
		seen[age_s - 80] = true;
	}
	ck_assert_uint_ge(n_seen, 30);
}
END_TEST

START_TEST(age_counts_from_the_dial)
{
	struct destination *destination = fake_pool_find(1);
	struct conn *conn = fake_pool_dial(destination);
	uint64_t end_ns = 0;

	fake_pool_config.policy.max_conn_age_ns = 100 * SECOND;
	for (int i = 0; i < 15; i++) {
		fake_pool_park(conn);
		if (conn->expires_ns < fake_kernel.now_ns + 60 * SECOND) {
			ck_assert(!end_ns || end_ns == conn->expires_ns); /* the same each time */
			end_ns = conn->expires_ns;
		}
		fake_kernel.now_ns += 5 * SECOND;
		ck_assert_ptr_eq(fake_pool_lease(destination), conn);
	}
	ck_assert_uint_ne(end_ns, 0);
	fake_kernel.now_ns = end_ns;
	ck_assert_int_eq(idle_pool_park(&fake_pool, conn, fake_kernel.now_ns), REFUSAL_POLICY);
	fake_kernel.now_ns -= 1;
	fake_pool_park(conn);
	fake_kernel.now_ns += 1;
	ck_assert_ptr_null(fake_pool_lease(destination));
	fake_pool_clear_leaving(0);
}
END_TEST

START_TEST(huge_ages_do_not_overflow)
{
	struct conn *conn = fake_pool_dial(fake_pool_find(1));

	fake_pool_config.policy.max_conn_age_ns = INT64_MAX;
	fake_pool_config.policy.idle_conn_timeout_ns = INT64_MAX;
	for (conn->cookie = 0; conn->cookie < 100; conn->cookie++) {
		fake_pool_park(conn);
		ck_assert_uint_ge(conn->expires_ns, INT64_MAX / 10 * 7);
		ck_assert_ptr_eq(fake_pool_lease(conn->destination), conn);
	}
	fake_pool_clear_leaving(1);
}
END_TEST

START_TEST(the_server_said_how_long)
{
	struct destination *destination = fake_pool_find(1);
	struct conn *conn = fake_pool_dial(destination);

	idle_timeout_announced(destination, 5);
	fake_pool_park(conn);
	ck_assert_uint_eq(conn->expires_ns, fake_kernel.now_ns + 4 * SECOND);
	ck_assert_ptr_eq(fake_pool_lease(destination), conn);
	idle_timeout_announced(destination, 100); /* longer than our own timeout */
	fake_pool_park(conn);
	ck_assert_uint_eq(conn->expires_ns, fake_kernel.now_ns + 60 * SECOND);
	fake_pool_clear_leaving(0);
}
END_TEST

START_TEST(a_stale_one_teaches)
{
	struct destination *destination = fake_pool_find(1);
	struct conn *conn = fake_pool_dial(destination);

	fake_pool_park(conn);
	fake_kernel.now_ns += 30 * SECOND;
	fake_pool_hang_up(conn, 20000); /* ten seconds after the park */
	ck_assert_ptr_null(fake_pool_lease(destination));
	ck_assert_uint_eq(destination->seen_idle_close_ns, 10 * SECOND);
	conn = fake_pool_dial(destination);
	fake_pool_park(conn);
	ck_assert_uint_eq(conn->expires_ns, fake_kernel.now_ns + 9 * SECOND);
	ck_assert_uint_eq(idle_timeout_limit_ns(fake_pool_find(2)), UINT64_MAX); /* another server's own affair */
	fake_pool_clear_leaving(0);
}
END_TEST

START_TEST(what_teaches_nothing)
{
	struct destination *destination = fake_pool_find(1);
	struct conn *conns[4];

	fake_pool_park_new(destination, 4, conns);
	fake_kernel.now_ns += 30 * SECOND;
	fake_pool_hang_up(conns[3], 29500);	       /* at once: a race, no policy */
	fake_pool_hang_up(conns[2], 30000);	       /* when it was parked */
	fake_pool_hang_up(conns[1], UINT32_MAX);       /* nothing came since long before: a reset tells no time */
	fake_socket(conns[0]->fd)->bytes_received = 5; /* not closed */
	ck_assert_ptr_null(fake_pool_lease(destination));
	ck_assert_uint_eq(idle_timeout_limit_ns(destination), UINT64_MAX);
	fake_pool_clear_leaving(0);
}
END_TEST

/* A program that has closed it by a raw system call has got the number for something of its own. */
START_TEST(what_is_not_its_own_any_more_is_left_alone)
{
	struct conn *conn;

	fake_pool_park_new(fake_pool_find(1), 1, &conn);
	fake_socket(conn->fd)->cookie += 1000;
	expire_after(fake_kernel.now_ns + 90 * SECOND);
	ck_assert_uint_eq(fake_pool.n_idle, 0);
	ck_assert(fake_socket(conn->fd)->is_open);
	ck_assert(!fake_socket(conn->fd)->was_disconnected);
	fake_sys.close(conn->fd);
	fake_pool_clear_leaving(0);
}
END_TEST

START_TEST(expiry_does_not_look)
{
	static struct conn *conns[1000];

	fake_pool_park_new(fake_pool_find(1), 1000, conns);
	for (int i = 0; i < 1000; i++)
		fake_pool_hang_up(conns[i], 0);
	fake_kernel.now_ns += 30 * SECOND;
	fake_pool_expire();
	ck_assert_uint_eq(fake_pool.n_idle, 1000);
	ck_assert_uint_eq(fake_kernel.n_calls[FAKE_CALL_GETSOCKOPT], 0);
	expire_after(fake_kernel.now_ns + 60 * SECOND);
	ck_assert_uint_eq(fake_pool.n_idle, 0);
	/* Asked only whose each is, and how it must be ended. */
	ck_assert_uint_eq(fake_kernel.n_calls[FAKE_CALL_GETSOCKOPT], 2000);
	ck_assert_uint_eq(idle_timeout_limit_ns(fake_pool_find(1)), UINT64_MAX);
	fake_pool_clear_leaving(0);
}
END_TEST

Suite *idle_expiry_suite(void)
{
	Suite *suite = suite_create("idle_expiry");
	TCase *tcase = tcase_create("deadlines");

	tcase_add_checked_fixture(tcase, fake_pool_start, fake_sys_stop);
	tcase_set_timeout(tcase, 30);
	tcase_add_loop_test(tcase, the_timeout_is_kept, 0, N_TIMEOUTS * N_STEPS);
	tcase_add_test(tcase, a_lease_looks_at_the_deadline_itself);
	tcase_add_test(tcase, many_turns_with_many_deadlines);
	tcase_add_loop_test(tcase, the_clock_jumps, 0, sizeof(JUMPS) / sizeof(JUMPS[0]));
	tcase_add_test(tcase, two_threads_clocks_may_cross);
	tcase_add_test(tcase, no_timeout_is_for_ever);
	tcase_add_test(tcase, age_is_spread_by_a_fifth);
	tcase_add_test(tcase, age_counts_from_the_dial);
	tcase_add_test(tcase, huge_ages_do_not_overflow);
	tcase_add_test(tcase, the_server_said_how_long);
	tcase_add_test(tcase, a_stale_one_teaches);
	tcase_add_test(tcase, what_teaches_nothing);
	tcase_add_test(tcase, expiry_does_not_look);
	tcase_add_test(tcase, what_is_not_its_own_any_more_is_left_alone);
	suite_add_tcase(suite, tcase);
	return suite;
}
