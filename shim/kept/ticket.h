/*
 * A ticket: the broker's leave to have one more connection to a destination, where connections are counted
 * (MAX_CONNS_PER_HOST), or the wait for it in turn. It is a connection to the broker of its own: the broker sees its
 * end, whatever becomes of the process.
 *
 * The broker answers with leave to dial or with a connection that has become idle, whichever comes first. No socket
 * and no lock is known here.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct conn;
struct destination_key;

struct ticket {
	int fd;		   /* a connection to the broker, -1: none */
	uint64_t number;   /* of the leave */
	uint64_t cookie;   /* of a placeholder: SO_COOKIE, by which its numbers are known where nothing else is */
	struct conn *conn; /* what an answer may fill, while waiting; ours */
};

struct ticket_answer {
	int kind; /* enum broker_answer; -EAGAIN: none yet; -ETIMEDOUT, -EINTR: not in time; else: no broker */
	int fd;	  /* GIVEN: the connection's, for ticket_conclude(); else -1 */
};

/* Asks for leave. `is_forced`: the broker counts the connection, whatever the limit says. False: there is no broker,
 * or none that gave its welcome within `patience_ms`, so nothing is counted. */
bool ticket_ask(struct ticket *ticket, const struct destination_key *key, uint32_t max_conns, bool is_forced,
		int patience_ms) __attribute__((warn_unused_result));

/* The answer, without waiting. QUEUED is followed by another. */
struct ticket_answer ticket_read(struct ticket *ticket);

/* The first answer, within so many milliseconds; signals don't end the wait. */
struct ticket_answer ticket_await(struct ticket *ticket, int patience_ms);

/* The answer when its turn has come, within `timeout_ns`. 0: whenever it comes, and a signal ends the wait as it
 * would end connect(). */
struct ticket_answer ticket_await_turn(struct ticket *ticket, uint64_t timeout_ns);

/* The answer has come: the connection that it brought, CONN_OPEN; NULL: none. With leave the ticket goes on. */
struct conn *ticket_conclude(struct ticket *ticket, struct ticket_answer answer);

/* The answer has come too late: ends the connection that it brought. */
void ticket_refuse(struct ticket_answer answer);

/* The leave is used no longer, or the wait is over; there is no ticket afterwards. */
void ticket_give_back(struct ticket *ticket);
