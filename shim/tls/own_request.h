/*
 * The wire that is still made (own_wire.h), and the program's request that waits for it. Apart from the making, since
 * all that sends asks for it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "pool/exchange/replay.h"
#include "shim/base/home.h"
#include "shim/tls/wire.h"

struct channel;
struct conn;
struct handshake;
struct library;
struct own_session;

/* As much as a replay, and what was on its way when that was full. */
#define OWN_REQUEST_MAX (REPLAY_MAX + 2 * TLS_RECORD_MAX)

struct attempt {
	const struct tls_state *like; /* what it has to be like */
	const struct tls_suite *suite;
	const struct library *library;
	struct own_session *session;
	struct handshake *record; /* of this handshake */
	bool awaits_record;
	bool is_done; /* all of it is made, though perhaps not sent */
};

/* One that is made. */
struct own_wire {
	struct own_wire *next_free;
	struct attempt attempt;
	unsigned n_tries;
	struct wire *wire; /* its result; the request is still to be sent */
	struct wire *old;  /* of the connection before, whose state is `like` */
	struct conn *held; /* ... that connection, while it stands */
	bool is_pending;   /* counted in pending_n */
	bool is_gentle;	   /* the server may have room for one connection only: see GENTLE_NS */
	uint64_t begun_ns; /* the dial, then the gentle time: its hello is sent */
	uint64_t gentle_ns;
	bool is_dialed;
	int error; /* of sending where nobody was told; negative */
	pid_t process;
	uint32_t sent, length; /* of the request */
	uint32_t out_at, out_length;
	uint32_t in_length;
	uint8_t out[TLS_RECORD_MAX];
	uint8_t in[TLS_RECORD_MAX];
	uint8_t request[OWN_REQUEST_MAX];
};

/* It was begun by the parent of this process, and not gone on with by it. */
static inline bool own_is_parents(const struct own_wire *own)
{
	return own->process != guard_pid();
}

/* Locks what the channel has of it. False: this thread has it locked, and has been interrupted. */
bool own_request_lock(struct channel *channel) __attribute__((warn_unused_result));

/* The program sends meanwhile. True: it was added; false: the wire is there. */
bool own_request_add(struct channel *channel, const uint8_t *bytes, size_t length);

/* There is no room for another record. Then it takes a moment: the program would turn in circles, for its socket is
 * writable. */
bool own_request_is_full(const struct channel *channel);
