/*
 * A kept connection that is used before the answer to its fence (pool/conn/fence.h) has come: the program's commands go
 * out behind the fence, and its answer is taken out of the stream in front of theirs. So undoing what the last user has
 * left costs no round trip. Meanwhile nobody who waits for bytes is told of it (SO_RCVLOWAT).
 *
 * A wrong answer comes too late for what was sent: such a connection ends as if its server had reset it. Therefore it
 * is done where the server has answered rightly on it before (fence_may_be_ahead()); and in processes without threads,
 * one of which could read the answer past us.
 */
#pragma once

#include <stdint.h>

#include "pool/base/clock.h"
#include "shim/connect/fence.h"

struct sock;

/* Takes out what has come: FENCE_GOOD (then the socket awaits nothing), FENCE_AWAITED or FENCE_WRONG. Locked. */
enum fence_result fence_ahead_look(struct sock *sock);

/* Nobody is to read what comes or has come: the connection is shut down. Locked. */
void fence_ahead_end(struct sock *sock);

/* A server that is busy for longer is given up. */
#define FENCE_SETTLE_NS (3 * SECOND_NS)

/* For sock_settle_fence. */
void fence_ahead_settle(struct sock *sock);

/* The same, no later than by a time of guard_clock_ns(). */
void fence_ahead_settle_by(struct sock *sock, uint64_t end_ns);
