/*
 * Fences (pool/conn/fence.h) on kept connections of protocols with a session: sent when one is parked whose user has
 * left something on it, and when one is leased whose server was not heard lately; proven before it is leased.
 *
 * No command of these protocols is ever sent twice. So a connection is given to a program only if its server has been
 * heard within FENCE_YOUNG_MS, or has just answered: which takes the round trip that a handshake would have taken.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "pool/config/config.h"
#include "pool/proto/protocol.h"

struct conn;

#define FENCE_YOUNG_MS 100

/* Sends what undoes what is left on an open connection that is about to be parked. False: it could not be sent whole,
 * and the connection must not be kept. */
bool fence_send_reset(struct conn *conn, const struct protocol_state *state) __attribute__((warn_unused_result));

/* True if connections of that protocol are used at all. */
static inline bool fence_is_allowed(const struct policy *policy, unsigned protocol)
{
	if (policy->protocols == CONFIG_PROTOCOLS_ALL)
		return protocol < PROTOCOL_COUNT;
	switch (protocol) {
	case PROTOCOL_HTTP1:
		return policy->protocols == CONFIG_PROTOCOLS_HTTP;
	case PROTOCOL_MEMCACHED:
	case PROTOCOL_MEMCACHED_BINARY:
		return policy->protocols == CONFIG_PROTOCOLS_MEMCACHED;
	case PROTOCOL_MYSQL:
		return policy->protocols == CONFIG_PROTOCOLS_MYSQL;
	case PROTOCOL_REDIS:
		return policy->protocols == CONFIG_PROTOCOLS_REDIS;
	}
	return false;
}

enum fence_result {
	FENCE_GOOD,    /* nothing is due, and the server is there */
	FENCE_AWAITED, /* an answer is due */
	FENCE_COLD,    /* the server has not been heard lately */
	FENCE_GONE,    /* the connection has ended, or something else than the answer has come too */
	FENCE_WRONG,   /* the answer is no proof */
};

/* The state of an open connection that is to be leased, of another protocol than HTTP. */
enum fence_result fence_look(struct conn *conn);

/* True if the answer that is due may come in front of those to a program that connects at `caller`: its server has
 * been right on this connection, and was asked just now, by the same place in the program, which is seen to read all by
 * calls of ours. */
bool fence_may_be_ahead(const struct conn *conn, uintptr_t caller, uint64_t now_ns);

/* True if there was ever one. */
extern _Atomic(bool) fence_was_ahead;

/* Takes out what has come of such an answer, and nothing behind it: FENCE_GOOD, FENCE_AWAITED or FENCE_WRONG. `fd` is
 * the connection's. errno is lost. */
enum fence_result fence_take_answer(struct conn *conn, int fd);

/* Asks the server of a cold one. False: it can't be asked. */
bool fence_ask(struct conn *conn) __attribute__((warn_unused_result));

/* So long, in ns, an answer on this connection may be waited for: about the time that a handshake would take, and where
 * the program does not block in connect() no longer than a call may take on a busy machine. 0: not at all. */
uint64_t fence_patience_ns(const struct conn *conn, bool blocks);

/* Waits until something has come. Blocks: nothing of ours may be locked. */
void fence_wait(int fd, uint64_t longest_ns);
