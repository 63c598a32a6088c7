/* Tickets in random operations of processes, which come, ask, wait and die. After each the counts and the lists agree;
 * a connection belongs to the ticket for which it was dialled. */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#include "tests/unit/fake/tickets.h"

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
		fake_ticket_hang_up(ticket);
}

static struct ticket *unused_ticket(void)
{
	for (unsigned i = 0; i < 40; i++)
		if (!fake_tickets[i].process && !fake_tickets[i].principal)
			return &fake_tickets[i];
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
		if (fake_tickets[i].principal && fake_tickets[i].status != BROKER_QUEUED && !has_conn(&fake_tickets[i]))
			conclude(&fake_tickets[i]);
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
			if (turn != first && fake_tickets[i].principal == &processes[process])
				forget(&fake_tickets[i]);
	}
	for (unsigned i = 0; i < 40; i++)
		if (fake_tickets[i].principal == &processes[process])
			forget(&fake_tickets[i]);
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
	fake_n_tickets = (unsigned)(ticket - fake_tickets);
	fake_ticket_begin(&processes[process], destination, cap_of(destination));
	ticket->is_forced = flags;
	must(fake_ticket_send(ticket, processes[process].process->number, flags) == 0);
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
			fake_process_tell_idle(process);
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
		if (fake_tickets[i].principal && fake_tickets[i].status == BROKER_QUEUED) {
			slots_free(&fake_tickets[i].principal->slots, &fake_tickets[i].conn);
			forget(&fake_tickets[i]);
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
		ck_assert_uint_eq(fake_ticket_n_granted(i), 0);
	ck_assert_uint_gt(n_waited, 1000);
	ck_assert_uint_gt(n_given, 500);
}
END_TEST

Suite *broker_ticket_random_suite(void)
{
	Suite *suite = suite_create("broker_ticket_random");
	TCase *tcase = tcase_create("random tickets");

	tcase_add_checked_fixture(tcase, fake_tickets_start, fake_broker_stop);
	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase, random_tickets, 0, 4);
	suite_add_tcase(suite, tcase);
	return suite;
}
