/*
 * A connection of the program, whose other end is ours: what it sends is a request for exchange.h, or bytes of a
 * tunnel.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "pool/conn/destination.h"
#include "pool/exchange/replay.h"
#include "pool/proto/protocol.h"
#include "tools/relay/ends.h"
#include "tools/relay/link.h"
#include "tools/relay/queue.h"

struct upstream;

enum client_stage {
	CLIENT_BETWEEN,	    /* no exchange: the next bytes begin one */
	CLIENT_QUEUED,	    /* waits for a connection, at the limit */
	CLIENT_IN_EXCHANGE, /* `upstream` carries it */
	CLIENT_TUNNEL,	    /* bytes pass as they are */
	CLIENT_FINISHING,   /* gets what waits, then its end of file */
	CLIENT_DRAINING,    /* has gone; the rest of its answer is passed over */
	CLIENT_DELIVERING,  /* has gone; what it sent last is still on its way to the server */
	CLIENT_GONE,	    /* freed as soon as no event can be about it */
};

/* The kept connection that may carry a request. */
enum client_needs {
	CLIENT_NEEDS_FRESH, /* none */
	CLIENT_NEEDS_OWN,   /* the one that carried the last request of the same client, and nobody's since */
	CLIENT_NEEDS_YOUNG, /* that one, or one that was in use a moment ago */
	CLIENT_NEEDS_ANY,
};

struct client {
	struct link link;
	struct destination_key key;
	struct connection_ends ends;
	uint64_t serial; /* nobody else's; from 1 */
	ino_t inode;	 /* of the program's socket, where that is how it is found (made_sockets.h); else 0 */
	enum client_stage stage;
	struct upstream *upstream; /* NULL: none. In CLIENT_BETWEEN: dialled for it, not used yet */

	/* Of the exchange. */
	struct protocol_state state;
	struct replay replay;
	bool was_replayed;
	struct client *behind; /* whose answer comes after this one's on the connection (pipelining); NULL: nobody's */
	bool is_behind;	       /* somebody else's answer comes before it */
	bool was_behind;
	unsigned refused_status; /* of an answer that made it be asked again, alone; 0: none */
	enum client_needs needs;
	bool is_counted; /* as reused */
	bool has_spoken; /* an exchange has begun; else its connect was only a look */

	struct queue in;    /* not yet on its way */
	bool has_ended;	    /* the program's end of file has come */
	bool ends_abruptly; /* what CLIENT_FINISHING ends with is an RST */
	bool is_orderly;    /* it must not end by an RST, which spares its port a TIME_WAIT: the program still reads */
	size_t n_drained;   /* bytes that were passed over */
	uint64_t since_ns;  /* when it was made, or its last exchange ended; when draining or delivering began */
	struct client *previous, *next; /* all of them */
	struct client *same_port;
	struct client *queue_previous, *queue_next; /* CLIENT_QUEUED */
};

/* One whose socket is yet to come in. `upstream` (NULL: none) was dialled for it. NULL when there is no memory. */
struct client *client_expect(const struct destination_key *key, const struct connection_ends *ends,
			     struct upstream *upstream);

/* The newest that is expected, or connected, between these ends; NULL: there is none. */
struct client *client_find(const struct connection_ends *ends);
struct client *client_find_socket(ino_t inode);

/* Its socket has come in, and is its own from here on. */
void client_accept(struct client *client, int fd);

/* Frees it: its socket is closed, its connection ended. Harmless for one that is CLIENT_GONE. */
void client_end(struct client *client);

/* Those that nobody came for, and drains that take too long. */
void client_tick(void);

/* A server has ended a connection that was idle since `since_ns`. It would have ended those of programs, too, that are
 * idle for as long: a program may wait for that. */
void client_end_idle(const struct destination_key *key, uint64_t since_ns);

bool client_is_any(void);
unsigned client_n(void);
