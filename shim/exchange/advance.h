/* The bookkeeping of one exchange on an open socket, for sending and receiving. All under the socket's lock. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "pool/proto/protocol.h"

struct sock;
struct transfer;

/* The leased connection is dead before any answer: a fresh one takes its place if nothing can be lost or done twice
 * by it. 0: replaced, the call may be tried again. -ETIMEDOUT: it could not be dialled in time (`longest_ms` as in
 * redial.h), which may be tried again; other negative: it is not to be replaced. */
int exchange_recover(struct sock *sock, int longest_ms) __attribute__((warn_unused_result));

/* A connection of this process has turned out to be stale. */
extern _Atomic(bool) exchange_met_stale;

/* The same for a server that says so by a 408 to nobody's request, whose bytes have been read. */
bool exchange_recover_from_timeout(struct sock *sock);

/* True for what a kept connection shows when the server has gone: end of file, or one of the errors of a broken one. */
bool exchange_is_hang_up(ssize_t result, int error);

/* The memo that the connections of the process share; NULL where it is not worth it (yet). */
struct framing_memo *exchange_memo(void);

/* Moves a tracked connection on after bytes have moved: an ended exchange is finished, a hopeless one is no longer
 * tracked (SOCK_FREE). */
void exchange_advance(struct sock *sock);

/* The same for bytes of body that no wrapper looked at (sendfile, splice). */
void exchange_account_unseen(struct sock *sock, bool is_request, size_t length);
