/* One packet with at most one descriptor beside it, over an AF_UNIX SOCK_SEQPACKET socket (unix(7), SCM_RIGHTS). */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "pool/base/sys.h"

/* Sends without blocking. `passed` -1: no descriptor. 0 or -errno (-EAGAIN: the receiver is behind). No SIGPIPE. */
int fdpass_send(const struct pool_sys *sys, int fd, const void *packet, size_t length, int passed)
	__attribute__((warn_unused_result));

/* Receives without blocking. The packet's length (0: the other side has gone), or -errno. *passed is the descriptor
 * that came, close-on-exec and the caller's to close, or -1; *n_passed counts those that came or should have: more
 * than one are closed here. A packet longer than `room` is -EMSGSIZE. */
ssize_t fdpass_receive(const struct pool_sys *sys, int fd, void *packet, size_t room, int *passed, unsigned *n_passed)
	__attribute__((warn_unused_result));
