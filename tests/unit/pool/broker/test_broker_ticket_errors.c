/* Tickets that lie, come twice, or find no memory: they are cut off, and nothing of them is left. */
#include <check.h>
#include <errno.h>

#include "tests/unit/fake/tickets.h"

static struct fake_process a, b, c;
static struct conn one, two;

static void start(void)
{
	fake_tickets_start();
	fake_process_start(&a, "a", 0);
	fake_process_start(&b, "b", 0);
	fake_process_start(&c, "c", 0);
}

/* Cut off; nothing of it is left. */
static void expect_nothing_left(struct ticket *ticket, unsigned n_granted)
{
	if (ticket->process)
		fake_ticket_hang_up(ticket);
	ck_assert_uint_eq(fake_ticket_n_granted(1), n_granted);
	fake_ticket_expect_waiters(0);
}

START_TEST(bad_questions)
{
	struct ticket *ticket = fake_ticket_begin(&a, 1, 1);
	uint64_t number = a.process->number;
	struct destination_key *key = &ticket->conn.destination->key;

	switch (_i) {
	case 0: /* no such number */
		number = 4711;
		break;
	case 1:
		number = 0;
		break;
	case 2: /* a ticket's number */
		number = ticket->process->number;
		break;
	case 3:
		ticket->max_conns = 0;
		break;
	case 4:
		key->euid++;
		break;
	case 5: /* a slot that has a connection */
		fake_process_dial(&one, 1);
		fake_process_park(&a, &one);
		ticket->conn.slot = one.slot;
		ticket->conn.slot_generation = one.slot_generation;
		break;
	default:
		break;
	}
	ck_assert_int_eq(fake_ticket_send(ticket, number, 0), -EPROTO);
	if (_i == 4)
		key->euid--;
	if (_i == 5)
		ck_assert_ptr_nonnull(fake_broker_find(&one));
	expect_nothing_left(ticket, 0);
}
END_TEST

START_TEST(bad_sequences)
{
	struct ticket *ticket = fake_ticket_begin(&a, 1, 1);
	uint64_t number = a.process->number;
	struct fake_process other = {.process = ticket->process};
	union broker_packet hello = {.hello = {.head = broker_wire_head(BROKER_HELLO, 0, 0)}};

	switch (_i) {
	case 0: /* twice over one connection */
		ck_assert_int_eq(fake_ticket_send(ticket, number, 0), 0);
		ck_assert_int_eq(fake_ticket_send(ticket, number, 0), -EPROTO);
		break;
	case 1: /* while it waits */
		fake_ticket_ask(&a, 1);
		ck_assert_int_eq(fake_ticket_send(ticket, number, 0), 0);
		ck_assert_int_eq(ticket->status, BROKER_QUEUED);
		ck_assert_int_eq(fake_ticket_send(ticket, number, 0), -EPROTO);
		break;
	case 2: /* a ticket becomes a process */
		ck_assert_int_eq(fake_ticket_send(ticket, number, 0), 0);
		ck_assert_int_eq(fake_process_send(&other, &hello, sizeof(hello.hello), -1, 0), -EPROTO);
		break;
	case 3: /* a process becomes a ticket */
		ck_assert_int_eq(fake_process_send(&other, &hello, sizeof(hello.hello), -1, 0), 0);
		ck_assert_int_eq(fake_ticket_send(ticket, number, 0), -EPROTO);
		break;
	case 4: /* a message that no ticket sends */
		ck_assert_int_eq(fake_ticket_send(ticket, number, 0), 0);
		hello.head.type = BROKER_IDLE;
		ck_assert_int_eq(fake_process_send(&other, &hello, sizeof(hello.head), -1, 0), -EPROTO);
		break;
	default:
		break;
	}
	expect_nothing_left(ticket, _i == 1);
}
END_TEST

/* The process has ended the slot's connection without telling us in time, and uses the slot anew. */
START_TEST(a_slot_used_again)
{
	struct ticket *ticket;

	fake_process_dial(&one, 2);
	fake_process_park(&a, &one);
	slots_free(&a.slots, &one);
	ticket = fake_ticket_ask(&a, 1);
	ck_assert_int_eq(ticket->status, BROKER_NONE);
	ck_assert_ptr_null(fake_broker_find(&one));
	ck_assert(!fake_socket(one.fd)->was_disconnected);
}
END_TEST

/* A waiting ticket whose slot is not free holds up nobody. */
START_TEST(a_slot_that_is_not_reserved)
{
	struct ticket *granted = fake_ticket_ask(&a, 1), *liar = fake_ticket_ask(&b, 1), *next = fake_ticket_ask(&c, 1);

	two = liar->conn;
	slots_free(&b.slots, &two);
	fake_ticket_dial(granted, &one);
	fake_process_park(&a, &one);
	ck_assert_int_eq(liar->status, BROKER_DIAL);
	ck_assert_int_eq(next->status, BROKER_GIVEN);
	ck_assert_uint_eq(fake_ticket_n_granted(1), 0);
	fake_ticket_expect_waiters(0);
}
END_TEST

START_TEST(no_memory_for_a_ticket)
{
	struct ticket *ticket = fake_ticket_begin(&a, 1, 1);

	fake_sys_fail(FAKE_CALL_MAP, 1, 1, ENOMEM);
	ck_assert_int_eq(fake_ticket_send(ticket, a.process->number, 0), -ENOMEM);
	fake_ticket_hang_up(ticket);
	fake_ticket_expect_waiters(0);
}
END_TEST

Suite *broker_ticket_errors_suite(void)
{
	Suite *suite = suite_create("broker_ticket_errors");
	TCase *tcase = tcase_create("ticket errors");

	tcase_add_checked_fixture(tcase, start, fake_broker_stop);
	tcase_add_loop_test(tcase, bad_questions, 0, 6);
	tcase_add_loop_test(tcase, bad_sequences, 0, 5);
	tcase_add_test(tcase, a_slot_used_again);
	tcase_add_test(tcase, a_slot_that_is_not_reserved);
	tcase_add_test(tcase, no_memory_for_a_ticket);
	suite_add_tcase(suite, tcase);
	return suite;
}
