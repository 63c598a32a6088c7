/*
 * The close_notify of a connection that is kept (RFC 8446 6.1, RFC 5246 7.2.1), sealed when it is parked: whoever ends
 * it there, this process or the broker, sends those bytes before the end of file and needs no key.
 *
 * The record has the number that is next when it is sealed, and that number is taken only when it is about to be sent,
 * in the shared state, and only if it is still the next one. Once a lessee has sealed anything, or another has taken
 * the farewell, nobody gets it any more: of all records with one number one is sent. (What is sealed and not sent lies
 * beside the key in memory, and is seen by nobody who has not got that.)
 */
#pragma once

#include "pool/base/sys.h"
#include "pool/tls/record.h"

struct tls_state;

/* Seals one into the state that is shared, for the key of `epoch`; without one where that fails. */
void tls_farewell_seal(struct tls_state *shared, struct tls_seal *seal, uint16_t epoch);

/* Takes it to be sent. False: there is none, or it is of no use any more. The state may be hostile. */
bool tls_farewell_take(struct tls_state *shared, struct pool_farewell *farewell) __attribute__((warn_unused_result));
