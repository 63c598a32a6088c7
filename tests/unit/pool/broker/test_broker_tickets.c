/*
 * Tickets: who is served, who waits and in which order, what ends the wait, and that every place is counted once and
 * given back, whichever process dies when.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "tests/unit/fake/broker.h"

#define N_TICKETS 400
#define FIRST_FD 500

/* Check writes each assertion into a pipe. */
#define must(condition)                                         \
	do {                                                    \
		if (!(condition))                               \
			ck_abort_msg("not so: %s", #condition); \
	} while (0)

/* No answer has come. */
#define NOTHING (-1)

struct ticket {
	struct broker_process *process; /* the broker's object; NULL: closed */
	struct fake_process *principal;
	struct conn conn; /* filled in by the answer */
	uint32_t max_conns;
	bool is_forced;
	bool is_deaf; /* sending to it fails */
	int status;   /* of the last answer */
	unsigned n_answers;
	int passed;
};

static struct fake_process a, b, c;
static struct conn one, two, three;
static struct ticket tickets[N_TICKETS];
static unsigned n_tickets;

static unsigned count_used(const struct ticket *ticket)
{
	const struct broker_destination *destination = ticket->process->destination;

	return destination->n_held + destination->n_granted;
}

static ssize_t take_answer(int fd, const void *bytes, size_t length, int passed)
{
	struct ticket *ticket = &tickets[fd - FIRST_FD];
	const struct broker_reply *reply = bytes;

	must(fd >= FIRST_FD && fd < FIRST_FD + N_TICKETS && ticket->process);
	must(length == sizeof(*reply) && reply->head.type == BROKER_ANSWER);
	must(reply->slot == (uint64_t)ticket->conn.slot && reply->generation == ticket->conn.slot_generation);
	must((reply->head.flags == BROKER_GIVEN) == (passed >= 0));
	/* At most one answer "wait", and one more. */
	must(ticket->status == NOTHING || ticket->status == BROKER_QUEUED);
	if (ticket->is_deaf)
		return -EPIPE;
	ticket->status = (int)reply->head.flags;
	ticket->n_answers++;
	ticket->conn.ticket_number = reply->ticket;
	if (passed >= 0)
		fake_process_receive(ticket->principal, &ticket->conn, passed);
	else if (ticket->status == BROKER_NONE)
		must(ticket->is_forced || count_used(ticket) <= ticket->max_conns);
	return (ssize_t)length;
}

static void start(void)
{
	fake_broker_start();
	fake_sys_on_send = take_answer;
	memset(tickets, 0, sizeof(tickets));
	n_tickets = 0;
	fake_process_start(&a, "a", 0);
	fake_process_start(&b, "b", 0);
	fake_process_start(&c, "c", 0);
}

/* The packet itself. */
static int send_ticket(struct ticket *ticket, uint64_t principal, uint32_t flags)
{
	struct broker_out out;
	union broker_packet packet = {.request = {.head = broker_wire_head(BROKER_TICKET, 0, flags),
						  .slot = (uint64_t)ticket->conn.slot,
						  .generation = ticket->conn.slot_generation,
						  .ticket = principal,
						  .max_conns = ticket->max_conns,
						  .key = ticket->conn.destination->key}};
	int error = broker_receive(&fake_broker, ticket->process, &packet, sizeof(packet.request), -1, 0, &out);

	must(out.length == 0);
	return error;
}

/* Connects for a ticket, and sends nothing. */
static struct ticket *begin(struct fake_process *principal, unsigned destination, uint32_t max_conns)
{
	struct ticket *ticket = &tickets[n_tickets];

	must(n_tickets < N_TICKETS);
	*ticket = (struct ticket){.principal = principal,
				  .max_conns = max_conns,
				  .status = NOTHING,
				  .conn = {.fd = -1, .slot = -1, .destination = fake_broker_destination(destination)}};
	ticket->process = broker_admit(&fake_broker, FIRST_FD + (int)n_tickets++, 4711);
	must(ticket->process && slots_reserve(&principal->slots, &ticket->conn));
	return ticket;
}

static void ask_on(struct ticket *ticket, uint32_t flags)
{
	ticket->is_forced = flags & BROKER_IS_FORCED;
	must(send_ticket(ticket, ticket->principal->process->number, flags) == 0);
	must(ticket->n_answers == 1);
	if (ticket->status == BROKER_NONE)
		slots_free(&ticket->principal->slots, &ticket->conn);
}

static struct ticket *ask_so(struct fake_process *principal, unsigned destination, uint32_t max_conns, uint32_t flags)
{
	struct ticket *ticket = begin(principal, destination, max_conns);

	ask_on(ticket, flags);
	return ticket;
}

static struct ticket *ask(struct fake_process *principal, uint32_t max_conns)
{
	return ask_so(principal, 1, max_conns, 0);
}

static void hang_up(struct ticket *ticket)
{
	broker_dismiss(&fake_broker, ticket->process);
	ticket->process = NULL;
}

/* Dials: the connection knows its ticket. */
static void dial(struct ticket *ticket, struct conn *conn)
{
	uint64_t number = ticket->conn.ticket_number;

	must(ticket->status == BROKER_NONE);
	fake_process_dial(conn, 1);
	conn->ticket_number = number;
}

static void tell_idle(struct fake_process *process)
{
	union broker_packet packet = {.head = broker_wire_head(BROKER_IDLE, 0, 0)};

	must(fake_process_send(process, &packet, sizeof(packet.head), -1, 0) == 0);
}

static unsigned n_granted(unsigned destination)
{
	const struct broker_destination *found = (const struct broker_destination *)destination_table_find(
		&fake_broker.destinations, &fake_broker_destination(destination)->key);

	return found ? found->n_granted : 0;
}

/* In every process's memory. */
static void expect_waiters(unsigned n)
{
	struct broker_process *process;

	ck_assert_uint_eq(fake_broker.n_waiting, n);
	DL_FOREACH2(fake_broker.processes, process, all_next)
	if (process->region)
		ck_assert_uint_eq(process->region->has_waiters, n != 0);
}

START_TEST(granted_below_the_cap)
{
	struct ticket *first = ask(&a, 3), *second = ask(&b, 3), *third = ask(&a, 3);

	ck_assert_int_eq(first->status, BROKER_NONE);
	ck_assert_int_eq(second->status, BROKER_NONE);
	ck_assert_int_eq(third->status, BROKER_NONE);
	ck_assert_uint_ne(first->conn.ticket_number, second->conn.ticket_number);
	ck_assert_uint_eq(n_granted(1), 3);
	expect_waiters(0);
	ck_assert_int_eq(ask(&b, 3)->status, BROKER_QUEUED);
	expect_waiters(1);
	/* Elsewhere nothing has changed. */
	ck_assert_int_eq(ask_so(&b, 2, 3, 0)->status, BROKER_NONE);
	ck_assert_uint_eq(n_granted(1), 3);
}
END_TEST

START_TEST(an_idle_one_is_had_at_once)
{
	struct ticket *ticket;

	fake_process_dial(&one, 1);
	fake_process_park(&a, &one);
	ticket = ask(&b, 1);
	ck_assert_int_eq(ticket->status, BROKER_GIVEN);
	ck_assert_uint_eq(ticket->conn.cookie, one.cookie);
	ck_assert_uint_eq(n_granted(1), 0);
	/* Its end gives back nothing that it doesn't have. */
	ck_assert_int_eq(ask(&c, 1)->status, BROKER_QUEUED);
	hang_up(ticket);
	expect_waiters(1);
}
END_TEST

START_TEST(first_come_first_served)
{
	struct ticket *granted = ask(&a, 1), *waiting[5];

	for (unsigned i = 0; i < 5; i++) {
		waiting[i] = ask(i % 2 ? &b : &c, 1);
		ck_assert_int_eq(waiting[i]->status, BROKER_QUEUED);
	}
	expect_waiters(5);
	for (unsigned i = 0; i < 5; i++) {
		hang_up(granted);
		granted = waiting[i];
		for (unsigned j = 0; j < 5; j++)
			ck_assert_int_eq(waiting[j]->status, j <= i ? BROKER_NONE : BROKER_QUEUED);
	}
	expect_waiters(0);
}
END_TEST

/* The first to connect may be the last to ask. */
START_TEST(first_come_is_who_speaks_first)
{
	struct ticket *granted[2] = {ask(&a, 2), ask(&a, 2)}, *late = begin(&b, 1, 2), *early = begin(&c, 1, 2);

	ask_on(early, 0);
	ask_on(late, 0);
	expect_waiters(2);
	hang_up(granted[0]);
	ck_assert_int_eq(early->status, BROKER_NONE);
	ck_assert_int_eq(late->status, BROKER_QUEUED);
	hang_up(granted[1]);
	ck_assert_int_eq(late->status, BROKER_NONE);
	expect_waiters(0);
}
END_TEST

/* The same, when there is room for both at once. */
START_TEST(nobody_is_left_waiting)
{
	struct ticket *late, *early;

	fake_process_dial(&one, 1);
	fake_process_park(&a, &one);
	fake_process_claim(&a, &one);
	fake_process_dial(&two, 1);
	fake_process_park(&a, &two);
	fake_process_claim(&a, &two);
	late = begin(&b, 1, 2);
	early = begin(&c, 1, 2);
	ask_on(early, 0);
	ask_on(late, 0);
	expect_waiters(2);
	fake_process_lose(&one);
	fake_process_lose(&two);
	fake_process_end(&a);
	ck_assert_int_eq(early->status, BROKER_NONE);
	ck_assert_int_eq(late->status, BROKER_NONE);
	expect_waiters(0);
}
END_TEST

START_TEST(a_park_serves)
{
	struct ticket *ticket = ask(&a, 1), *waiting = ask(&b, 1);

	dial(ticket, &one);
	fake_process_park(&a, &one);
	/* Held now, and passed on at once. */
	ck_assert_int_eq(waiting->status, BROKER_GIVEN);
	ck_assert_uint_eq(waiting->conn.cookie, one.cookie);
	ck_assert_uint_eq(n_granted(1), 0);
	ck_assert_uint_eq(fake_broker.n_held, 1);
	expect_waiters(0);
	/* Counted once: the ticket's end gives nothing back any more. */
	waiting = ask(&c, 1);
	hang_up(ticket);
	ck_assert_int_eq(waiting->status, BROKER_QUEUED);
	ck_assert_uint_eq(fake_process_let_go(&a), 1);
}
END_TEST

START_TEST(an_idle_notice_serves)
{
	struct ticket *waiting;

	fake_process_dial(&one, 1);
	fake_process_park(&a, &one);
	fake_process_claim(&a, &one);
	waiting = ask(&b, 1);
	ck_assert_int_eq(waiting->status, BROKER_QUEUED);
	ck_assert(slots_has_waiters(&a.slots));
	fake_process_park(&a, &one);
	ck_assert_int_eq(waiting->status, BROKER_QUEUED);
	tell_idle(&a);
	ck_assert_int_eq(waiting->status, BROKER_GIVEN);
	ck_assert(!slots_has_waiters(&a.slots));
	ck_assert_uint_eq(fake_process_let_go(&a), 1);
}
END_TEST

/* However many connections before it are in use. */
START_TEST(an_idle_one_among_many_is_found)
{
	struct conn conns[90];
	struct ticket *waiting;

	for (unsigned i = 0; i < 90; i++) {
		fake_process_dial(&conns[i], 1);
		fake_process_park(&a, &conns[i]);
		fake_process_claim(&a, &conns[i]);
	}
	waiting = ask(&b, 90);
	ck_assert_int_eq(waiting->status, BROKER_QUEUED);
	fake_process_park(&a, &conns[_i ? 80 : 3]);
	tell_idle(&a);
	ck_assert_int_eq(waiting->status, BROKER_GIVEN);
}
END_TEST

START_TEST(a_tick_serves)
{
	struct ticket *waiting;

	fake_process_dial(&one, 1);
	fake_process_park(&a, &one);
	fake_process_claim(&a, &one);
	waiting = ask(&b, 1);
	switch (_i) {
	case 0: /* its notice was lost */
		fake_process_park(&a, &one);
		break;
	case 1: /* likewise, and it has expired since: room, but no connection */
		fake_process_park(&a, &one);
		fake_kernel.now_ns += 2 * FAKE_IDLE;
		break;
	default: /* its process has ended it without telling us */
		slots_free(&a.slots, &one);
	}
	ck_assert_int_eq(waiting->status, BROKER_QUEUED);
	broker_tick(&fake_broker);
	ck_assert_int_eq(waiting->status, _i == 0 ? BROKER_GIVEN : BROKER_NONE);
	expect_waiters(0);
}
END_TEST

START_TEST(a_drop_serves)
{
	struct ticket *waiting;
	struct conn before;

	fake_process_dial(&one, 1);
	fake_process_park(&a, &one);
	fake_process_claim(&a, &one);
	waiting = ask(&b, 1);
	before = one;
	fake_process_close(&a, &one);
	ck_assert_int_eq(fake_process_request(&a, BROKER_DROP, 0, &before, -1), 0);
	ck_assert_int_eq(waiting->status, BROKER_NONE);
}
END_TEST

START_TEST(the_end_of_a_held_one_serves)
{
	struct ticket *waiting;

	fake_process_dial(&one, 1);
	fake_process_park(&a, &one);
	fake_process_claim(&a, &one);
	waiting = ask(&b, 1);
	/* In use: its user must see the end first. */
	fake_broker_hang_up(&one);
	ck_assert_int_eq(waiting->status, BROKER_QUEUED);
	slots_free(&a.slots, &one);
	fake_broker_notice(&one);
	ck_assert_int_eq(waiting->status, BROKER_NONE);
}
END_TEST

START_TEST(a_death_serves)
{
	struct ticket *granted = ask(&a, 3), *first, *second, *third;

	dial(granted, &one);
	fake_process_dial(&two, 1);
	fake_process_park(&a, &two);
	fake_process_claim(&a, &two);
	fake_process_dial(&three, 1);
	fake_process_park(&a, &three);
	fake_process_claim(&a, &three);
	first = ask(&b, 3);
	second = ask(&c, 3);
	third = ask(&c, 3);
	fake_process_park(&a, &three);
	expect_waiters(3);
	/* The kernel closes a process's descriptors in no reliable order. */
	fake_process_lose(&one);
	fake_process_lose(&two);
	fake_process_lose(&three);
	if (_i)
		hang_up(granted);
	fake_process_end(&a);
	if (!_i)
		hang_up(granted);
	ck_assert_int_eq((first->status == BROKER_GIVEN) + (second->status == BROKER_GIVEN), 1);
	ck_assert_int_eq((first->status == BROKER_NONE) + (second->status == BROKER_NONE), 1);
	ck_assert_int_eq(third->status, BROKER_NONE);
	expect_waiters(0);
	ck_assert_uint_eq(n_granted(1) + fake_broker.n_held, 3);
}
END_TEST

START_TEST(forced_ones_do_not_wait)
{
	struct ticket *granted = ask(&a, 1), *waiting, *forced;

	forced = ask_so(&a, 1, 1, BROKER_IS_FORCED);
	ck_assert_int_eq(forced->status, BROKER_NONE);
	ck_assert_uint_eq(n_granted(1), 2);
	waiting = ask(&b, 1);
	ck_assert_int_eq(waiting->status, BROKER_QUEUED);
	/* Nor does it wait behind others: they may be waiting for the process that asks. */
	ck_assert_int_eq(ask_so(&a, 1, 1, BROKER_IS_FORCED)->status, BROKER_NONE);
	ck_assert_uint_eq(n_granted(1), 3);
	/* Forced tickets count. */
	hang_up(granted);
	hang_up(forced);
	ck_assert_int_eq(waiting->status, BROKER_QUEUED);
	expect_waiters(1);
	hang_up(&tickets[3]);
	ck_assert_int_eq(waiting->status, BROKER_NONE);
	expect_waiters(0);
}
END_TEST

/* It asked for a connection of its own. */
START_TEST(forced_ones_get_nothing_idle)
{
	fake_process_dial(&one, 1);
	fake_process_park(&a, &one);
	ck_assert_int_eq(ask_so(&b, 1, 1, BROKER_IS_FORCED)->status, BROKER_NONE);
	ck_assert_ptr_nonnull(fake_broker_find(&one));
	ck_assert(!fake_socket(one.fd)->was_disconnected);
}
END_TEST

START_TEST(a_parked_one_counts_once)
{
	struct ticket *ticket = ask(&a, 2), *other;

	dial(ticket, &one);
	ck_assert_uint_eq(n_granted(1), 1);
	fake_process_park(&a, &one);
	ck_assert_uint_eq(n_granted(1), 0);
	ck_assert_uint_eq(fake_broker.n_held, 1);
	fake_process_claim(&a, &one);
	other = ask(&b, 2);
	ck_assert_int_eq(other->status, BROKER_NONE);
	/* A number of no ticket, one of another that waits, the same again: nobody loses anything. */
	dial(other, &two);
	two.ticket_number = _i == 0 ? 4711 : ticket->conn.ticket_number;
	fake_process_park(&b, &two);
	ck_assert_uint_eq(n_granted(1), 1);
	ck_assert_uint_eq(fake_broker.n_held, 2);
}
END_TEST

/* A connection that can't be held is still counted, by its ticket. */
START_TEST(not_held_not_converted)
{
	struct ticket *ticket = ask(&a, 1), *waiting = ask(&b, 1);

	dial(ticket, &one);
	if (_i == 0)
		fake_socket(one.fd)->protocol = IPPROTO_UDP;
	else
		fake_sys_fail(FAKE_CALL_WATCH, 1, 1, ENOSPC);
	fake_process_park(&a, &one);
	ck_assert_uint_eq(fake_broker.n_held, 0);
	ck_assert_uint_eq(n_granted(1), 1);
	ck_assert_int_eq(waiting->status, BROKER_QUEUED);
	hang_up(ticket);
	ck_assert_int_eq(waiting->status, BROKER_NONE);
}
END_TEST

/* A process that still has the ticket must not wait for ever: it goes on without a connection. */
START_TEST(the_principal_ends_while_it_waits)
{
	struct ticket *granted = ask(&a, 1), *orphan = ask(&b, 1), *next = ask(&c, 1);

	fake_process_end(&b);
	ck_assert_int_eq(orphan->status, BROKER_DIAL);
	expect_waiters(1);
	hang_up(granted);
	ck_assert_int_eq(next->status, BROKER_NONE);
	ck_assert_uint_eq(n_granted(1), 1);
	hang_up(orphan);
	hang_up(next);
	ck_assert_uint_eq(n_granted(1), 0);
}
END_TEST

START_TEST(a_ticket_ends_while_it_waits)
{
	struct ticket *granted = ask(&a, 1), *waiting[3] = {ask(&b, 1), ask(&c, 1), ask(&b, 1)};

	hang_up(waiting[_i]);
	expect_waiters(2);
	hang_up(granted);
	ck_assert_int_eq(waiting[_i == 0]->status, BROKER_NONE);
	expect_waiters(1);
	hang_up(waiting[_i == 0]);
	ck_assert_int_eq(waiting[_i == 2 ? 1 : 2]->status, BROKER_NONE);
	expect_waiters(0);
}
END_TEST

START_TEST(who_does_not_take_his_answer_has_nothing)
{
	struct ticket *granted = ask(&a, 1), *deaf = ask(&b, 1), *next = ask(&c, 1);

	deaf->is_deaf = true;
	hang_up(granted);
	ck_assert_int_eq(next->status, BROKER_NONE);
	ck_assert_uint_eq(n_granted(1), 1);
	expect_waiters(0);
}
END_TEST

START_TEST(newcomers_see_that_some_wait)
{
	struct fake_process late;
	struct ticket *granted = ask(&a, 1), *waiting = ask(&b, 1);

	fake_process_start(&late, "late", 0);
	ck_assert(slots_has_waiters(&late.slots));
	expect_waiters(1);
	hang_up(granted);
	ck_assert_int_eq(waiting->status, BROKER_NONE);
	expect_waiters(0);
}
END_TEST

START_TEST(private_ones_are_counted_apart)
{
	struct fake_process private;
	struct ticket *waiting;

	fake_process_start(&private, "private", BROKER_IS_PRIVATE);
	ck_assert_int_eq(ask(&a, 1)->status, BROKER_NONE);
	ck_assert_int_eq(ask(&private, 1)->status, BROKER_NONE);
	waiting = ask(&private, 1);
	ck_assert_int_eq(waiting->status, BROKER_QUEUED);
	hang_up(&tickets[0]);
	ck_assert_int_eq(waiting->status, BROKER_QUEUED);
	hang_up(&tickets[1]);
	ck_assert_int_eq(waiting->status, BROKER_NONE);
}
END_TEST

START_TEST(whoever_dials_gets_an_idle_ones_place)
{
	struct ticket *ticket, *waiting;

	fake_process_dial(&one, 1);
	if (_i == 0) {
		ck_assert(slots_reserve(&a.slots, &one));
		one.expires_ns = UINT64_MAX;
		slots_publish(&a.slots, &one);
		for (int i = 0; i < 4; i++)
			ck_assert_int_eq(fake_process_request(&a, BROKER_PARK, BROKER_WAS_UNFIT, &one,
							      fake_socket_duplicate(one.fd)),
					 0);
	} else {
		fake_process_park(&a, &one);
		fake_socket(one.fd)->last_ack_ms = HABIT_ALIVE_MS + 1;
		two = (struct conn){.destination = fake_broker_destination(1)};
		ck_assert_int_eq(fake_process_request(&b, BROKER_LOOKED, 0, &two, -1), 0);
	}
	/* Below the limit it may stay. */
	ticket = ask(&b, 2);
	ck_assert_int_eq(ticket->status, BROKER_NONE);
	ck_assert(!fake_socket(one.fd)->was_disconnected);
	hang_up(ticket);
	ck_assert_int_eq(ask(&b, 1)->status, BROKER_NONE);
	ck_assert(fake_socket(one.fd)->was_disconnected);
	ck_assert_uint_eq(fake_broker.n_held, 0);
	waiting = ask(&b, 1);
	ck_assert_int_eq(waiting->status, BROKER_QUEUED);
	hang_up(&tickets[1]);
	ck_assert_int_eq(waiting->status, BROKER_NONE);
}
END_TEST

START_TEST(bad_tickets)
{
	struct ticket *ticket = begin(&a, 1, 1);
	uint64_t number = a.process->number;
	struct destination_key *key = &ticket->conn.destination->key;
	struct fake_process other = {.process = ticket->process};
	union broker_packet hello = {.hello = {.head = broker_wire_head(BROKER_HELLO, 0, 0)}};

	switch (_i) {
	case 0: /* no such number */
		ck_assert_int_eq(send_ticket(ticket, 4711, 0), -EPROTO);
		break;
	case 1:
		ck_assert_int_eq(send_ticket(ticket, 0, 0), -EPROTO);
		break;
	case 2: /* a ticket's number */
		ck_assert_int_eq(send_ticket(ticket, ticket->process->number, 0), -EPROTO);
		break;
	case 3:
		ticket->max_conns = 0;
		ck_assert_int_eq(send_ticket(ticket, number, 0), -EPROTO);
		break;
	case 4: /* twice over one connection */
		ck_assert_int_eq(send_ticket(ticket, number, 0), 0);
		ck_assert_int_eq(send_ticket(ticket, number, 0), -EPROTO);
		break;
	case 5: /* while it waits */
		ask(&a, 1);
		ck_assert_int_eq(send_ticket(ticket, number, 0), 0);
		ck_assert_int_eq(ticket->status, BROKER_QUEUED);
		ck_assert_int_eq(send_ticket(ticket, number, 0), -EPROTO);
		break;
	case 6: /* a ticket becomes a process */
		ck_assert_int_eq(send_ticket(ticket, number, 0), 0);
		ck_assert_int_eq(fake_process_send(&other, &hello, sizeof(hello.hello), -1, 0), -EPROTO);
		break;
	case 7: /* a process becomes a ticket */
		ck_assert_int_eq(fake_process_send(&other, &hello, sizeof(hello.hello), -1, 0), 0);
		ck_assert_int_eq(send_ticket(ticket, number, 0), -EPROTO);
		break;
	case 8: /* a slot that has a connection */
		fake_process_dial(&one, 1);
		fake_process_park(&a, &one);
		ticket->conn.slot = one.slot;
		ticket->conn.slot_generation = one.slot_generation;
		ck_assert_int_eq(send_ticket(ticket, number, 0), -EPROTO);
		ck_assert_ptr_nonnull(fake_broker_find(&one));
		break;
	case 9:
		key->euid++;
		ck_assert_int_eq(send_ticket(ticket, number, 0), -EPROTO);
		key->euid--;
		break;
	case 10: /* a message that no ticket sends */
		ck_assert_int_eq(send_ticket(ticket, number, 0), 0);
		hello.head.type = BROKER_IDLE;
		ck_assert_int_eq(fake_process_send(&other, &hello, sizeof(hello.head), -1, 0), -EPROTO);
		break;
	default:
		break;
	}
	/* Cut off; nothing of it is left. */
	if (other.process)
		hang_up(ticket);
	ck_assert_uint_eq(n_granted(1), _i == 5);
	expect_waiters(0);
}
END_TEST

/* The process has ended the slot's connection without telling us in time, and uses the slot anew. */
START_TEST(a_slot_used_again)
{
	struct ticket *ticket;

	fake_process_dial(&one, 2);
	fake_process_park(&a, &one);
	slots_free(&a.slots, &one);
	ticket = ask(&a, 1);
	ck_assert_int_eq(ticket->status, BROKER_NONE);
	ck_assert_ptr_null(fake_broker_find(&one));
	ck_assert(!fake_socket(one.fd)->was_disconnected);
}
END_TEST

/* A waiting ticket whose slot is not free holds up nobody. */
START_TEST(a_slot_that_is_not_reserved)
{
	struct ticket *granted = ask(&a, 1), *liar = ask(&b, 1), *next = ask(&c, 1);

	two = liar->conn;
	slots_free(&b.slots, &two);
	dial(granted, &one);
	fake_process_park(&a, &one);
	ck_assert_int_eq(liar->status, BROKER_DIAL);
	ck_assert_int_eq(next->status, BROKER_GIVEN);
	ck_assert_uint_eq(n_granted(1), 0);
	expect_waiters(0);
}
END_TEST

START_TEST(no_memory_for_a_ticket)
{
	struct ticket *ticket = begin(&a, 1, 1);

	fake_sys_fail(FAKE_CALL_MAP, 1, 1, ENOMEM);
	ck_assert_int_eq(send_ticket(ticket, a.process->number, 0), -ENOMEM);
	hang_up(ticket);
	expect_waiters(0);
}
END_TEST

/* A random life. Connections belong to the ticket for which they were dialled. */
#define N_OPERATIONS 30000
#define N_PROCESSES 5
#define N_DESTINATIONS 3
#define N_CONNS 60

static struct fake_process processes[N_PROCESSES];
static struct conn conns[N_CONNS];
static int process_of[N_CONNS];
static struct ticket *ticket_of[N_CONNS];
static unsigned seed, n_waited, n_given;

static unsigned below(unsigned n)
{
	return (unsigned)rand_r(&seed) % n;
}

static uint32_t cap_of(unsigned destination)
{
	return 1 + 2 * destination;
}

static unsigned number_of(const struct conn *conn)
{
	return conn->destination->key.address[3];
}

static void close_ticket(struct ticket *ticket)
{
	if (ticket->process)
		hang_up(ticket);
}

static struct ticket *unused_ticket(void)
{
	for (unsigned i = 0; i < 40; i++)
		if (!tickets[i].process && !tickets[i].principal)
			return &tickets[i];
	return NULL;
}

static int unused_conn(void)
{
	for (int i = 0; i < N_CONNS; i++)
		if (conns[i].state == CONN_FREE)
			return i;
	return -1;
}

static void forget(struct ticket *ticket)
{
	close_ticket(ticket);
	ticket->principal = NULL;
}

/* A program's reactions to an answer: it dials, takes the connection, or goes away. */
static void conclude(struct ticket *ticket)
{
	int i = unused_conn();
	int process = (int)(ticket->principal - processes);

	if (ticket->status == BROKER_GIVEN) {
		must(i >= 0);
		n_given++;
		conns[i] = ticket->conn;
		conns[i].ticket_number = 0;
		process_of[i] = process;
		ticket_of[i] = NULL;
		ticket->principal->slots.entries[conns[i].slot].conn = &conns[i];
		ticket->conn.fd = -1;
		forget(ticket);
		return;
	}
	slots_free(&ticket->principal->slots, &ticket->conn);
	if (ticket->status != BROKER_NONE || below(4) == 0 || i < 0) {
		forget(ticket);
		return;
	}
	fake_process_dial(&conns[i], number_of(&ticket->conn));
	conns[i].ticket_number = ticket->conn.ticket_number;
	process_of[i] = process;
	ticket_of[i] = ticket;
}

static bool has_conn(const struct ticket *ticket)
{
	for (int i = 0; i < N_CONNS; i++)
		if (conns[i].state != CONN_FREE && ticket_of[i] == ticket)
			return true;
	return false;
}

static void conclude_all(void)
{
	for (unsigned i = 0; i < 40; i++)
		if (tickets[i].principal && tickets[i].status != BROKER_QUEUED && !has_conn(&tickets[i]))
			conclude(&tickets[i]);
}

static void end_conn(int i)
{
	struct fake_process *process = &processes[process_of[i]];
	struct conn before = conns[i];

	fake_process_close(process, &conns[i]);
	if (before.slot >= 0 && below(4))
		must(fake_process_request(process, BROKER_DROP, 0, &before, -1) == 0);
	if (ticket_of[i])
		forget(ticket_of[i]);
	ticket_of[i] = NULL;
}

static void let_go(struct fake_process *process)
{
	struct conn *conn;

	while ((conn = slots_next_taken(&process->slots))) {
		int i = (int)(conn - conns);

		fake_process_close(process, conn);
		if (ticket_of[i])
			forget(ticket_of[i]);
		ticket_of[i] = NULL;
	}
}

static void die(int process)
{
	unsigned first = below(2);

	for (int i = 0; i < N_CONNS; i++)
		if (conns[i].state != CONN_FREE && process_of[i] == process)
			fake_process_lose(&conns[i]);
	for (unsigned turn = 0; turn < 2; turn++) {
		if (turn == first)
			fake_process_end(&processes[process]);
		for (unsigned i = 0; i < 40; i++)
			if (turn != first && tickets[i].principal == &processes[process])
				forget(&tickets[i]);
	}
	for (unsigned i = 0; i < 40; i++)
		if (tickets[i].principal == &processes[process])
			forget(&tickets[i]);
	for (int i = 0; i < N_CONNS; i++)
		if (conns[i].state == CONN_FREE && process_of[i] == process)
			ticket_of[i] = NULL;
	fake_process_start(&processes[process], "x", 0);
}

static void ask_randomly(void)
{
	struct ticket *ticket = unused_ticket();
	int process = (int)below(N_PROCESSES);
	unsigned destination = below(N_DESTINATIONS);
	uint32_t flags = below(40) == 0 ? BROKER_IS_FORCED : 0;

	/* There must be room for the connections that may be given. */
	if (!ticket || unused_conn() < 0)
		return;
	n_tickets = (unsigned)(ticket - tickets);
	begin(&processes[process], destination, cap_of(destination));
	ticket->is_forced = flags;
	must(send_ticket(ticket, processes[process].process->number, flags) == 0);
	must(ticket->n_answers == 1);
	n_waited += ticket->status == BROKER_QUEUED;
}

static void operate(void)
{
	unsigned what = below(100);
	int i = (int)below(N_CONNS);
	struct fake_process *process = conns[i].state != CONN_FREE ? &processes[process_of[i]] : NULL;

	if (what < 35) {
		ask_randomly();
	} else if (what < 60 && process && conns[i].state == CONN_OPEN) {
		fake_process_exchange(&conns[i]);
		fake_process_park(process, &conns[i]);
		if (slots_has_waiters(&process->slots))
			tell_idle(process);
	} else if (what < 75 && process && conns[i].state == CONN_IDLE) {
		if (slots_claim(&process->slots, &conns[i]))
			conns[i].state = CONN_OPEN;
		else
			let_go(process);
	} else if (what < 82 && process && conns[i].state == CONN_OPEN) {
		end_conn(i);
	} else if (what < 85 && process) {
		fake_broker_hang_up(&conns[i]);
	} else if (what < 90) {
		i = (int)below(40);
		if (tickets[i].principal && tickets[i].status == BROKER_QUEUED) {
			slots_free(&tickets[i].principal->slots, &tickets[i].conn);
			forget(&tickets[i]);
		}
	} else if (what < 92) {
		die((int)below(N_PROCESSES));
	} else if (what < 95) {
		let_go(&processes[below(N_PROCESSES)]);
	} else if (what < 97) {
		fake_kernel.now_ns += below(5 * 1000) * (SECOND / 1000);
		broker_tick(&fake_broker);
	}
	conclude_all();
}

static bool is_idle(const struct held *held)
{
	return !held->owner || slots_state(held->owner->region, held->slot, held->generation) == SLOT_IDLE;
}

static void check(void)
{
	unsigned n_waiting = 0;
	struct broker_process *process;

	for (struct destination *d = fake_broker.destinations.recent; d; d = d->recent_next) {
		const struct broker_destination *destination = (const struct broker_destination *)d;
		unsigned n = 0;

		DL_FOREACH2(destination->granted, process, ticket_next)
		{
			must(process->ticket == TICKET_GRANTED && process->destination == destination);
			n++;
		}
		must(n == destination->n_granted);
		DL_FOREACH2(destination->waiting, process, ticket_next)
		{
			must(process->ticket == TICKET_WAITING && process->destination == destination);
			n_waiting++;
		}
		if (!destination->waiting)
			continue;
		/* No ticket waits while there is something for it. */
		must(destination->n_held + destination->n_granted >= destination->waiting->request.max_conns);
		for (const struct held *held = destination->held; held; held = held->destination_next)
			must(!is_idle(held));
	}
	must(n_waiting == fake_broker.n_waiting);
	DL_FOREACH2(fake_broker.processes, process, all_next)
	if (process->region)
		must(process->region->has_waiters == (n_waiting != 0));
}

START_TEST(random_tickets)
{
	seed = (unsigned)_i + 1;
	n_waited = n_given = 0;
	memset(conns, 0, sizeof(conns));
	memset(ticket_of, 0, sizeof(ticket_of));
	for (int i = 0; i < N_PROCESSES; i++)
		fake_process_start(&processes[i], "x", 0);
	for (unsigned i = 0; i < N_OPERATIONS; i++) {
		operate();
		check();
		if (i % 16 == 0)
			fake_broker_check();
	}
	for (int i = 0; i < N_PROCESSES; i++)
		die(i);
	fake_kernel.now_ns += 2 * FAKE_IDLE;
	broker_tick(&fake_broker);
	check();
	ck_assert_uint_eq(fake_broker.n_held, 0);
	ck_assert_uint_eq(fake_broker.n_waiting, 0);
	for (unsigned i = 0; i < N_DESTINATIONS; i++)
		ck_assert_uint_eq(n_granted(i), 0);
	ck_assert_uint_gt(n_waited, 1000);
	ck_assert_uint_gt(n_given, 500);
}
END_TEST

Suite *broker_tickets_suite(void)
{
	Suite *suite = suite_create("broker_tickets");
	TCase *tcase = tcase_create("tickets");

	tcase_add_checked_fixture(tcase, start, fake_broker_stop);
	tcase_add_test(tcase, granted_below_the_cap);
	tcase_add_test(tcase, an_idle_one_is_had_at_once);
	tcase_add_test(tcase, first_come_first_served);
	tcase_add_test(tcase, first_come_is_who_speaks_first);
	tcase_add_test(tcase, nobody_is_left_waiting);
	tcase_add_test(tcase, a_park_serves);
	tcase_add_test(tcase, an_idle_notice_serves);
	tcase_add_loop_test(tcase, an_idle_one_among_many_is_found, 0, 2);
	tcase_add_loop_test(tcase, a_tick_serves, 0, 3);
	tcase_add_test(tcase, a_drop_serves);
	tcase_add_test(tcase, the_end_of_a_held_one_serves);
	tcase_add_loop_test(tcase, a_death_serves, 0, 2);
	tcase_add_test(tcase, forced_ones_do_not_wait);
	tcase_add_test(tcase, forced_ones_get_nothing_idle);
	tcase_add_loop_test(tcase, a_parked_one_counts_once, 0, 2);
	tcase_add_loop_test(tcase, not_held_not_converted, 0, 2);
	tcase_add_test(tcase, the_principal_ends_while_it_waits);
	tcase_add_loop_test(tcase, a_ticket_ends_while_it_waits, 0, 3);
	tcase_add_test(tcase, who_does_not_take_his_answer_has_nothing);
	tcase_add_test(tcase, newcomers_see_that_some_wait);
	tcase_add_test(tcase, private_ones_are_counted_apart);
	tcase_add_loop_test(tcase, whoever_dials_gets_an_idle_ones_place, 0, 2);
	tcase_add_loop_test(tcase, bad_tickets, 0, 11);
	tcase_add_test(tcase, a_slot_used_again);
	tcase_add_test(tcase, a_slot_that_is_not_reserved);
	tcase_add_test(tcase, no_memory_for_a_ticket);
	suite_add_tcase(suite, tcase);
	tcase = tcase_create("random tickets");
	tcase_add_checked_fixture(tcase, start, fake_broker_stop);
	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase, random_tickets, 0, 4);
	suite_add_tcase(suite, tcase);
	return suite;
}
