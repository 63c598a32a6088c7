/*
 * The broker: which connection a process gets, what it believes of a process's words (nothing that it can look up), and
 * which packets it tolerates.
 */
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
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

static void park_one_at(struct fake_process *process, unsigned destination)
{
	fake_process_dial(&one, destination);
	fake_process_park(process, &one);
	ck_assert_ptr_nonnull(fake_broker_find(&one));
}

/* A connection that the broker holds, idle in process a. */
static void park_one(void)
{
	park_one_at(&a, 1);
}

START_TEST(handed_from_process_to_process)
{
	park_one();
	one.options.set = 1;
	fake_kernel.now_ns += 3 * SECOND;
	ck_assert_int_eq(fake_process_lease(&b, &two, 1), BROKER_GIVEN);
	ck_assert_int_eq(fake_socket(two.fd)->duplicate_of, one.fd);
	ck_assert_uint_eq(two.cookie, one.cookie);
	ck_assert_uint_eq(two.created_ns, one.created_ns);
	ck_assert_uint_eq(two.n_requests, 1);
	ck_assert_mem_eq(&two.ledger, &one.ledger, sizeof(one.ledger));
	/* a can't lease it any more, and closes its descriptor. */
	ck_assert(!slots_claim(&a.slots, &one));
	ck_assert_uint_eq(fake_process_let_go(&a), 1);
	ck_assert_int_eq(fake_process_lease(&c, &three, 1), BROKER_NONE);
	fake_process_exchange(&two);
	fake_process_park(&b, &two);
	ck_assert_uint_eq(fake_broker.n_held, 1);
	ck_assert_int_eq(fake_process_lease(&c, &three, 1), BROKER_GIVEN);
	ck_assert_uint_eq(three.n_requests, 2);
	ck_assert_uint_eq(fake_process_let_go(&b), 1);
	fake_process_exchange(&three);
	fake_process_park(&c, &three);
	/* Back to its first owner. */
	ck_assert_int_eq(fake_process_lease(&a, &one, 1), BROKER_GIVEN);
	ck_assert_uint_eq(one.n_requests, 3);
	ck_assert_uint_eq(fake_broker.n_held, 1);
	ck_assert(!fake_socket_original(one.fd)->was_disconnected);
}
END_TEST

START_TEST(newest_first)
{
	struct conn conns[5], got;

	for (unsigned i = 0; i < 5; i++) {
		fake_process_dial(&conns[i], 1);
		fake_process_park(i % 2 ? &a : &b, &conns[i]);
	}
	for (unsigned i = 5; i-- > 0;) {
		ck_assert_int_eq(fake_process_lease(&c, &got, 1), BROKER_GIVEN);
		ck_assert_uint_eq(got.cookie, conns[i].cookie);
	}
	ck_assert_int_eq(fake_process_lease(&c, &got, 1), BROKER_NONE);
}
END_TEST

START_TEST(used_last_is_newest)
{
	struct conn conns[3], got;

	for (unsigned i = 0; i < 3; i++) {
		fake_process_dial(&conns[i], 1);
		fake_process_park(&a, &conns[i]);
	}
	fake_process_claim(&a, &conns[1]);
	fake_process_claim(&a, &conns[2]);
	ck_assert_int_eq(fake_process_lease(&b, &got, 1), BROKER_GIVEN);
	ck_assert_uint_eq(got.cookie, conns[0].cookie);
	fake_process_park(&b, &got);
	fake_process_park(&a, &conns[1]);
	fake_process_park(&a, &conns[2]);
	ck_assert_int_eq(fake_process_lease(&c, &two, 1), BROKER_GIVEN);
	ck_assert_uint_eq(two.cookie, conns[0].cookie);
}
END_TEST

START_TEST(what_is_in_use_is_passed_over)
{
	struct conn conns[5], got;

	for (unsigned i = 0; i < 5; i++) {
		fake_process_dial(&conns[i], 1);
		fake_process_park(&a, &conns[i]);
	}
	fake_process_claim(&a, &conns[4]);
	fake_process_claim(&a, &conns[3]);
	ck_assert_int_eq(fake_process_lease(&b, &got, 1), BROKER_GIVEN);
	ck_assert_uint_eq(got.cookie, conns[2].cookie);
	fake_process_park(&a, &conns[4]);
	ck_assert_int_eq(fake_process_lease(&b, &got, 1), BROKER_GIVEN);
	ck_assert_uint_eq(got.cookie, conns[4].cookie);
}
END_TEST

/* The members of a key: a connection that differs in one of them is not given. */
START_TEST(another_destination_is_another)
{
	struct destination_key *key = &fake_broker_destination(9)->key;

	park_one();
	*key = one.destination->key;
	switch (_i) {
	case 0:
		key->netns_cookie++;
		break;
	case 1:
		key->port++;
		break;
	case 2:
		key->address[15]++;
		break;
	case 3:
		key->family = AF_INET6;
		break;
	case 4:
		key->is_bound = 1;
		break;
	case 5:
		key->local_address[0]++;
		break;
	case 6:
		ck_assert_int_eq(destination_key_add_option(key, IPPROTO_IP, 1, &_i, sizeof(_i)), 0);
		break;
	case 7:
		key->euid++;
		break;
	case 8:
		key->scope_id++;
		break;
	default:
		break; /* no difference */
	}
	ck_assert_int_eq(fake_process_lease(&b, &two, 9), _i < 9 ? BROKER_NONE : BROKER_GIVEN);
}
END_TEST

/* The kernel says something else of the descriptor than the process. */
static void make_socket_differ(struct fake_socket *socket, int i)
{
	switch (i) {
	case 0:
		socket->cookie++;
		break;
	case 1:
		socket->cookie = one.cookie = 0;
		break;
	case 2:
		socket->protocol = IPPROTO_UDP;
		break;
	case 3:
		socket->netns_cookie = 5;
		break;
	case 4:
		((struct sockaddr_in *)&socket->peer)->sin_port++;
		break;
	case 5:
		((struct sockaddr_in *)&socket->peer)->sin_addr.s_addr++;
		break;
	case 6:
		socket->peer.sin6_family = AF_INET6;
		socket->peer_length = sizeof(socket->peer);
		break;
	case 7:
		socket->peer.sin6_family = AF_UNIX;
		break;
	case 8:
		socket->peer_length = 2;
		break;
	case 9:
		fake_sys_fail(FAKE_CALL_GETPEERNAME, 1, 1, ENOTCONN);
		break;
	case 10: /* protocol */
	case 11: /* cookie */
		fake_sys_fail(FAKE_CALL_GETSOCKOPT, (unsigned)i - 9, 1, ENOTSOCK);
		break;
	default:
		break;
	}
}

/* The process says something wrong, or (17 and above) nothing wrong. */
static void make_question_wrong(int i)
{
	switch (i) {
	case 12:
		one.destination = fake_broker_destination(2);
		break;
	case 13:
		fake_broker_destination(1)->key.euid++;
		break;
	case 14:
		slots_free(&a.slots, &one);
		one.slot = 0; /* leased, so not parked */
		break;
	case 15:
		one.slot_generation++;
		break;
	case 16:
		fake_sys_fail(FAKE_CALL_WATCH, 1, 1, ENOSPC);
		break;
	case 17: /* a kernel without namespaces */
		fake_sys_fail(FAKE_CALL_GETSOCKOPT, 3, 1, ENOPROTOOPT);
		break;
	default:
		break;
	}
}

START_TEST(only_what_is_as_said_is_held)
{
	struct fake_socket *socket;
	int fd;

	fake_process_dial(&one, 1);
	ck_assert(slots_reserve(&a.slots, &one));
	slots_publish(&a.slots, &one);
	socket = fake_socket(one.fd);
	make_socket_differ(socket, _i);
	make_question_wrong(_i);
	fd = fake_socket_duplicate(one.fd);
	ck_assert_int_eq(fake_process_request(&a, BROKER_PARK, 0, &one, fd), 0);
	ck_assert_uint_eq(fake_broker.n_held, _i >= 17);
	ck_assert(fake_socket(fd)->is_open == (_i >= 17));
	ck_assert(fake_socket(one.fd)->is_open);
	ck_assert(!socket->was_disconnected);
}
END_TEST

/* Not given out, but ended: nobody else knows what happened to it. */
START_TEST(only_what_is_clean_is_given)
{
	struct slot_contents *said;
	struct fake_socket *socket;

	park_one();
	said = &a.slots.region->slots[one.slot].contents;
	socket = fake_socket(one.fd);
	switch (_i) {
	case 0:
		socket->bytes_received++;
		break;
	case 1:
		socket->bytes_sent++;
		break;
	case 2:
		socket->unacked = 1;
		said->ledger.sent++;
		break;
	case 3:
		socket->notsent_bytes = 1;
		break;
	case 4:
		fake_broker_hang_up_silently(&one);
		break;
	case 5:
		said->ledger.sent--;
		break;
	case 6:
		said->cookie++;
		break;
	case 7:
		said->expires_ns = fake_kernel.now_ns;
		break;
	case 8:
		said->keep_alive_timeout_ns = 4 * SECOND;
		fake_kernel.now_ns += 3 * SECOND; /* a margin before the server's own timeout */
		break;
	case 9:
		fake_sys_fail(FAKE_CALL_GETSOCKOPT, 1, 1, EBADF);
		break;
	default:
		break;
	}
	ck_assert_int_eq(fake_process_lease(&b, &two, 1), _i < 10 ? BROKER_NONE : BROKER_GIVEN);
	ck_assert_uint_eq(fake_broker.n_held, _i >= 10);
	/* a has a descriptor of it, too. Data on its way arrives all the same. */
	ck_assert(socket->was_disconnected == (_i < 10 && _i != 2 && _i != 3));
	ck_assert_uint_eq(fake_process_let_go(&a), 1);
}
END_TEST

/* The server may still be reading: the connection is left alone, and given once the server has read. */
START_TEST(one_in_flight_is_for_later)
{
	park_one();
	fake_socket(one.fd)->unacked = 1;
	ck_assert_int_eq(fake_process_lease(&b, &two, 1), BROKER_NONE);
	ck_assert_uint_eq(fake_broker.n_held, 1);
	ck_assert(!fake_socket(one.fd)->was_disconnected);
	fake_socket(one.fd)->unacked = 0;
	ck_assert_int_eq(fake_process_lease(&b, &two, 1), BROKER_GIVEN);
	ck_assert_uint_eq(fake_process_let_go(&a), 1);
}
END_TEST

/* A process asks before it knows the shared memory: the answer to its first question is there already. */
START_TEST(the_first_question_comes_with_hello)
{
	struct fake_process fresh;

	park_one();
	two = (struct conn){.fd = -1,
			    .slot = SLOTS_FIRST,
			    .slot_generation = SLOTS_FIRST_GENERATION,
			    .destination = fake_broker_destination(_i ? 2 : 1)};
	fake_process_start_asking(&fresh, &two.destination->key);
	ck_assert_uint_eq(fake_broker_out.packet.welcome.first.head.type, BROKER_ANSWER);
	ck_assert_uint_eq(fake_broker_out.packet.welcome.first.head.flags, _i ? BROKER_NONE : BROKER_GIVEN);
	ck_assert_int_eq(fake_broker_out.passed >= 0, !_i);
	slots_reserve_asked(&fresh.slots, &two);
	ck_assert_uint_eq(slots_n_held(&fresh.slots, two.destination, false), !_i);
	if (_i) {
		slots_free(&fresh.slots, &two);
	} else {
		fake_process_receive(&fresh, &two, fake_broker_out.passed);
		ck_assert_uint_eq(two.cookie, one.cookie);
		fake_process_close(&fresh, &two);
	}
	/* From here on the slot is like any other. */
	ck_assert_uint_eq(fresh.slots.n_free, SLOTS_PER_REGION);
	ck_assert_int_eq(fake_process_lease(&fresh, &two, 2), BROKER_NONE);
	fake_process_end(&fresh);
	fake_process_let_go(&a);
}
END_TEST

START_TEST(behind_an_unclean_one_may_be_a_clean_one)
{
	struct conn conns[3], got;

	for (unsigned i = 0; i < 3; i++) {
		fake_process_dial(&conns[i], 1);
		fake_process_park(&a, &conns[i]);
	}
	fake_socket(conns[2].fd)->bytes_received++;
	fake_broker_hang_up_silently(&conns[1]);
	ck_assert_int_eq(fake_process_lease(&b, &got, 1), BROKER_GIVEN);
	ck_assert_uint_eq(got.cookie, conns[0].cookie);
	ck_assert_uint_eq(fake_broker.n_held, 1);
}
END_TEST

START_TEST(private_processes_lend_nothing)
{
	struct fake_process private;

	fake_process_start(&private, "private", BROKER_IS_PRIVATE);
	fake_process_dial(&one, 1);
	fake_process_park(&private, &one);
	ck_assert_uint_eq(fake_broker.n_held, 1);
	ck_assert_int_eq(fake_process_lease(&a, &two, 1), BROKER_NONE);
	/* Its own program uses it as before. */
	ck_assert_int_eq(fake_process_lease(&private, &two, 1), BROKER_GIVEN);
	ck_assert_uint_eq(two.cookie, one.cookie);
	ck_assert_uint_eq(fake_process_let_go(&private), 1);
}
END_TEST

START_TEST(dropped_ones_go_their_own_way)
{
	struct conn before;

	park_one();
	fake_process_claim(&a, &one);
	before = one;
	before.slot_generation--;
	ck_assert_int_eq(fake_process_request(&a, BROKER_DROP, 0, &before, -1), 0);
	before = one;
	before.slot++;
	ck_assert_int_eq(fake_process_request(&a, BROKER_DROP, 0, &before, -1), 0);
	/* The same slot number, but of b's own region. */
	ck_assert_int_eq(fake_process_request(&b, BROKER_DROP, 0, &one, -1), 0);
	ck_assert_uint_eq(fake_broker.n_held, 1);
	before = one;
	slots_free(&a.slots, &one);
	ck_assert_int_eq(fake_process_request(&a, BROKER_DROP, 0, &before, -1), 0);
	ck_assert_uint_eq(fake_broker.n_held, 0);
	ck_assert(fake_socket(one.fd)->is_open);
	ck_assert(!fake_socket(one.fd)->was_disconnected);
	ck_assert_int_eq(fake_process_request(&a, BROKER_DROP, 0, &before, -1), 0); /* once more changes nothing */
	/* It may come back. */
	fake_process_park(&a, &one);
	ck_assert_int_eq(fake_process_lease(&b, &two, 1), BROKER_GIVEN);
}
END_TEST

/* A process that has ended its connection without telling us, and uses the slot for another one. */
START_TEST(a_slot_parked_again)
{
	park_one();
	slots_free(&a.slots, &one);
	fake_process_dial(&two, 1);
	fake_process_park(&a, &two);
	ck_assert_uint_eq(fake_broker.n_held, 1);
	ck_assert_ptr_null(fake_broker_find(&one));
	ck_assert_ptr_nonnull(fake_broker_find(&two));
	/* The old connection's notice comes late. */
	ck_assert_int_eq(fake_process_lease(&b, &three, 1), BROKER_GIVEN);
	ck_assert_uint_eq(three.cookie, two.cookie);
}
END_TEST

/* The same, but for a question: the slot that was freed last is the first to be reused. */
START_TEST(a_slot_leased_again)
{
	int old_slot;

	fake_process_dial(&two, 1);
	fake_process_park(&b, &two);
	park_one_at(&a, 2);
	old_slot = one.slot;
	slots_free(&a.slots, &one);
	ck_assert_int_eq(fake_process_lease(&a, &three, 1), BROKER_GIVEN);
	ck_assert_int_eq(three.slot, old_slot);
	ck_assert_uint_eq(three.cookie, two.cookie);
	ck_assert_ptr_null(fake_broker_find(&one));
	ck_assert_uint_eq(fake_broker.n_held, 1);
	/* The old connection's number does not affect the new one. */
	ck_assert(fake_socket(one.fd)->is_open && !fake_socket(one.fd)->was_disconnected);
}
END_TEST

/* Into a slot that has a connection, or is not reserved: nothing is given, nothing is lost. */
START_TEST(a_slot_that_is_not_for_it)
{
	park_one();
	fake_process_dial(&two, 1);
	fake_process_park(&b, &two);
	ck_assert_int_eq(fake_process_request(&b, BROKER_LEASE, 0, &two, -1), 0);
	ck_assert_uint_eq(fake_broker_out.packet.head.flags, BROKER_NONE);
	fake_process_claim(&b, &two);
	ck_assert_int_eq(fake_process_request(&b, BROKER_LEASE, 0, &two, -1), 0);
	ck_assert_uint_eq(fake_broker_out.packet.head.flags, BROKER_NONE);
	fake_process_park(&b, &two);
	three = (struct conn){.slot = 17, .slot_generation = 3, .destination = fake_broker_destination(1)};
	ck_assert_int_eq(fake_process_request(&c, BROKER_LEASE, 0, &three, -1), 0);
	ck_assert_uint_eq(fake_broker_out.packet.head.flags, BROKER_NONE);
	ck_assert_uint_eq(fake_broker.n_held, 2);
	ck_assert_int_eq(fake_process_lease(&c, &three, 1), BROKER_GIVEN);
	ck_assert_int_eq(fake_process_lease(&c, &three, 1), BROKER_GIVEN);
}
END_TEST

START_TEST(what_a_server_said_is_told_on)
{
	struct destination here = *fake_broker_destination(1);

	/* One process heard the server's timeout, and has ended. */
	fake_broker_destination(1)->keep_alive_timeout_ns = 30 * SECOND;
	park_one();
	fake_process_dial(&two, 1);
	two.destination = &here;
	fake_process_park(&b, &two);
	ck_assert_int_eq(fake_process_lease(&c, &three, 1), BROKER_GIVEN);
	ck_assert_uint_eq(three.cookie, two.cookie);
	fake_process_end(&a);
	ck_assert_int_eq(fake_process_lease(&c, &three, 1), BROKER_GIVEN);
	fake_process_close(&c, &three);
	/* So the receiver of another connection is told, although the process that parked it had not heard. */
	fake_broker_destination(1)->keep_alive_timeout_ns = 0;
	fake_process_dial(&two, 1);
	fake_process_park(&b, &two);
	ck_assert_int_eq(fake_process_lease(&c, &three, 1), BROKER_GIVEN);
	ck_assert_uint_eq(three.cookie, two.cookie);
	ck_assert_uint_eq(three.destination->keep_alive_timeout_ns, 30 * SECOND);
}
END_TEST

Suite *broker_core_suite(void)
{
	Suite *suite = suite_create("broker_core");
	TCase *tcase = tcase_create("sharing");

	tcase_add_checked_fixture(tcase, start, fake_broker_stop);
	tcase_add_test(tcase, handed_from_process_to_process);
	tcase_add_test(tcase, newest_first);
	tcase_add_test(tcase, used_last_is_newest);
	tcase_add_test(tcase, what_is_in_use_is_passed_over);
	tcase_add_loop_test(tcase, another_destination_is_another, 0, 10);
	tcase_add_loop_test(tcase, only_what_is_as_said_is_held, 0, 19);
	tcase_add_loop_test(tcase, only_what_is_clean_is_given, 0, 11);
	tcase_add_test(tcase, one_in_flight_is_for_later);
	tcase_add_test(tcase, behind_an_unclean_one_may_be_a_clean_one);
	tcase_add_loop_test(tcase, the_first_question_comes_with_hello, 0, 2);
	tcase_add_test(tcase, private_processes_lend_nothing);
	tcase_add_test(tcase, dropped_ones_go_their_own_way);
	tcase_add_test(tcase, a_slot_parked_again);
	tcase_add_test(tcase, a_slot_leased_again);
	tcase_add_test(tcase, a_slot_that_is_not_for_it);
	tcase_add_test(tcase, what_a_server_said_is_told_on);
	suite_add_tcase(suite, tcase);
	return suite;
}
