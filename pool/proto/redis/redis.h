/*
 * Redis and Valkey as an entry of the table of protocols (pool/proto/protocol.h).
 *
 * A connection is kept where commands and replies are equal in number. What its user may have left on it is undone by
 * RESET (Redis 6.2), whose answer proves that nothing else was due; where nothing can be left no word is said.
 */
#pragma once

#include "pool/proto/entry.h"
#include "pool/proto/redis/framing.h"

extern const struct protocol redis;
