/*
 * Real AF_UNIX sockets and memory for tests of broker clients, with a clock that advances by poll()'s waits, and calls
 * that fail when the test says so.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "pool/base/sys.h"

struct fake_wire {
	uint64_t now_ns;
	unsigned n_interrupted; /* this many of the next sendmsg(), recvmsg() and poll() calls fail with EINTR */
	int poll_error;		/* poll() fails with it */
	bool map_fails;
	unsigned n_sent, n_received, n_polled; /* calls */
	void (*on_poll)(void);		       /* called during poll(); without it, the time passes */
};

extern struct fake_wire fake_wire;
extern const struct pool_sys fake_wire_sys;

/* A fixture: a connected pair of SOCK_SEQPACKET sockets, both ends non-blocking. */
extern int fake_wire_fds[2];
void fake_wire_start(void);
void fake_wire_stop(void);

/* How many descriptors are open in this process. */
unsigned fake_wire_n_fds(void);

/* Sends a packet with `n` descriptors, without the bounds of fdpass_send(). */
void fake_wire_send(int fd, const void *packet, size_t length, const int *passed, unsigned n);

/* Memory that can be passed, zeroed. */
int fake_wire_memory(uint64_t length);
