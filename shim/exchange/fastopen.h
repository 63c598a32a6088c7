/* TCP Fast Open (RFC 7413, tcp(7)) by one call that connects and sends. */
#pragma once

#include <sys/types.h>

struct sock;
struct transfer;

/* A send with MSG_FASTOPEN on a socket that is not connected. As sendto() and sendmsg(). Consumes the lock. */
ssize_t fastopen_send(struct sock *sock, struct transfer *transfer);
