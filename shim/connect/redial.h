/*
 * Putting a freshly dialled connection in the place of a leased one: before an unsafe method is risked on it, or when
 * it has turned out dead before any answer. The program, which believes its connection fresh, sees what a fresh one
 * shows.
 */
#pragma once

#include <stdbool.h>

struct conn;
struct sock;

enum redial_reason {
	REDIAL_FOR_STALE,    /* the server has hung up: what was sent is sent again */
	REDIAL_FOR_UNFIT,    /* alive, but not to be risked. It ends before the dial, so that a server that serves one
			       connection at a time is free */
	REDIAL_FOR_STRANGER, /* a process without us will read the answer, and its end of file must be the server's: the
				request is sent again as the program wrote it */
	REDIAL_FOR_OTHER_SESSION, /* alive, under keys for somebody else: parked again, if nobody waits on it */
};

/*
 * Replaces the connection of an open socket, and sends again what its replay holds.
 *
 * With nothing to send again, a non-blocking socket gets a dial in progress (EAGAIN on writing, writable after the
 * handshake, refusal as natively); else the dial is waited for: a non-blocking program's for three seconds at most, a
 * blocking one's for three seconds or `longest_ms`, whichever is longer (-1: as long as it takes). 0, or -errno of the
 * dial: then the program keeps the dead connection, whose error it is to be given. -EKEYREJECTED: below a session
 * (transport.h) the server has shown another certificate each time; the connection is unfit, but as it was. Locked; the
 * lock is given up while it blocks, and it is had again on return, even if the program has closed the socket meanwhile:
 * then the state is SOCK_FREE, and sock_leave() is all that may be done with it.
 */
int redial(struct sock *sock, enum redial_reason reason, int longest_ms) __attribute__((warn_unused_result));

/* Below a session whose thread waits by readiness (pending.h) redial() only begins to dial, and the transport holds
 * what it had. Then one more may take the place of the fresh connection, whose server is the wrong one: a dial in
 * progress, too. 0 or -errno. Locked. */
int redial_once_more(struct sock *sock) __attribute__((warn_unused_result));

/* ... or the one that is held: it is the socket's again. 0 or -errno. Locked. */
int redial_return(struct sock *sock, struct conn *held) __attribute__((warn_unused_result));

/* What is held ends. NULL is fine. May be locked. */
void redial_end_held(struct conn *held, bool serves_one);
