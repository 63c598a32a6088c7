/*
 * A broker over the fake kernel, and processes that share connections through it as real ones do: their side of the slots
 * is pool/share/slots.c, their packets are passed by hand.
 */
#pragma once

#include "tests/unit/fake/sys.h"
#include "pool/broker/broker.h"
#include "pool/conn/conn.h"
#include "pool/conn/destination.h"

#define SECOND 1000000000ull
#define FAKE_EUID 1000
#define FAKE_IDLE (60 * SECOND) /* after which what a process parks expires */

struct fake_process {
	struct broker_process *process; /* NULL: it has ended */
	struct slots slots;
};

extern struct broker fake_broker;
extern struct broker_out fake_broker_out; /* the last answer */

/* Fixtures: room for 100 connections. Nothing may be left open at the end but what the test's connections have. */
void fake_broker_start(void);
void fake_broker_stop(void);

/* The lists agree with each other and with what the processes have. */
void fake_broker_check(void);

/* A process that connects and says hello. */
void fake_process_start(struct fake_process *process, const char *name, uint32_t flags);
void fake_process_start_limited(struct fake_process *process, uint32_t max_idle_conns, uint32_t max_per_host);

/* It ends; what descriptors its connections have is the test's business, or they are those of one. */
void fake_process_end(struct fake_process *process);
void fake_process_end_with(struct fake_process *process, struct conn *conn);

/* Sends a packet; the result of broker_receive(). */
int fake_process_send(struct fake_process *process, const union broker_packet *packet, size_t length, int passed,
		      unsigned n_passed);
int fake_process_request(struct fake_process *process, enum broker_message type, uint32_t flags,
			 const struct conn *conn, int passed);

/* 10.0.0.NUMBER:80, of our user. */
struct destination *fake_broker_destination(unsigned number);

/* A connection that one dialed: a socket, a cookie, an exchange that both sides counted. */
void fake_process_dial(struct conn *conn, unsigned destination);

/* Its idle time begins. The first time, its descriptor's duplicate goes to the broker. */
void fake_process_park(struct fake_process *process, struct conn *conn);

/* Uses its own again. */
void fake_process_claim(struct fake_process *process, struct conn *conn);
void fake_process_exchange(struct conn *conn);

/* Asks the broker. The answer's status; if BROKER_GIVEN, conn has a descriptor of its own and all that is known. */
enum broker_answer fake_process_lease(struct fake_process *process, struct conn *conn, unsigned destination);

/* What it does with a connection that was passed into a slot of its. */
void fake_process_receive(struct fake_process *process, struct conn *conn, int passed);

/* Closes its descriptors of what was taken. How many. */
unsigned fake_process_let_go(struct fake_process *process);

/* Closes its descriptor and frees the slot, without a word. */
void fake_process_close(struct fake_process *process, struct conn *conn);

/* The descriptor alone, as the kernel does at a process's end. */
void fake_process_lose(struct conn *conn);

/* Closes the descriptor of an idle one, which goes on at the broker's. */
void fake_process_leave(struct fake_process *process, struct conn *conn);

/* The server's FIN: whoever watches is told. */
void fake_broker_hang_up(const struct conn *conn);
/* Its part without the notice. */
void fake_broker_hang_up_silently(const struct conn *conn);
void fake_broker_notice(const struct conn *conn);

/* The broker's object for a connection, NULL: it holds none. */
struct held *fake_broker_find(const struct conn *conn);
