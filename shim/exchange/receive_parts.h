/*
 * A receive that is made in several parts, where the kernel makes it in one: between two of them the descriptor may
 * have been closed and be another one's, a signal has to end it, and an error has to be left for the next call.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "pool/base/clock.h"

struct sock;

struct receive_parts {
	int fd;
	const struct sock *sock;
	uint32_t generation;
	uint64_t cookie; /* of its file: it may go native meanwhile */
	bool may_wait;
	uint64_t timeout_ns; /* SO_RCVTIMEO, 0: none */
	struct deadline deadline;
};

/* `flags` of the receive. Locked. */
void receive_parts_begin(struct receive_parts *parts, const struct sock *sock, int fd, int flags);

/* The program's timeout runs anew, as for each message of recvmmsg(2). */
void receive_parts_restart_timeout(struct receive_parts *parts);

/* Between two parts. True if another one is to be made: it is the same socket still, and something is there, or its
 * end; waits for that if the receive may, for as long as the whole of it may. Preserves errno. */
bool receive_parts_go_on(const struct receive_parts *parts);
