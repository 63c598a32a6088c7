/* One packet with descriptors beside it, over an AF_UNIX SOCK_SEQPACKET socket (unix(7), SCM_RIGHTS). */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "pool/base/sys.h"

/* So many at most. */
#define FDPASS_MAX 2

/* Sends without blocking. `passed` -1: no descriptor. 0 or -errno (-EAGAIN: the receiver is behind). No SIGPIPE. */
int fdpass_send(const struct pool_sys *sys, int fd, const void *packet, size_t length, int passed)
	__attribute__((warn_unused_result));

/* Receives without blocking. The packet's length (0: the other side has gone), or -errno. *passed is the descriptor
 * that came, close-on-exec and the caller's to close, or -1; *n_passed counts those that came or should have: more
 * than one are closed here. A packet longer than `room` is -EMSGSIZE. */
ssize_t fdpass_receive(const struct pool_sys *sys, int fd, void *packet, size_t room, int *passed, unsigned *n_passed)
	__attribute__((warn_unused_result));

/* The same with `n` descriptors, and with up to `n_max`: those that did not come are -1. */
int fdpass_send_some(const struct pool_sys *sys, int fd, const void *packet, size_t length, const int *passed,
		     unsigned n) __attribute__((warn_unused_result));
ssize_t fdpass_receive_some(const struct pool_sys *sys, int fd, void *packet, size_t room, int *passed, unsigned n_max,
			    unsigned *n_passed) __attribute__((warn_unused_result));
