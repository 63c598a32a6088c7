/* Receiving on a connection whose fence is still to be answered (shim/connect/fence_ahead.h). */
#pragma once

struct sock;
struct transfer;

/* Before a receive: takes it out, and waits for it as the receive would wait. The socket, locked; NULL: the receive has
 * failed, errno says how, and nothing is locked. */
struct sock *receive_behind_fence(struct sock *sock, struct transfer *transfer);
