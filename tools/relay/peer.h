/* Whether a program has closed its end of a loopback connection, or only said that it sends no more: an end of file
 * looks the same in both cases. The kernel tells by NETLINK_SOCK_DIAG (sock_diag(7)). */
#pragma once

#include <stdbool.h>

#include "tools/relay/ends.h"

/* True if no descriptor of the program's socket is left. About 10 us. False also where the kernel does not tell. */
bool peer_has_closed(const struct connection_ends *ends);
