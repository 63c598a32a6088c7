/*
 * Random operations of a broker and many processes, which come and die. After each, no two processes have the same
 * connection, and the broker's lists agree; at the end every descriptor has been closed exactly once (the fake kernel
 * checks that).
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/fake/broker.h"

#define N_OPERATIONS 200000
#define N_PROCESSES 8
#define N_CONNS 300
#define N_DESTINATIONS 6

/* Check writes each assertion into a pipe. */
#define must(condition)                                         \
	do {                                                    \
		if (!(condition))                               \
			ck_abort_msg("not so: %s", #condition); \
	} while (0)

static struct fake_process processes[N_PROCESSES];
static struct conn conns[N_CONNS];
static int owner_of[N_CONNS]; /* index of the process */
static unsigned n_given, n_taken, n_dialed, n_lost;
static unsigned seed;

static unsigned below(unsigned n)
{
	return (unsigned)rand_r(&seed) % n;
}

static bool is_private(int i)
{
	return i == 0;
}

static void start_process(int i)
{
	if (i == 1)
		fake_process_start_limited(&processes[i], 30, 4);
	else
		fake_process_start(&processes[i], "x", is_private(i) ? BROKER_IS_PRIVATE : 0);
}

static struct conn *pick_unused(void)
{
	for (unsigned i = 0; i < N_CONNS; i++)
		if (conns[i].state == CONN_FREE)
			return &conns[i];
	return NULL;
}

/* A connection in that state; NULL: not this time. */
static struct conn *pick(enum conn_state state)
{
	for (unsigned i = 0; i < 20; i++) {
		struct conn *conn = &conns[below(N_CONNS)];

		if (conn->state == state)
			return conn;
	}
	return NULL;
}

static struct fake_process *process_of(const struct conn *conn)
{
	return &processes[owner_of[conn - conns]];
}

/* Idle, and its process may lease it. */
static bool is_claimable(const struct conn *conn)
{
	return conn->state == CONN_IDLE && fake_process_state(process_of(conn), conn) == SLOT_IDLE;
}

static void check_exclusive(const struct conn *mine)
{
	for (unsigned i = 0; i < N_CONNS; i++) {
		const struct conn *other = &conns[i];

		if (other == mine || other->state == CONN_FREE || other->cookie != mine->cookie)
			continue;
		must(other->state == CONN_IDLE && !is_claimable(other));
	}
}

static void dial(int process, unsigned destination)
{
	struct conn *conn = pick_unused();

	if (!conn)
		return;
	n_dialed++;
	owner_of[conn - conns] = process;
	fake_process_dial(conn, destination);
	fake_process_park(&processes[process], conn);
}

/* As whoever takes one from the shelf finds out by the kernel's ledger. */
static bool is_sound(const struct conn *conn)
{
	const struct fake_socket *socket = fake_socket_original(conn->fd);

	return socket->state == FAKE_ESTABLISHED && conn->ledger.sent == socket->bytes_sent &&
	       conn->ledger.received == socket->bytes_received;
}

static void lease(int process, unsigned destination)
{
	struct conn *conn = pick_unused();

	if (!conn)
		return;
	owner_of[conn - conns] = process;
	if (!is_private(process) && below(2) && fake_process_take(&processes[process], conn, destination)) {
		n_taken++;
	} else if (fake_process_lease(&processes[process], conn, destination) != BROKER_GIVEN) {
		dial(process, destination);
		return;
	} else {
		n_given++;
	}
	if (conn->slot >= SLOTS_PER_REGION && !is_sound(conn)) {
		slots_put_back_on_shelf(&processes[process].slots, conn);
		fake_process_lose(conn);
		return;
	}
	must(fake_socket_original(conn->fd)->state == FAKE_ESTABLISHED);
	must(conn->ledger.sent == fake_socket_original(conn->fd)->bytes_sent);
	must(conn->ledger.received == fake_socket_original(conn->fd)->bytes_received);
	must(conn->expires_ns > fake_kernel.now_ns);
	check_exclusive(conn);
	for (unsigned i = 0; i < N_CONNS; i++)
		if (&conns[i] != conn && conns[i].state != CONN_FREE && conns[i].cookie == conn->cookie)
			must(!is_private(owner_of[i]) || owner_of[i] == process);
}

static void claim(struct conn *conn)
{
	if (!slots_claim(&process_of(conn)->slots, conn)) {
		n_lost++;
		fake_process_close(process_of(conn), conn);
		return;
	}
	conn->state = CONN_OPEN;
	check_exclusive(conn);
}

/* In an orderly manner, or so that the broker has to notice. */
static void end(struct conn *conn)
{
	struct conn before = *conn;
	struct fake_process *process = process_of(conn);

	fake_process_close(process, conn);
	if (before.slot < SLOTS_PER_REGION && below(2))
		must(fake_process_request(process, BROKER_DROP, 0, &before, -1) == 0);
}

static void die(int i)
{
	for (unsigned j = 0; j < N_CONNS; j++)
		if (conns[j].state != CONN_FREE && owner_of[j] == i)
			fake_process_lose(&conns[j]);
	fake_process_end(&processes[i]);
}

static void spoil(struct conn *conn)
{
	switch (below(4)) {
	case 0:
		fake_socket_original(conn->fd)->bytes_received++;
		break;
	case 1:
		fake_broker_hang_up_silently(conn);
		break;
	default:
		fake_broker_hang_up(conn);
	}
}

static void operate(void)
{
	int process = (int)below(N_PROCESSES);
	unsigned what = below(100);
	struct conn *conn;

	if (what < 10) {
		dial(process, below(N_DESTINATIONS));
	} else if (what < 40) {
		lease(process, below(N_DESTINATIONS));
	} else if (what < 65) {
		if ((conn = pick(CONN_OPEN))) {
			fake_process_exchange(conn);
			fake_process_park(process_of(conn), conn);
		}
	} else if (what < 75) {
		if ((conn = pick(CONN_IDLE)))
			claim(conn);
	} else if (what < 80) {
		if ((conn = pick(CONN_OPEN)))
			end(conn);
	} else if (what < 82) {
		if ((conn = pick(CONN_IDLE)) && is_claimable(conn))
			fake_process_leave(process_of(conn), conn);
	} else if (what < 86) {
		if ((conn = pick(below(2) ? CONN_IDLE : CONN_OPEN)))
			spoil(conn);
	} else if (what < 91) {
		n_lost += fake_process_let_go(&processes[process]);
	} else if (what < 93) {
		die(process);
		start_process(process);
	} else if (what < 94) {
		/* Another process's view of a destination that one is connected to. */
		struct conn probe = {.destination = fake_broker_destination(below(N_DESTINATIONS) + 100)};

		must(fake_process_request(&processes[process], BROKER_LOOKED, 0, &probe, -1) == 0);
	} else {
		fake_kernel.now_ns += below(3 * 1000) * (SECOND / 1000);
		broker_tick(&fake_broker);
	}
}

START_TEST(random_operations)
{
	seed = (unsigned)_i + 1;
	n_given = n_taken = n_dialed = n_lost = 0;
	memset(conns, 0, sizeof(conns));
	for (unsigned i = 0; i < N_CONNS; i++)
		conns[i].slot = -1;
	for (int i = 0; i < N_PROCESSES; i++)
		start_process(i);
	for (unsigned i = 0; i < N_OPERATIONS / 4; i++) {
		operate();
		if (i % 16 == 0)
			fake_broker_check();
	}
	fake_broker_check();
	for (int i = 0; i < N_PROCESSES; i++)
		die(i);
	fake_kernel.now_ns += 2 * FAKE_IDLE;
	broker_tick(&fake_broker);
	ck_assert_uint_eq(fake_broker.n_held, 0);
	ck_assert_uint_eq(fake_broker.n_processes, 0);
	ck_assert_uint_eq(fake_kernel.n_open, 0);
	ck_assert_uint_gt(n_given, 500);
	ck_assert_uint_gt(n_taken, 100);
	ck_assert_uint_gt(n_dialed, 500);
	ck_assert_uint_gt(n_lost, 100);
}
END_TEST

Suite *broker_random_suite(void)
{
	Suite *suite = suite_create("broker_random");
	TCase *tcase = tcase_create("many processes");

	tcase_add_checked_fixture(tcase, fake_broker_start, fake_broker_stop);
	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase, random_operations, 0, 4);
	suite_add_tcase(suite, tcase);
	return suite;
}
