/* See tickets.h. */
#include "tests/unit/fake/tickets.h"

#include <check.h>
#include <errno.h>
#include <string.h>
#include <utlist.h>

#define FIRST_FD 500

struct ticket fake_tickets[FAKE_N_TICKETS];
unsigned fake_n_tickets;

static unsigned count_used(const struct ticket *ticket)
{
	const struct broker_destination *destination = ticket->process->destination;

	return destination->n_held + destination->n_granted;
}

static ssize_t take_answer(int fd, const void *bytes, size_t length, int passed)
{
	struct ticket *ticket = &fake_tickets[fd - FIRST_FD];
	const struct broker_reply *reply = bytes;

	must(fd >= FIRST_FD && fd < FIRST_FD + FAKE_N_TICKETS && ticket->process);
	must(length == sizeof(*reply) && reply->head.type == BROKER_ANSWER);
	must(reply->slot == (uint64_t)ticket->conn.slot && reply->generation == ticket->conn.slot_generation);
	must((reply->head.flags == BROKER_GIVEN) == (passed >= 0));
	/* At most one answer "wait", and one more. */
	must(ticket->status == FAKE_TICKET_NOTHING || ticket->status == BROKER_QUEUED);
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

void fake_tickets_start(void)
{
	fake_broker_start();
	fake_sys_on_send = take_answer;
	memset(fake_tickets, 0, sizeof(fake_tickets));
	fake_n_tickets = 0;
}

int fake_ticket_send(struct ticket *ticket, uint64_t principal, uint32_t flags)
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

struct ticket *fake_ticket_begin(struct fake_process *principal, unsigned destination, uint32_t max_conns)
{
	struct ticket *ticket = &fake_tickets[fake_n_tickets];

	must(fake_n_tickets < FAKE_N_TICKETS);
	*ticket = (struct ticket){.principal = principal,
				  .max_conns = max_conns,
				  .status = FAKE_TICKET_NOTHING,
				  .conn = {.fd = -1, .slot = -1, .destination = fake_broker_destination(destination)}};
	ticket->process = broker_admit(&fake_broker, FIRST_FD + (int)fake_n_tickets++, 4711);
	must(ticket->process && slots_reserve(&principal->slots, &ticket->conn));
	return ticket;
}

void fake_ticket_ask_on(struct ticket *ticket, uint32_t flags)
{
	ticket->is_forced = flags & BROKER_IS_FORCED;
	must(fake_ticket_send(ticket, ticket->principal->process->number, flags) == 0);
	must(ticket->n_answers == 1);
	if (ticket->status == BROKER_NONE)
		slots_free(&ticket->principal->slots, &ticket->conn);
}

struct ticket *fake_ticket_ask_so(struct fake_process *principal, unsigned destination, uint32_t max_conns,
				  uint32_t flags)
{
	struct ticket *ticket = fake_ticket_begin(principal, destination, max_conns);

	fake_ticket_ask_on(ticket, flags);
	return ticket;
}

struct ticket *fake_ticket_ask(struct fake_process *principal, uint32_t max_conns)
{
	return fake_ticket_ask_so(principal, 1, max_conns, 0);
}

void fake_ticket_hang_up(struct ticket *ticket)
{
	broker_dismiss(&fake_broker, ticket->process);
	ticket->process = NULL;
}

void fake_ticket_dial(struct ticket *ticket, struct conn *conn)
{
	uint64_t number = ticket->conn.ticket_number;

	must(ticket->status == BROKER_NONE);
	fake_process_dial(conn, 1);
	conn->ticket_number = number;
}

void fake_process_tell_idle(struct fake_process *process)
{
	union broker_packet packet = {.head = broker_wire_head(BROKER_IDLE, 0, 0)};

	must(fake_process_send(process, &packet, sizeof(packet.head), -1, 0) == 0);
}

unsigned fake_ticket_n_granted(unsigned destination)
{
	const struct broker_destination *found = (const struct broker_destination *)destination_table_find(
		&fake_broker.destinations, &fake_broker_destination(destination)->key);

	return found ? found->n_granted : 0;
}

void fake_ticket_expect_waiters(unsigned n)
{
	struct broker_process *process;

	ck_assert_uint_eq(fake_broker.n_waiting, n);
	DL_FOREACH2(fake_broker.processes, process, all_next)
	if (process->region)
		ck_assert_uint_eq(process->region->has_waiters, n != 0);
}
