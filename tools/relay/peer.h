/* Whether a program has closed its end of a loopback connection, or only said that it sends no more: an end of file
 * looks the same in both cases. The kernel tells by NETLINK_SOCK_DIAG (sock_diag(7)). */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>

/* `program` and `ours` are the two ends, as the program's socket has them. True if no descriptor of its socket is left.
 * About 10 us. False also where the kernel does not tell. */
bool peer_has_closed(const struct sockaddr_in6 *program, const struct sockaddr_in6 *ours);
