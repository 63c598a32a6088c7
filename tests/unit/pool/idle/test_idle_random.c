/*
 * A hundred thousand random operations on the idle pool, beside a model too simple to be wrong: all connections in an
 * array, the youngest found by a linear search. After each operation the two must agree on the idle connections, their
 * order, and the open sockets.
 */
#include "tests/unit/fake/pool.h"

#include <check.h>
#include <stdlib.h>

#include "pool/conn/idle_timeout.h"

#define N_OPERATIONS 100000
#define N_DESTINATIONS 12
#define MAX_OPEN 150
#define MAX_KNOWN 400

struct known {
	struct conn *conn;
	int fd;
	unsigned destination;
	bool is_idle;
	bool is_spoilt;
	uint64_t parked; /* serial number: the higher, the younger */
	uint64_t expires_ns;
};

/* Check writes each assertion into a pipe; millions of them would take most of the time. */
#define must(condition)                                         \
	do {                                                    \
		if (!(condition))                               \
			ck_abort_msg("not so: %s", #condition); \
	} while (0)

static struct known known[MAX_KNOWN];
static unsigned n_known, n_open;
static uint64_t n_parked;
static struct destination *destinations[N_DESTINATIONS];
static unsigned peak[N_DESTINATIONS];
static unsigned seed;

static unsigned below(unsigned n)
{
	return (unsigned)rand_r(&seed) % n;
}

static unsigned count(unsigned destination, bool is_idle)
{
	unsigned n = 0;

	for (unsigned i = 0; i < n_known; i++)
		n += known[i].destination == destination && known[i].is_idle == is_idle;
	return n;
}

static unsigned count_idle(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < n_known; i++)
		n += known[i].is_idle;
	return n;
}

/* The oldest or youngest idle one, of one destination or (N_DESTINATIONS) of all. */
static struct known *pick_idle(unsigned destination, bool oldest)
{
	struct known *best = NULL;

	for (unsigned i = 0; i < n_known; i++) {
		struct known *one = &known[i];

		if (!one->is_idle || (destination < N_DESTINATIONS && one->destination != destination))
			continue;
		if (!best || (oldest ? one->parked < best->parked : one->parked > best->parked))
			best = one;
	}
	return best;
}

static struct known *pick_open(void)
{
	unsigned skip = n_open ? below(n_open) : 0;

	for (unsigned i = 0; i < n_known; i++)
		if (!known[i].is_idle && skip-- == 0)
			return &known[i];
	return NULL;
}

/* The pool has ended it: its socket must be closed, the model forgets it. */
static void ended(struct known *one)
{
	must(!fake_socket(one->fd)->is_open);
	n_open -= !one->is_idle;
	*one = known[--n_known];
}

static void note_open(unsigned destination)
{
	n_open++;
	if (count(destination, false) > peak[destination])
		peak[destination] = count(destination, false);
}

static void dial(unsigned destination)
{
	struct conn *conn = idle_pool_open(&fake_pool, destinations[destination], fake_kernel.now_ns);

	must(conn != NULL);
	conn->fd = fake_socket_new();
	conn->cookie = fake_socket(conn->fd)->cookie = (uint64_t)rand_r(&seed);
	must(n_known < MAX_KNOWN);
	known[n_known++] = (struct known){.conn = conn, .fd = conn->fd, .destination = destination};
	note_open(destination);
}

/* Connections that the pool must find useless before it finds a good one. */
static void connect_as_a_program(unsigned destination)
{
	struct conn *conn = fake_pool_lease(destinations[destination]);
	struct known *one;

	while ((one = pick_idle(destination, false)) && (one->is_spoilt || one->expires_ns <= fake_kernel.now_ns))
		ended(one);
	must(conn == (one ? one->conn : NULL));
	if (one) {
		one->is_idle = false;
		must(conn->fd == one->fd);
		note_open(destination);
	} else if (n_open < MAX_OPEN) {
		dial(destination);
		/* The promise of idle.h. */
		must(count(destination, false) + count(destination, true) <= peak[destination]);
	}
}

static void check_deadline(const struct conn *conn)
{
	uint64_t age_ns = fake_pool_config.policy.max_conn_age_ns, limit = idle_timeout_limit_ns(conn->destination);

	if (fake_pool_config.policy.idle_conn_timeout_ns < limit)
		limit = fake_pool_config.policy.idle_conn_timeout_ns;
	must(conn->expires_ns > fake_kernel.now_ns);
	must(conn->expires_ns <= fake_kernel.now_ns + limit);
	must(conn->expires_ns <= conn->created_ns + age_ns / 5 * 6);
	if (conn->expires_ns < conn->created_ns + age_ns / 5 * 4)
		must(conn->expires_ns == fake_kernel.now_ns + limit);
}

static void end_an_exchange(void)
{
	struct known *one = pick_open();
	struct conn *conn;
	unsigned here;
	bool must_refuse;

	if (!one)
		return;
	conn = one->conn;
	here = one->destination;
	fake_pool_exchange(conn);
	if (below(20) == 0)
		conn->requests_left = below(2);
	idle_timeout_announced(conn->destination, below(10) ? 0 : 1 + below(200));
	must_refuse = !conn->requests_left || conn->n_requests >= fake_pool_config.policy.max_conn_requests;
	if (idle_pool_park(&fake_pool, conn, fake_kernel.now_ns)) {
		uint64_t age = fake_kernel.now_ns - conn->created_ns;

		must(must_refuse || age >= fake_pool_config.policy.max_conn_age_ns / 5 * 4);
		idle_pool_discard(&fake_pool, conn);
		ended(one);
		return;
	}
	must(!must_refuse);
	check_deadline(conn);
	one->expires_ns = conn->expires_ns;
	if (count(here, false) + count(here, true) > peak[here])
		ended(pick_idle(here, true));
	if (count(here, true) >= fake_pool_config.policy.max_idle_conns_per_host)
		ended(pick_idle(here, true));
	if (count_idle() >= fake_pool_config.max_idle_conns)
		ended(pick_idle(N_DESTINATIONS, true));
	/* ended() moves the last one into a gap. */
	for (unsigned i = 0; i < n_known; i++)
		if (known[i].conn == conn) {
			known[i].is_idle = true;
			known[i].parked = ++n_parked;
			n_open--;
		}
}

static void discard_one(void)
{
	struct known *one = below(4) ? pick_open() : pick_idle(N_DESTINATIONS, below(2));

	if (!one)
		return;
	idle_pool_discard(&fake_pool, one->conn);
	ended(one);
}

static void retire_one(unsigned destination)
{
	struct known *one = pick_idle(destination, true);

	must(idle_pool_retire(&fake_pool, destinations[destination], REFUSAL_POOL_FULL) == (one != NULL));
	if (one)
		ended(one);
}

static void spoil_one(void)
{
	struct known *one = n_known ? &known[below(n_known)] : NULL;

	if (!one || !one->is_idle)
		return;
	one->is_spoilt = true;
	if (below(2))
		fake_pool_hang_up(one->conn, below(100000));
	else
		fake_socket(one->fd)->bytes_received++;
}

static void let_time_pass(void)
{
	static const uint64_t STEPS[] = {1,	      SECOND / 1000, SECOND / 10,  SECOND,
					 10 * SECOND, 128 * SECOND,  1000 * SECOND};

	fake_kernel.now_ns += below(1000) * (STEPS[below(below(200) ? 4 : 7)] / 1000 + 1);
	fake_pool_expire();
	for (unsigned i = n_known; i--;) {
		struct known *one = &known[i];

		if (!one->is_idle)
			continue;
		if (one->expires_ns / SECOND < fake_kernel.now_ns / SECOND)
			ended(one);
		else if (!fake_socket(one->fd)->is_open) {
			must(one->expires_ns <= fake_kernel.now_ns);
			ended(one);
		}
	}
}

static void compare(void)
{
	unsigned n_idle = 0;
	uint64_t serial = 0;
	struct conn *conn = fake_pool.oldest;

	for (unsigned i = 0; i < n_known; i++) {
		must(known[i].conn->state == (known[i].is_idle ? CONN_IDLE : CONN_OPEN));
		must(fake_socket(known[i].fd)->is_open);
		n_idle += known[i].is_idle;
	}
	must(fake_kernel.n_open == n_known); /* none leaked */
	must(fake_pool.conn_arena.n_used == n_known);
	must(fake_pool.n_idle == n_idle);
	must(n_open == n_known - n_idle);
	for (; conn; conn = conn->age_next, n_idle--) {
		unsigned i = 0;

		while (i < n_known && known[i].conn != conn)
			i++;
		must(i < n_known);
		must(known[i].parked > serial);
		serial = known[i].parked;
	}
	must(n_idle == 0);
	for (unsigned i = 0; i < N_DESTINATIONS; i++) {
		must(destinations[i]->n_idle == count(i, true));
		must(destinations[i]->n_open == count(i, false));
		must(destinations[i]->peak_open == peak[i]);
		must(destinations[i]->n_idle <= fake_pool_config.policy.max_idle_conns_per_host);
	}
	must(fake_pool.n_idle <= fake_pool_config.max_idle_conns);
}

static void operate(void)
{
	unsigned what = below(100), destination = below(N_DESTINATIONS);

	if (what < 30)
		connect_as_a_program(destination);
	else if (what < 64)
		end_an_exchange();
	else if (what < 70)
		discard_one();
	else if (what < 72)
		retire_one(destination);
	else if (what < 80)
		spoil_one();
	else if (what < 98)
		let_time_pass();
	else
		fake_pool_find(1000 + below(5000)); /* other destinations come and are forgotten */
}

START_TEST(random_operations)
{
	seed = (unsigned)_i + 1;
	n_known = n_open = 0;
	n_parked = 0;
	fake_pool_config.max_idle_conns = 40;
	fake_pool_config.policy.max_idle_conns_per_host = 6;
	fake_pool_config.policy.max_conn_age_ns = 90 * SECOND;
	fake_pool_config.policy.max_conn_requests = 30;
	for (unsigned i = 0; i < N_DESTINATIONS; i++) {
		destinations[i] = fake_pool_find(i);
		peak[i] = 0;
		dial(i); /* keeps the destination from being forgotten */
	}
	for (unsigned i = 0; i < N_OPERATIONS / 4; i++) {
		operate();
		/* A destination without connections may be reaped: look it up as the shim does. */
		for (unsigned j = 0; j < N_DESTINATIONS; j++)
			must(fake_pool_find(j) == destinations[j]);
		compare();
	}
	ck_assert_uint_gt(fake_pool_counted(STATS_LEASED), 500);
	ck_assert_uint_gt(fake_pool_refused(REFUSAL_POOL_FULL), 100);
	ck_assert_uint_gt(fake_pool_refused(REFUSAL_IDLE_TIMEOUT), 100);
	ck_assert_uint_gt(fake_pool_refused(REFUSAL_SERVER_IDLE_CLOSE), 20);
	ck_assert_uint_gt(fake_pool_refused(REFUSAL_LEDGER), 20);
	fake_pool_clear_leaving(n_open);
}
END_TEST

Suite *idle_random_suite(void)
{
	Suite *suite = suite_create("idle_random");
	TCase *tcase = tcase_create("model");

	tcase_add_checked_fixture(tcase, fake_pool_start, fake_sys_stop);
	tcase_set_timeout(tcase, 120);
	tcase_add_loop_test(tcase, random_operations, 0, 4);
	suite_add_tcase(suite, tcase);
	return suite;
}
