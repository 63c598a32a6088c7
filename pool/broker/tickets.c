/*
 * Tickets: how many connections there may be to a destination, over all processes (MAX_CONNS_PER_HOST), and who is
 * next.
 *
 * A process that needs one more connection opens a socket to the broker and asks on it. The broker answers when its
 * turn has come: with a connection that has become idle or with leave to dial, whichever comes first. The leave lasts
 * until the process closes the socket, so a killed process gives back all that it had. Held connections count, too.
 * First come, first served: while a ticket waits, idle connections are given to tickets only.
 */
#include <errno.h>
#include <utlist.h>

#include "pool/base/fdpass.h"
#include "pool/broker/private.h"

static void set_flags(struct broker *broker)
{
	struct broker_process *process;

	DL_FOREACH2(broker->processes, process, all_next)
	if (process->region)
		atomic_store(&process->region->has_waiters, broker->n_waiting != 0);
	if (broker->counts.board)
		atomic_store(&broker->counts.board->shelf.has_waiters, broker->n_waiting != 0);
}

/* The only place where a ticket's state changes: what it leaves, what it enters. */
static void change_state(struct broker *broker, struct broker_process *ticket, enum ticket_state to)
{
	struct broker_destination *destination = ticket->destination;

	if (ticket->ticket == TICKET_WAITING) {
		DL_DELETE2(destination->waiting, ticket, ticket_prev, ticket_next);
		broker->n_waiting--;
	} else if (ticket->ticket == TICKET_GRANTED) {
		DL_DELETE2(destination->granted, ticket, ticket_prev, ticket_next);
		destination->n_granted--;
	}
	ticket->ticket = to;
	if (to == TICKET_WAITING) {
		DL_APPEND2(destination->waiting, ticket, ticket_prev, ticket_next);
		broker->n_waiting++;
	} else if (to == TICKET_GRANTED) {
		DL_APPEND2(destination->granted, ticket, ticket_prev, ticket_next);
		destination->n_granted++;
	}
}

static int send_answer(struct broker *broker, const struct broker_process *ticket, enum broker_answer status,
		       int passed)
{
	struct broker_reply reply = {
		.head = broker_wire_head(BROKER_ANSWER, ticket->request.head.sequence, status),
		.slot = ticket->request.slot,
		.generation = ticket->request.generation,
		.ticket = ticket->number,
	};

	return fdpass_send(broker->sys, ticket->fd, &reply, sizeof(reply), passed);
}

/* A program that polls has filled the buffer of its end: draining it wakes the program. */
static void drain(struct broker *broker, const struct broker_process *ticket)
{
	union broker_packet packet;
	unsigned n_passed;
	ssize_t length;
	int passed;

	do {
		length = fdpass_receive(broker->sys, ticket->fd, &packet, sizeof(packet), &passed, &n_passed);
		if (length >= 0 && passed >= 0)
			broker->sys->close(passed);
	} while (length > 0 || length == -EMSGSIZE);
}

static bool is_full(const struct broker_process *ticket)
{
	const struct broker_destination *destination = ticket->destination;

	return destination->n_held + destination->n_granted >= ticket->request.max_conns;
}

static bool is_forced(const struct broker_process *ticket)
{
	return ticket->request.head.flags & BROKER_IS_FORCED;
}

/* The ticket must do without us. Its owner must be told: it may wait on its end for as long as that is open. */
static void turn_away(struct broker *broker, struct broker_process *ticket)
{
	change_state(broker, ticket, TICKET_DONE);
	(void)!send_answer(broker, ticket, BROKER_DIAL, -1);
	drain(broker, ticket);
}

/* The process has freed the slot: it no longer waits, and the end of the ticket is on its way. */
static bool has_given_up(const struct broker_process *ticket)
{
	return slots_state(ticket->principal->region, (unsigned)ticket->request.slot, ticket->request.generation) !=
	       SLOT_LEASED;
}

/* False: it is not this ticket's turn. */
static bool serve_one(struct broker *broker, struct broker_process *ticket)
{
	struct broker_destination *destination = ticket->destination;
	struct held *held = NULL;

	if (has_given_up(ticket)) {
		turn_away(broker, ticket);
		return true;
	}
	if (!is_forced(ticket) && !habit_streak_lasts(&destination->base.unfit))
		held = held_find(broker, ticket->principal, destination, &ticket->request, destination->n_held);
	/* The destination's idle connections are no use to it: one gives its place. */
	if (!is_forced(ticket) && !held && is_full(ticket))
		held_retire(broker, destination, destination->n_held);
	if (!held && !is_forced(ticket) && is_full(ticket))
		return false;
	change_state(broker, ticket, held ? TICKET_DONE : TICKET_GRANTED);
	/* A process that doesn't take its answer is about to be dismissed. */
	if (send_answer(broker, ticket, held ? BROKER_GIVEN : BROKER_NONE, held ? held->fd : -1))
		change_state(broker, ticket, TICKET_DONE);
	drain(broker, ticket);
	return true;
}

void tickets_serve(struct broker *broker)
{
	struct broker_process *ticket, *next;
	bool had_waiters = broker->n_waiting != 0;

	if (!had_waiters)
		return;
	DL_FOREACH_SAFE2(broker->processes, ticket, next, all_next)
	{
		struct broker_destination *destination = ticket->destination;

		/* A later ticket may have connected earlier, and been overtaken in this loop. */
		if (ticket->ticket != TICKET_WAITING || ticket != destination->waiting)
			continue;
		while (destination->waiting && serve_one(broker, destination->waiting))
			;
	}
	if (!broker->n_waiting)
		set_flags(broker);
}

static struct broker_process *find_process(struct broker *broker, uint64_t number)
{
	struct broker_process *process;

	DL_FOREACH2(broker->processes, process, all_next)
	if (process->region && process->number == number)
		return process;
	return NULL;
}

int tickets_take(struct broker *broker, struct broker_process *ticket, const struct broker_request *request)
{
	struct broker_process *principal = find_process(broker, request->ticket);
	struct destination_key key = request->key;
	struct held *held = principal ? principal->held[request->slot] : NULL;

	if (ticket->ticket != TICKET_NONE || ticket->region || !principal ||
	    (held && held->generation == request->generation) || request->key.euid != broker->euid ||
	    !request->max_conns)
		return -EPROTO;
	/* The slot is used anew: a message about its old connection, if any, is still on its way. */
	if (held)
		held_forget(broker, held);
	held_salt_key(principal, 0, &key);
	ticket->destination = (struct broker_destination *)destination_table_take(&broker->destinations, &key);
	if (!ticket->destination)
		return -ENOMEM;
	ticket->request = *request;
	ticket->principal = principal;
	change_state(broker, ticket, TICKET_WAITING);
	/* A forced ticket skips the queue: those ahead may be waiting for it. */
	if ((is_forced(ticket) || ticket == ticket->destination->waiting) && serve_one(broker, ticket))
		return 0;
	set_flags(broker);
	/* A connection may have been parked just before its process could see the ticket: look again. */
	tickets_serve(broker);
	return ticket->ticket == TICKET_WAITING ? send_answer(broker, ticket, BROKER_QUEUED, -1) : 0;
}

void tickets_convert(struct broker *broker, struct broker_destination *destination, uint64_t number)
{
	struct broker_process *ticket;

	DL_FOREACH2(destination->granted, ticket, ticket_next)
	{
		if (ticket->number != number)
			continue;
		change_state(broker, ticket, TICKET_DONE);
		return;
	}
}

void tickets_dismiss(struct broker *broker, struct broker_process *process)
{
	struct broker_process *ticket;

	if (process->ticket != TICKET_NONE)
		change_state(broker, process, TICKET_DONE);
	DL_FOREACH2(broker->processes, ticket, all_next)
	if (ticket->ticket == TICKET_WAITING && ticket->principal == process)
		turn_away(broker, ticket);
	if (!broker->n_waiting)
		set_flags(broker);
}
