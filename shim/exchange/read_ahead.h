/*
 * Reading ahead: the rest of an answer is taken from the server now, and put where the program, or whoever gets the
 * descriptor from it, finds it with an end of file behind it that depends on nobody. For readers that no wrapper sees.
 */
#pragma once

#include <stdbool.h>

struct sock;

/* True: every number of the socket is now one end of a socket pair that holds the rest of the answer (SOCK_STUB),
 * and the connection is gone. (Of one that is inherited, for the parent too: it reads its end. Or the answer has stayed
 * where it is, and has its end there.) False: it doesn't come whole within two seconds, or is larger than a buffer;
 * nothing has changed. Locked. */
bool read_ahead_finish(struct sock *sock) __attribute__((warn_unused_result));

/* The same of an inherited one that its parent may be about to read: all bytes stay in the connection, as the server
 * has sent them. True: the answer is there whole, or others have read of it, and its end comes. False: it is not, after
 * two seconds if `waits`; nothing has changed. Locked. */
bool read_ahead_leave(struct sock *sock, bool waits) __attribute__((warn_unused_result));
