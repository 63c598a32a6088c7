/* Receiving on a connection whose fence is still to be answered (shim/connect/fence_ahead.h). */
#pragma once

#include <sys/types.h>

struct sock;
struct transfer;

/* Before a receive: takes it out, and waits for it as the receive would wait. The socket, locked; NULL: the receive has
 * ended with *result and errno, and nothing is locked. */
struct sock *receive_behind_fence(struct sock *sock, const struct transfer *transfer, ssize_t *result);
