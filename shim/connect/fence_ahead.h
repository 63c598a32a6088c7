/*
 * A kept connection that is used before the answer to its fence (pool/conn/fence.h) has come: the program's commands go
 * out behind the fence, and its answer is taken out of the stream in front of theirs. So undoing what the last user has
 * left costs no round trip. Meanwhile nobody who waits for bytes is told of it (SO_RCVLOWAT).
 *
 * A wrong answer comes too late for what was sent: such a connection ends as if its server had reset it. Therefore it
 * is done where the server has answered rightly before (fence_may_be_ahead()).
 */
#pragma once

#include <stdbool.h>

#include "shim/connect/fence.h"

struct sock;

/* Takes out what has come: FENCE_GOOD (then the socket awaits nothing), FENCE_AWAITED or FENCE_WRONG. Locked. */
enum fence_result fence_ahead_look(struct sock *sock);

/* For sock_settle_fence. */
bool fence_ahead_settle(struct sock *sock);
