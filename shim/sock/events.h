/*
 * What is counted in the life of a socket, and told to static probes (probes.h). Who counts holds the socket's lock, or
 * passes a copy of its tally.
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

/* connect() on a new socket whose key is complete, called from `caller` (a return address). */
void counting_connect(struct sock *sock, void *caller);

/* What stands for another connect() of the program, from the same place. */
void counting_connect_again(struct sock *sock);

/* A dial begins; then what became of it: `error` 0, or an errno. EINPROGRESS and EINTR: not known yet. */
void counting_begin_dial(struct tally *tally);
void counting_end_dial(struct tally *tally, int fd, int error);

/* Something shows that the dial under way has succeeded (0) or failed (errno). One comparison if none is. */
void counting_settle(struct sock *sock, int error);

/* The same, asked of the kernel, since the socket is not followed any more (`goes_on`) or is about to be closed. */
void counting_settle_by_kernel(struct sock *sock, bool goes_on);

void counting_lease(const struct sock *sock);
void counting_refuse(struct sock *sock, enum refusal why);
void counting_park(struct sock *sock);
void counting_would_park(struct sock *sock); /* observe mode */

/* The program has closed the socket. */
void counting_close(struct sock *sock, int fd);
