/*
 * Events in the life of a socket: each is counted, logged, and told to the static probes (probes.h). The caller holds
 * the socket's lock, or passes a copy of its tally.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "pool/stats/stats.h"

struct sock;

/* Where a socket is counted. Zeroes: nowhere, as for sockets that came from another process. */
struct tally {
	struct stats_destination *destination;
	struct stats_callsite *callsite;
	uint64_t connected_ns; /* coarse: connect() was called */
	uint64_t dialing_ns;   /* precise: a dial began; 0: none is under way */
	bool was_kept;	       /* its connection was parked, or would have been */
	bool has_failed;       /* there never was one: nothing that could be refused */
};

/* Sockets and the pool point into the page of statistics. */
extern const struct stats_page_users events_users;

/* connect() on a new socket whose key is complete, called from `caller` (a return address). */
void events_connect(struct sock *sock, void *caller);

/* A further request that counts as another connect() of the program, from the same place. */
void events_connect_again(struct sock *sock);

/* A dial begins; then what became of it: `error` 0, or an errno. EINPROGRESS and EINTR: not known yet. */
void events_begin_dial(struct tally *tally);
void events_end_dial(struct tally *tally, int fd, int error);

/* Something shows that the dial under way has succeeded (0) or failed (errno). One comparison if none is. */
void events_dial_done(struct sock *sock, int error);

/* The same, asked of the kernel, since the socket is not followed any more (`goes_on`) or is about to be closed. */
void events_ask_dial(struct sock *sock, bool goes_on);

/* A line of the log, where there is one; `why` may be NULL. errno is preserved. */
void log_event(const char *what, const struct sock *sock, const char *why);

void events_lease(const struct sock *sock);
void events_refuse(struct sock *sock, enum refusal why);
void events_park(struct sock *sock);
void events_would_park(struct sock *sock); /* observe mode */

/* The program has closed the socket. */
void events_close(struct sock *sock, int fd);
