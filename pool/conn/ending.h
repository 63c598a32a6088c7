/*
 * How a kept connection ends. Its server is to read an end of file, as from any client that has gone, and no port of
 * ours is to be left behind in TIME_WAIT: the program did not ask for this connection to live on, and can't be
 * charged for it.
 *
 * A sole holder just closes it: that is a FIN, and a negative TCP_LINGER2 (tcp(7)), set when it was parked,
 * spares it TIME_WAIT. But a close() is no end where somebody else has a descriptor too, and it is an RST where bytes
 * were left unread (RFC 2525, 2.17). There shutdown() sends the FIN, and connect(2) with AF_UNSPEC ends what is left,
 * for every holder: the RST that it sends comes after the FIN, and reading tells of that first (the server's next
 * write fails, as natively). A server that closes between the two calls would have us left in TIME_WAIT: what it
 * sends from the first one on is not received any more (IP_MINTTL, ip(7): packets begin with 64 or 128 hops to go,
 * not with 255).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "pool/base/sys.h"
#include "pool/conn/ledger.h"

/* Ends a connection with nothing in flight, whose descriptor the caller closes next. `ledger` is what it was when it
 * became idle; `has_holders`: somebody else may have a descriptor of it. Harmless for one that has ended. The server
 * gets `farewell` (NULL: nothing) before the end of file. */
void ending_make(const struct pool_sys *sys, int fd, const struct ledger *ledger, bool has_holders,
		 const struct pool_farewell *farewell);

/* Takes out what a server has said that nobody is to read, or the close would be an RST. Returns how many bytes. */
uint64_t ending_drain(const struct pool_sys *sys, int fd);

/* The same, for all who hold it, where nothing is known of it. */
void ending_make_for_all(const struct pool_sys *sys, int fd, const struct pool_farewell *farewell);
