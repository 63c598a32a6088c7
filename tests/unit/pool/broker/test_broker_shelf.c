/*
 * The broker and what lies on its shelf: what gets there, what is fetched back, and how it ends with the process that
 * has taken it.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/fake/broker.h"

static struct fake_process a, b, c;
static struct conn one, two, three;

static void start(void)
{
	fake_broker_start();
	fake_process_start(&a, "a", 0);
	fake_process_start(&b, "b", 0);
	fake_process_start(&c, "c", 0);
}

static void pass(uint64_t ns)
{
	fake_kernel.now_ns += ns;
	broker_tick(&fake_broker);
	fake_broker_check();
}

/* One that its process leaves. */
static void lay(struct fake_process *process, unsigned destination)
{
	fake_process_dial(&one, destination);
	fake_process_park(process, &one);
	fake_process_end_with(process, &one);
	fake_process_start(process, "again", 0);
}

static struct fake_socket *socket_of(const struct conn *conn)
{
	return fake_socket((int)conn->cookie);
}

START_TEST(it_is_taken_without_a_word)
{
	lay(&a, 1);
	ck_assert(fake_process_take(&b, &two, 1));
	ck_assert_uint_eq(two.cookie, one.cookie);
	ck_assert_int_eq(fake_process_lease(&c, &three, 1), BROKER_NONE);
	fake_process_exchange(&two);
	fake_process_park(&b, &two);
	/* By word of mouth, too: whoever has it last can't use it any more. */
	ck_assert_int_eq(fake_process_lease(&c, &three, 1), BROKER_GIVEN);
	ck_assert_uint_eq(three.n_requests, 2);
	ck_assert(!slots_claim(&b.slots, &two));
	ck_assert_uint_eq(fake_process_let_go(&b), 1);
	fake_process_park(&c, &three);
	fake_process_end_with(&c, &three);
	ck_assert(fake_process_take(&a, &two, 1));
	fake_process_close(&a, &two);
	ck_assert_uint_eq(fake_broker.n_held, 1);
	broker_look_at_shelf(&fake_broker);
	ck_assert_uint_eq(fake_broker.n_held, 0);
}
END_TEST

START_TEST(it_is_not_for_everybody)
{
	struct conn probe = {.destination = fake_broker_destination(1)};

	switch (_i) {
	case 0:
		fake_process_end(&a);
		fake_process_start(&a, "a", BROKER_IS_PRIVATE);
		break;
	case 1:
		ck_assert_int_eq(fake_process_request(&b, BROKER_LOOKED, 0, &probe, -1), 0);
		break;
	case 2:
		for (unsigned i = 0; i < 4; i++) {
			fake_process_dial(&two, 1);
			ck_assert(slots_reserve(&b.slots, &two));
			slots_publish(&b.slots, &two);
			ck_assert_int_eq(fake_process_request(&b, BROKER_PARK, BROKER_WAS_UNFIT, &two,
							      fake_socket_duplicate(two.fd)),
					 0);
			fake_process_close(&b, &two);
		}
		break;
	}
	fake_process_dial(&one, 1);
	if (_i == 2) {
		ck_assert(slots_reserve(&a.slots, &one));
		slots_publish(&a.slots, &one);
		ck_assert_int_eq(
			fake_process_request(&a, BROKER_PARK, BROKER_WAS_UNFIT, &one, fake_socket_duplicate(one.fd)),
			0);
	} else {
		fake_process_park(&a, &one);
	}
	fake_process_end_with(&a, &one);
	fake_broker_check();
	ck_assert(!fake_process_take(&b, &two, 1));
	/* Another destination's is. */
	lay(&c, 2);
	ck_assert(fake_process_take(&b, &two, 2));
	fake_process_close(&b, &two);
}
END_TEST

/* 1: it is in use at that moment. */
START_TEST(it_is_fetched_back_for_who_looks)
{
	struct conn probe = {.destination = fake_broker_destination(1)};

	lay(&a, 1);
	if (_i == 1)
		ck_assert(fake_process_take(&a, &two, 1));
	ck_assert_int_eq(fake_process_request(&b, BROKER_LOOKED, 0, &probe, -1), 0);
	fake_broker_check();
	if (_i == 1) {
		fake_process_park(&a, &two);
		pass(1);
		ck_assert_uint_eq(fake_process_let_go(&a), 1);
	}
	ck_assert(!fake_process_take(&c, &two, 1));
	ck_assert_int_eq(fake_process_lease(&c, &two, 1), BROKER_GIVEN);
	fake_process_close(&c, &two);
}
END_TEST

START_TEST(time_ends_it)
{
	lay(&a, 1);
	pass(FAKE_IDLE / 2);
	ck_assert(fake_process_take(&b, &two, 1));
	pass(FAKE_IDLE);
	ck_assert_uint_eq(fake_broker.n_held, 1);
	fake_process_park(&b, &two);
	pass(FAKE_IDLE / 2);
	ck_assert_uint_eq(fake_broker.n_held, 1);
	ck_assert(!socket_of(&two)->was_disconnected);
	pass(FAKE_IDLE / 2);
	ck_assert_uint_eq(fake_broker.n_held, 0);
	/* Whoever had it last may sleep on its descriptor. */
	ck_assert(socket_of(&two)->was_disconnected);
	ck_assert_uint_eq(fake_process_let_go(&b), 1);
}
END_TEST

START_TEST(its_server_ends_it)
{
	lay(&a, 1);
	if (_i == 0) {
		fake_broker_hang_up(&one);
		ck_assert_uint_eq(fake_broker.n_held, 0);
		return;
	}
	ck_assert(fake_process_take(&b, &two, 1));
	fake_broker_hang_up(&two);
	ck_assert_uint_eq(fake_broker.n_held, 1);
	fake_process_park(&b, &two);
	pass(1);
	ck_assert_uint_eq(fake_broker.n_held, 0);
	ck_assert_uint_eq(fake_process_let_go(&b), 1);
}
END_TEST

/* 0: it was watched. 1: nobody had looked. 2: a child may go on. 3: it was idle. 4: there is no descriptor to watch
 * it. 5: it was about to be another program. 6: nobody had looked, but somebody asks. 7: it had rung. */
START_TEST(its_user_ends)
{
	struct fake_socket *socket;
	pid_t user;

	lay(&a, 1);
	ck_assert(fake_process_take(&b, &two, 1));
	socket = socket_of(&two);
	if (_i == 4)
		fake_sys_fail(FAKE_CALL_WATCH, 1, 2, EMFILE);
	if (_i == 7)
		broker_look_at_shelf(&fake_broker);
	else if (_i != 1 && _i != 6)
		pass(1);
	ck_assert_int_eq(fake_broker_find(&two)->user, _i == 1 || _i == 4 || _i == 6 ? 0 : b.pid);
	if (_i == 2)
		slots_share(&b.slots, two.slot, two.slot_generation);
	if (_i == 3)
		fake_process_park(&b, &two);
	if (_i == 5)
		ck_assert(slots_end_used(&b.slots));
	fake_process_end_with(&b, &two);
	if (_i == 6)
		ck_assert_int_eq(fake_process_lease(&c, &three, 1), BROKER_NONE);
	else if (_i != 7)
		pass(1);
	if (_i == 3) {
		ck_assert_int_eq(shelf_state(fake_broker.shelf, (unsigned)fake_broker.oldest->place, &user), SLOT_IDLE);
		ck_assert_int_eq(user, 0);
		ck_assert(fake_process_take(&c, &three, 1));
		pass(1);
		ck_assert_int_eq(fake_broker_find(&three)->user, c.pid);
		fake_process_close(&c, &three);
		pass(1);
	}
	ck_assert_uint_eq(fake_broker.n_held, 0);
	ck_assert(socket->was_shut_down == (_i != 2 && _i != 3));
	ck_assert(!socket->was_disconnected);
}
END_TEST

/* One more than there is room for has to be asked for; and a place is not free because somebody wrote so. */
START_TEST(there_is_room_for_so_many)
{
	struct conn conns[SHELF_LOOKS + 1];

	for (unsigned i = 0; i <= SHELF_LOOKS; i++) {
		lay(&a, 1);
		for (unsigned place = 0; _i && place < SLOTS_ON_SHELF; place++)
			fake_broker.shelf->slots[place].word =
				slot_word(slot_generation(fake_broker.shelf->slots[place].word), SLOT_FREE);
		fake_broker_check();
	}
	for (unsigned i = 0; i < SHELF_LOOKS && !_i; i++)
		ck_assert(fake_process_take(&b, &conns[i], 1));
	if (!_i)
		ck_assert_int_eq(fake_broker.n_held, SHELF_LOOKS + 1);
	ck_assert(!fake_process_take(&b, &conns[SHELF_LOOKS], 1));
	ck_assert_int_eq(fake_process_lease(&b, &conns[SHELF_LOOKS], 1), BROKER_GIVEN);
	for (unsigned i = _i ? SHELF_LOOKS : 0; i <= SHELF_LOOKS; i++)
		fake_process_close(&b, &conns[i]);
	pass(1);
}
END_TEST

/* Any process of the user can write there. (The fake kernel sees descriptors that are closed twice, or never.) */
START_TEST(lies_end_connections_at_most)
{
	unsigned seed = (unsigned)_i + 1;
	struct broker_held packet;
	struct held *cursor;

	for (unsigned i = 0; i < 4000; i++) {
		uint64_t word =
			(uint64_t)rand_r(&seed) << 32 ^ (uint64_t)rand_r(&seed) << 8 ^ (uint64_t)rand_r(&seed) % 8;
		unsigned place = (unsigned)rand_r(&seed) % SLOTS_ON_SHELF;

		if (i % 4 == 0)
			lay(&a, 1 + (unsigned)rand_r(&seed) % 20);
		if (i % 8)
			fake_broker.shelf->slots[place].word = word;
		else
			memset(&fake_broker.shelf->slots[place], (int)word, sizeof(struct slot));
		if (i % 16 == 0)
			memset(&fake_broker.shelf->labels[place], (int)word, sizeof(struct shelf_label));
		if (i % 5 == 0 && fake_broker.oldest)
			fake_broker_notice_end((int)(word >> 8 & 0xffff) + 1);
		if (i % 7 == 0) {
			fake_kernel.now_ns += SECOND / 10;
			broker_tick(&fake_broker);
		}
		if (i % 9 == 0 && fake_process_lease(&b, &two, 1 + (unsigned)rand_r(&seed) % 20) == BROKER_GIVEN)
			fake_process_close(&b, &two);
		cursor = NULL;
		broker_list(&fake_broker, &cursor, &packet);
	}
	for (unsigned place = 0; place < SLOTS_ON_SHELF; place++)
		fake_broker.shelf->slots[place].word = SLOT_LEFT;
	broker_tick(&fake_broker);
	fake_broker_check();
}
END_TEST

/* Somebody connects, and says something or not. */
static void wave(int pid, bool says_something)
{
	const union broker_packet idle = {.head = broker_wire_head(BROKER_IDLE, 0, 0)};
	struct fake_process process = {.process = broker_admit(&fake_broker, 99, pid)};

	if (says_something)
		ck_assert_int_eq(fake_process_send(&process, &idle, sizeof(idle.head), -1, 0), -EPROTO);
	broker_dismiss(&fake_broker, process.process);
	fake_broker_check();
}

/* 1: it could not be executed. 2: another one says so. 3: its server has ended it meanwhile. 4: it is about to be
 * another one for the second time, and the broker hears of the first. */
START_TEST(its_user_executes_another_program)
{
	lay(&a, 1);
	ck_assert(fake_process_take(&b, &two, 1));
	ck_assert(slots_end_used(&b.slots));
	if (_i == 3)
		fake_broker_hang_up(&two);
	pass(1);
	ck_assert_uint_eq(fake_broker.n_held, 1);
	ck_assert(!socket_of(&two)->was_shut_down);
	if (_i == 1)
		slots_use_again(&b.slots);
	wave(_i == 2 ? c.pid : b.pid, _i == 1 || _i == 4);
	ck_assert_uint_eq(fake_broker.n_held, _i == 1 || _i == 2 || _i == 4);
	ck_assert(socket_of(&two)->was_shut_down == (_i == 0 || _i == 3));
	if (_i == 1) {
		fake_process_park(&b, &two);
		ck_assert(slots_claim(&b.slots, &two));
	}
	fake_process_close(&b, &two);
	wave(b.pid, false);
	pass(1);
	ck_assert_uint_eq(fake_broker.n_held, 0);
}
END_TEST

START_TEST(what_is_shared_is_let_go)
{
	lay(&a, 1);
	ck_assert(fake_process_take(&b, &two, 1));
	ck_assert(slots_share(&b.slots, two.slot, two.slot_generation));
	broker_look_at_shelf(&fake_broker);
	ck_assert_uint_eq(fake_broker.n_held, 0);
	ck_assert(!socket_of(&two)->was_shut_down);
	fake_process_close(&b, &two);
}
END_TEST

START_TEST(people_see_who_has_it)
{
	struct held *cursor = NULL;
	struct broker_held packet;

	lay(&a, 1);
	ck_assert(fake_process_take(&b, &two, 1));
	ck_assert(broker_list(&fake_broker, &cursor, &packet));
	ck_assert_uint_eq(packet.pid, (uint32_t)b.pid);
	ck_assert_uint_eq(packet.is_idle, 0);
	fake_process_close(&b, &two);
	cursor = NULL;
	ck_assert(!broker_list(&fake_broker, &cursor, &packet));
	pass(1);
}
END_TEST

Suite *broker_shelf_suite(void)
{
	Suite *suite = suite_create("broker_shelf");
	TCase *tcase = tcase_create("shelf");

	tcase_add_checked_fixture(tcase, start, fake_broker_stop);
	tcase_add_test(tcase, it_is_taken_without_a_word);
	tcase_add_loop_test(tcase, it_is_not_for_everybody, 0, 3);
	tcase_add_loop_test(tcase, it_is_fetched_back_for_who_looks, 0, 2);
	tcase_add_test(tcase, time_ends_it);
	tcase_add_loop_test(tcase, its_server_ends_it, 0, 2);
	tcase_add_loop_test(tcase, its_user_ends, 0, 8);
	tcase_add_loop_test(tcase, there_is_room_for_so_many, 0, 2);
	tcase_add_loop_test(tcase, lies_end_connections_at_most, 0, 4);
	tcase_add_loop_test(tcase, its_user_executes_another_program, 0, 5);
	tcase_add_test(tcase, what_is_shared_is_let_go);
	tcase_add_test(tcase, people_see_who_has_it);
	suite_add_tcase(suite, tcase);
	return suite;
}
