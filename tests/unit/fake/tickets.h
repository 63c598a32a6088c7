/* Tickets of processes at the fake broker: their sockets, questions and answers. */
#pragma once

#include "tests/unit/fake/broker.h"

#define FAKE_N_TICKETS 400

/* Status of a ticket before the first answer. */
#define FAKE_TICKET_NOTHING (-1)

/* Check writes each assertion into a pipe. */
#define must(condition)                                         \
	do {                                                    \
		if (!(condition))                               \
			ck_abort_msg("not so: %s", #condition); \
	} while (0)

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

/* All tickets so far. */
extern struct ticket fake_tickets[FAKE_N_TICKETS];
extern unsigned fake_n_tickets;

/* A fixture, with fake_broker_stop(): a broker without processes and tickets. */
void fake_tickets_start(void);

/* Connects for a ticket, and sends nothing. */
struct ticket *fake_ticket_begin(struct fake_process *principal, unsigned destination, uint32_t max_conns);

/* Sends its question, as `principal`'s; the result of broker_receive(). */
int fake_ticket_send(struct ticket *ticket, uint64_t principal, uint32_t flags);

/* Sends its question, which must be answered at once. */
void fake_ticket_ask_on(struct ticket *ticket, uint32_t flags);

/* Connects and asks, with BROKER_IS_FORCED or no flags; the latter for the destination 1. */
struct ticket *fake_ticket_ask_so(struct fake_process *principal, unsigned destination, uint32_t max_conns,
				  uint32_t flags);
struct ticket *fake_ticket_ask(struct fake_process *principal, uint32_t max_conns);

/* Closes the ticket's socket. */
void fake_ticket_hang_up(struct ticket *ticket);

/* Dials: the connection knows its ticket. */
void fake_ticket_dial(struct ticket *ticket, struct conn *conn);

/* The process tells the broker that one of its connections is idle. */
void fake_process_tell_idle(struct fake_process *process);

/* How many tickets of a destination have leave to dial. */
unsigned fake_ticket_n_granted(unsigned destination);

/* Checks how many tickets wait, also in the memory of every process. */
void fake_ticket_expect_waiters(unsigned n);
