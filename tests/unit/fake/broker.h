/*
 * A broker over the fake kernel, and processes that share connections through it as real ones do: their side of the
 * slots is pool/share/slots.c; the tests pass their packets by hand.
 */
#pragma once

#include "tests/unit/fake/sys.h"
#include "pool/broker/broker.h"
#include "pool/conn/conn.h"
#include "pool/conn/destination.h"

#define SECOND 1000000000ull
#define FAKE_EUID 1000
#define FAKE_IDLE (60 * SECOND) /* expiry time of parked connections */

struct fake_process {
	struct broker_process *process; /* NULL: it has ended */
	int pid;
	struct slots slots;
	struct slots_entry entries[SLOTS_PER_REGION];
};

extern struct broker fake_broker;
extern struct broker_out fake_broker_out; /* the last answer */

/* Fixtures: room for 100 connections. At the end only the test's connections may be open. */
void fake_broker_start(void);
void fake_broker_stop(void);

/* Checks that the lists agree with each other and with the processes. */
void fake_broker_check(void);

/* A process that connects and says hello. */
void fake_process_start(struct fake_process *process, const char *name, uint32_t flags);
void fake_process_start_limited(struct fake_process *process, uint32_t max_idle_conns, uint32_t max_per_host);
void fake_process_start_asking(struct fake_process *process, const struct destination_key *key);

/* Ends a process, of which the broker hears at once. The descriptors of its connections are the test's business, or
 * they are those of `conn`. */
void fake_process_end(struct fake_process *process);
void fake_process_end_with(struct fake_process *process, struct conn *conn);

/* Those who watch a process that has ended hear of it. */
void fake_broker_notice_end(int pid);

/* Sends a packet; the result of broker_receive(). */
int fake_process_send(struct fake_process *process, const union broker_packet *packet, size_t length, int passed,
		      unsigned n_passed);
int fake_process_request(struct fake_process *process, enum broker_message type, uint32_t flags,
			 const struct conn *conn, int passed);

/* 10.0.0.NUMBER:80, of our user. */
struct destination *fake_broker_destination(unsigned number);

/* A dialed connection: a socket, a cookie, an exchange that both sides counted. */
void fake_process_dial(struct conn *conn, unsigned destination);

/* Parks it. The first time, a duplicate of its descriptor goes to the broker. */
void fake_process_park(struct fake_process *process, struct conn *conn);

/* The process uses its own connection again. */
void fake_process_claim(struct fake_process *process, struct conn *conn);
void fake_process_exchange(struct conn *conn);

/* Asks the broker. The answer's status; if BROKER_GIVEN, conn has a descriptor of its own and all known values. */
enum broker_answer fake_process_lease(struct fake_process *process, struct conn *conn, unsigned destination);

/* Takes one from the shelf, without a word. False: none lies there for it. */
bool fake_process_take(struct fake_process *process, struct conn *conn, unsigned destination);

/* The state of its slot, wherever that is. */
enum slot_state fake_process_state(const struct fake_process *process, const struct conn *conn);

/* Takes over a connection that was passed into a slot of the process. */
void fake_process_receive(struct fake_process *process, struct conn *conn, int passed);

/* Closes the descriptors of connections that the broker took. Returns how many. */
unsigned fake_process_let_go(struct fake_process *process);

/* Closes the descriptor and frees the slot, without telling the broker. */
void fake_process_close(struct fake_process *process, struct conn *conn);

/* Closes the descriptor alone, as the kernel does at a process's end. */
void fake_process_lose(struct conn *conn);

/* Closes the descriptor of an idle connection, which lives on in the broker. */
void fake_process_leave(struct fake_process *process, struct conn *conn);

/* The server's FIN; the watcher is told. */
void fake_broker_hang_up(const struct conn *conn);
/* The FIN without telling the watcher. */
void fake_broker_hang_up_silently(const struct conn *conn);
void fake_broker_notice(const struct conn *conn);

/* The broker's object for a connection; NULL: it holds none. */
struct held *fake_broker_find(const struct conn *conn);
