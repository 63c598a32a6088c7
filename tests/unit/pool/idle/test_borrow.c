/*
 * Connections of other processes: only one that is what the broker says is borrowed; it can wait among the idle ones;
 * what comes on an idle connection ends it unless another process has it.
 */
#include "tests/unit/fake/pool.h"

#include <check.h>
#include <errno.h>
#include <string.h>

#include "pool/borrow.h"
#include "pool/share/client.h"
#include "pool/share/shelf.h"

static struct broker_client client;
static struct slots_region region;
static struct destination_key key;
static unsigned n_dropped;

static ssize_t capture(int fd, const struct msghdr *message, int flags)
{
	const struct broker_request *request = message->msg_iov->iov_base;

	(void)flags;
	ck_assert_int_eq(fd, 77);
	n_dropped += request->head.type == BROKER_DROP;
	return (ssize_t)message->msg_iov->iov_len;
}

static void unmap(void *memory, uint64_t length)
{
	ck_assert_ptr_eq(memory, &region);
	ck_assert_uint_eq(length, sizeof(region));
}

static struct slots_entry entries[SLOTS_PER_REGION];

static const struct pool_sys client_sys = {.sendmsg = capture, .unmap = unmap};

static void start(void)
{
	fake_pool_start();
	memset(&region, 0, sizeof(region));
	memset(&client, 0, sizeof(client));
	memset(entries, 0, sizeof(entries));
	n_dropped = 0;
	broker_client_init(&client, &client_sys, entries);
	client.fd = 77;
	slots_attach(&client.slots, &region);
	fake_pool.broker = &client;
	key = fake_pool_key(1);
}

/* What the broker says of a socket that carried some bytes. */
static struct slot_contents contents_of(int fd)
{
	struct fake_socket *socket = fake_socket(fd);
	struct slot_contents contents = {.cookie = (uint64_t)fd, .n_requests = 5, .requests_left = 10};

	socket->bytes_sent = contents.ledger.sent = 100;
	socket->bytes_received = contents.ledger.received = 200;
	contents.created_ns = contents.idle_since_ns = fake_kernel.now_ns;
	contents.expires_ns = fake_kernel.now_ns + 60 * SECOND;
	contents.options.set = 1u << SOCKET_OPTION_NODELAY;
	return contents;
}

static struct conn *prepare(void)
{
	struct conn *conn = borrow_prepare(&fake_pool, &key, fake_kernel.now_ns);

	ck_assert_ptr_nonnull(conn);
	ck_assert_int_eq(conn->fd, -1);
	return conn;
}

static void give(const struct conn *conn, const struct slot_contents *contents)
{
	ck_assert(slots_give(&region, (unsigned)conn->slot, conn->slot_generation, contents));
}

static struct conn *borrow(int fd, const struct slot_contents *contents)
{
	struct conn *conn = prepare();

	give(conn, contents);
	return borrow_conclude(&fake_pool, conn, BROKER_GIVEN, fd);
}

static enum slot_state state_of(const struct conn *conn)
{
	return slots_state(&region, (unsigned)conn->slot, conn->slot_generation);
}

static void check_nothing_is_left(void)
{
	ck_assert_uint_eq(client.slots.n_free, SLOTS_PER_REGION);
	ck_assert_uint_eq(fake_pool.conn_arena.n_used, 0);
	ck_assert_uint_eq(fake_kernel.n_open, 0);
}

START_TEST(what_is_as_said_is_borrowed)
{
	int fd = fake_socket_new();
	struct slot_contents contents = contents_of(fd);
	struct conn *conn = borrow(fd, &contents);

	ck_assert_ptr_nonnull(conn);
	ck_assert_int_eq(conn->state, CONN_OPEN);
	ck_assert_int_eq(conn->fd, fd);
	ck_assert(conn->has_broker_dup);
	ck_assert_uint_eq(conn->n_requests, 5);
	ck_assert_uint_eq(conn->requests_left, 10);
	ck_assert_uint_eq(conn->options.set, 1u << SOCKET_OPTION_NODELAY);
	ck_assert_int_eq(state_of(conn), SLOT_LEASED);
	ck_assert_uint_eq(fake_pool_counted(STATS_BORROWED), 1);
	ck_assert_uint_eq(fake_pool_counted(STATS_LEASED), 0);
	idle_pool_end(&fake_pool, conn);
	check_nothing_is_left();
}
END_TEST

/* Another socket than was said, another server, bytes that nobody knows of, an end. */
START_TEST(what_is_not_as_said_ends)
{
	int fd = fake_socket_new();
	struct slot_contents contents = contents_of(fd);

	switch (_i) {
	case 0:
		contents.cookie++;
		break;
	case 1:
		contents.cookie = 0;
		break;
	case 2:
		((struct sockaddr_in *)&fake_socket(fd)->peer)->sin_port++;
		break;
	case 3:
		fake_sys_fail(FAKE_CALL_GETPEERNAME, 1, 1, ENOTCONN);
		break;
	case 4:
		contents.ledger.sent++;
		break;
	case 5:
		fake_socket(fd)->bytes_received++;
		break;
	case 6:
		fake_socket(fd)->state = FAKE_CLOSE_WAIT;
		break;
	}
	ck_assert_ptr_null(borrow(fd, &contents));
	ck_assert_uint_eq(fake_pool_counted(STATS_BORROWED), 0);
	ck_assert_uint_eq(fake_pool_refused(REFUSAL_SERVER_IDLE_CLOSE), 1);
	ck_assert(fake_socket(fd)->was_disconnected);
	ck_assert_uint_eq(n_dropped, 1);
	check_nothing_is_left();
}
END_TEST

START_TEST(there_is_none)
{
	static const int ANSWERS[] = {BROKER_NONE, BROKER_DIAL, BROKER_UNHEARD, BROKER_UNFIT};
	struct conn *conn = prepare();

	ck_assert_ptr_null(borrow_conclude(&fake_pool, conn, ANSWERS[_i], -1));
	ck_assert_uint_eq(n_dropped, 0);
	ck_assert_uint_eq(fake_pool_refused(REFUSAL_PROBED), ANSWERS[_i] == BROKER_UNHEARD);
	ck_assert(habit_streak_lasts(&fake_pool_find(1)->unfit) == (ANSWERS[_i] == BROKER_UNFIT));
	check_nothing_is_left();
}
END_TEST

/* It was given, and this process had no room for its descriptor. */
START_TEST(there_is_no_room)
{
	struct conn *conn = prepare();
	struct slot_contents contents = {.cookie = 5};

	give(conn, &contents);
	ck_assert_ptr_null(borrow_conclude(&fake_pool, conn, _i ? -EMFILE : BROKER_GIVEN, -1));
	ck_assert_uint_eq(n_dropped, 1);
	check_nothing_is_left();
}
END_TEST

START_TEST(the_broker_is_lost)
{
	struct conn *conn = prepare();

	idle_pool_disconnect(&fake_pool);
	ck_assert_ptr_null(borrow_conclude(&fake_pool, conn, -ETIMEDOUT, -1));
	ck_assert_uint_eq(n_dropped, 0);
	ck_assert_uint_eq(fake_pool.conn_arena.n_used, 0);
	/* Without memory to share there are no slots. */
	ck_assert_ptr_null(borrow_prepare(&fake_pool, &key, 0));
	ck_assert_uint_eq(fake_pool.conn_arena.n_used, 0);
}
END_TEST

START_TEST(slots_run_out)
{
	for (int i = 0; i < SLOTS_PER_REGION; i++)
		prepare();
	ck_assert_ptr_null(borrow_prepare(&fake_pool, &key, 0));
}
END_TEST

START_TEST(it_waits_among_the_idle)
{
	int fd = fake_socket_new();
	struct slot_contents contents = contents_of(fd);
	struct conn *conn = borrow(fd, &contents);

	fake_kernel.now_ns += SECOND;
	idle_pool_take_in(&fake_pool, conn);
	ck_assert_int_eq(conn->state, CONN_IDLE);
	ck_assert_int_eq(state_of(conn), SLOT_IDLE);
	ck_assert_uint_eq(conn->idle_since_ns, contents.idle_since_ns);
	ck_assert_uint_eq(region.slots[conn->slot].contents.idle_since_ns, contents.idle_since_ns);
	ck_assert_uint_eq(fake_pool_counted(STATS_PARKED), 0);
	ck_assert_ptr_eq(fake_pool_lease(conn->destination), conn);
	ck_assert_uint_eq(fake_pool_counted(STATS_LEASED), 1);
	idle_pool_take_in(&fake_pool, conn);
	/* Its time passes as it would have. */
	fake_kernel.now_ns += 61 * SECOND;
	fake_pool_expire();
	ck_assert(!fake_socket(fd)->is_open);
	check_nothing_is_left();
}
END_TEST

START_TEST(it_is_taken_before_it_is_used)
{
	int fd = fake_socket_new();
	struct slot_contents contents = contents_of(fd);
	struct conn *conn = borrow(fd, &contents);

	idle_pool_take_in(&fake_pool, conn);
	ck_assert(slots_take(&region, (unsigned)conn->slot, conn->slot_generation, &contents));
	ck_assert_ptr_null(fake_pool_lease(fake_pool_find(1)));
	ck_assert(!fake_socket(fd)->was_disconnected);
	check_nothing_is_left();
}
END_TEST

/* An idle connection, whether the broker holds it or not. */
static struct conn *park(bool is_offered)
{
	struct conn *conn;

	fake_pool_park_new(fake_pool_find(1), 1, &conn);
	if (is_offered)
		ck_assert_int_eq(broker_client_offer(&client, conn, false), 0);
	return conn;
}

START_TEST(an_end_is_heard)
{
	struct conn *conn = park(_i);
	int fd = conn->fd;

	fake_pool_hang_up(conn, 0);
	idle_pool_hear(&fake_pool, conn);
	ck_assert(!fake_socket(fd)->is_open);
	ck_assert_uint_eq(fake_pool_refused(REFUSAL_SERVER_IDLE_CLOSE), 1);
	check_nothing_is_left();
}
END_TEST

START_TEST(bytes_are_heard)
{
	struct conn *conn = park(_i);
	int fd = conn->fd;

	fake_pool_surprise(conn);
	idle_pool_hear(&fake_pool, conn);
	ck_assert(fake_socket(fd)->was_disconnected);
	ck_assert_uint_eq(fake_pool_refused(REFUSAL_LEDGER), 1);
	check_nothing_is_left();
}
END_TEST

START_TEST(bytes_of_another_process_are_left_alone)
{
	struct conn *conn = park(true);
	struct slot_contents contents;
	int fd = conn->fd;

	ck_assert(slots_take(&region, (unsigned)conn->slot, conn->slot_generation, &contents));
	fake_pool_surprise(conn);
	idle_pool_hear(&fake_pool, conn);
	ck_assert(!fake_socket(fd)->was_disconnected && !fake_socket(fd)->has_sent_end);
	ck_assert_uint_eq(fake_pool_refused(REFUSAL_LEDGER), 0);
	check_nothing_is_left();
}
END_TEST

START_TEST(nothing_is_heard)
{
	struct conn *conn = park(_i);

	idle_pool_hear(&fake_pool, conn);
	ck_assert_int_eq(conn->state, CONN_IDLE);
	ck_assert(!_i || state_of(conn) == SLOT_IDLE);
	ck_assert_ptr_eq(fake_pool_lease(conn->destination), conn);
}
END_TEST

static struct shelf shelf;

static struct conn *claim(int *number)
{
	struct shelf_reader reader = {.key = &key, .now_ns = fake_kernel.now_ns, .user = 7, .name = "taker"};

	return borrow_claim(&fake_pool, &shelf, &reader, number);
}

static void lay(int fd, const struct slot_contents *contents)
{
	memset(&shelf, 0, sizeof(shelf));
	shelf_open(&shelf, 4711);
	shelf_put(&shelf, 0, &key, fd, contents);
}

/* The broker goes on having it. */
START_TEST(what_lies_there_is_taken)
{
	int fd = fake_socket_new(), number;
	struct slot_contents contents = contents_of(fd);
	struct conn *conn;
	pid_t user;

	lay(fd, &contents);
	conn = claim(&number);
	ck_assert_int_eq(number, fd);
	ck_assert_ptr_null(claim(&number));
	ck_assert_int_eq(number, -1);
	conn = borrow_conclude_claim(&fake_pool, conn, fake_socket_duplicate(fd));
	ck_assert_ptr_nonnull(conn);
	ck_assert(conn->has_broker_dup);
	ck_assert_uint_eq(conn->n_requests, 5);
	ck_assert_uint_eq(fake_pool_counted(STATS_BORROWED), 1);
	ck_assert_int_eq(idle_pool_park(&fake_pool, conn, fake_kernel.now_ns), REFUSAL_NONE);
	ck_assert_int_eq(shelf_state(&shelf, 0, &user), SLOT_IDLE);
	ck_assert_int_eq(user, 7);
	if (_i == 0) {
		/* Somebody else has it by now: our descriptor is all that ends. */
		ck_assert(shelf_take(&shelf, 0, &contents));
		shelf_empty(&shelf, 0);
		fake_kernel.now_ns += SECOND;
		idle_pool_expire(&fake_pool, fake_kernel.now_ns);
		ck_assert(!fake_socket(fd)->was_shut_down && !fake_socket(fd)->was_disconnected);
	} else if (_i == 1) {
		idle_pool_let_go(&fake_pool);
		ck_assert_int_eq(shelf_state(&shelf, 0, &user), SLOT_IDLE);
	} else {
		idle_pool_disconnect(&fake_pool);
		ck_assert_int_eq(shelf_state(&shelf, 0, &user), SLOT_LEFT);
		ck_assert_uint_eq(fake_pool.n_idle, 1);
		idle_pool_discard(&fake_pool, fake_pool.oldest);
	}
	ck_assert_uint_eq(fake_pool.conn_arena.n_used, 0);
	ck_assert_uint_eq(client.slots.n_on_shelf, 0);
	ck_assert_uint_eq(n_dropped, 0);
	fake_sys.close(fd);
	ck_assert_uint_eq(fake_kernel.n_open, 0);
}
END_TEST

/* Another socket than was said, another server, bytes that nobody knows of, an end, no descriptor at all: it lies there
 * as before, for the broker to judge. */
START_TEST(what_is_not_as_said_is_put_back)
{
	int fd = fake_socket_new(), number;
	struct slot_contents contents = contents_of(fd);
	struct conn *conn;
	pid_t user;

	if (_i == 0)
		contents.cookie++;
	else if (_i == 1)
		((struct sockaddr_in *)&fake_socket(fd)->peer)->sin_port++;
	else if (_i == 2)
		fake_socket(fd)->bytes_received++;
	else if (_i == 3)
		fake_socket(fd)->state = FAKE_CLOSE_WAIT;
	lay(fd, &contents);
	conn = claim(&number);
	ck_assert_ptr_null(borrow_conclude_claim(&fake_pool, conn, _i == 4 ? -1 : fake_socket_duplicate(fd)));
	ck_assert_int_eq(shelf_state(&shelf, 0, &user), SLOT_IDLE);
	ck_assert(!fake_socket(fd)->was_shut_down && !fake_socket(fd)->was_disconnected);
	ck_assert_uint_eq(fake_socket(fd)->n_descriptors, 1);
	ck_assert_uint_eq(client.slots.n_on_shelf, 0);
	fake_sys.close(fd);
	check_nothing_is_left();
}
END_TEST

Suite *borrow_suite(void);
Suite *borrow_suite(void)
{
	Suite *suite = suite_create("borrow");
	TCase *tcase = tcase_create("borrow");

	tcase_add_checked_fixture(tcase, start, fake_sys_stop);
	tcase_add_test(tcase, what_is_as_said_is_borrowed);
	tcase_add_loop_test(tcase, what_is_not_as_said_ends, 0, 7);
	tcase_add_loop_test(tcase, there_is_none, 0, 4);
	tcase_add_loop_test(tcase, there_is_no_room, 0, 2);
	tcase_add_test(tcase, the_broker_is_lost);
	tcase_add_test(tcase, slots_run_out);
	tcase_add_test(tcase, it_waits_among_the_idle);
	tcase_add_test(tcase, it_is_taken_before_it_is_used);
	tcase_add_loop_test(tcase, an_end_is_heard, 0, 2);
	tcase_add_loop_test(tcase, bytes_are_heard, 0, 2);
	tcase_add_test(tcase, bytes_of_another_process_are_left_alone);
	tcase_add_loop_test(tcase, nothing_is_heard, 0, 2);
	tcase_add_loop_test(tcase, what_lies_there_is_taken, 0, 3);
	tcase_add_loop_test(tcase, what_is_not_as_said_is_put_back, 0, 5);
	suite_add_tcase(suite, tcase);
	return suite;
}
