/*
 * A connection to a server: dialled for somebody, in use, or idle in the pool (pool/idle.h). Who uses it is told of
 * what comes on it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pool/conn/destination.h"
#include "pool/conn/refusal.h"
#include "tools/relay/link.h"

/* No more is taken from one side while so much waits for the other. */
#define UPSTREAM_BACKLOG (256u << 10)

struct upstream;

/* Whoever uses it. In each call it may be given up. */
struct upstream_user {
	/* The dial has ended: 0 or errno. After an error it is gone when this returns, without the user's help. */
	void (*dialled)(struct upstream *upstream, int error);

	/* Bytes of the server, which may be changed, as may the PROTOCOL_INSERTION_MAX bytes before them. */
	void (*came)(struct upstream *upstream, char *bytes, size_t length);

	/* The server's end of file (0), or errno. It has not been ended yet. */
	void (*ended)(struct upstream *upstream, int error);

	/* All waiting bytes have been sent. */
	void (*drained)(struct upstream *upstream);

	/* The object is a client whose answer comes next: others may be behind it. */
	bool is_exchange;
};

struct upstream {
	struct link link;
	struct conn *conn;
	const struct upstream_user *user; /* NULL: nobody, it is idle */
	void *object;			  /* the user's */
	uint64_t last_client;		  /* the serial of the client whose answer came last; 0: none */
	uint64_t dialled_ns;		  /* when the dial began */
	uint64_t parked_ns;		  /* since when it is idle; 0: another process has parked it */
	uint64_t head_since_ns;		  /* since when the user's answer is the next to come */
	unsigned n_behind;		  /* exchanges of others behind the user's (pipelining) */
	unsigned n_answered_behind;	  /* of those, answered in its life */
	int send_error; /* what broke it, if a send was told of that: the kernel says it once; else 0 */
	bool is_dialling;
	bool is_leased;	    /* another exchange has used it before */
	bool was_heard;	    /* bytes have come since its user was the next to be answered */
	bool was_asked;	    /* the server was told that nothing more comes */
	bool has_ended;	    /* its end of file has come */
	bool is_cold;	    /* an answer is not awaited for long (pool/conn/cold.h) */
	enum refusal unfit; /* REFUSAL_NONE: it may be kept */
};

/* Dials. NULL and errno if that failed at once, else user->dialled() follows. */
struct upstream *upstream_dial(struct destination *destination, const struct upstream_user *user, void *object);

/* True if a kept connection is there, also one that another process has parked: it is brought here. */
bool upstream_can_lease(struct destination *destination);

/* The newest kept one that is alive. NULL: there is none. */
struct upstream *upstream_lease(struct destination *destination, const struct upstream_user *user, void *object);

/* The last_client of the newest kept one; 0: there is none. */
uint64_t upstream_newest_of(const struct destination *destination);

/* True if its server was heard so lately that it can't have ended it for being idle (pool/conn/idle_timeout.h). */
bool upstream_is_young(const struct upstream *upstream);

/* The next connection to this destination (NULL: to any) that is in use, behind `upstream` (NULL: the first); NULL: no
 * more. */
struct upstream *upstream_next_in_use(const struct destination *destination, const struct upstream *upstream);

/* Changes its user. */
void upstream_give(struct upstream *upstream, const struct upstream_user *user, void *object);

/* 0 or errno of send(2). */
int upstream_send(struct upstream *upstream, const char *bytes, size_t length) __attribute__((warn_unused_result));

/* True if bytes wait to be sent, for the dial or for the server to take more. */
bool upstream_has_waiting(const struct upstream *upstream);

/* Sends an end of file once all has been sent. */
void upstream_shut(struct upstream *upstream);

/* Ends it in whatever state it is: the server reads an end of file. Counts why unless REFUSAL_NONE. */
void upstream_end(struct upstream *upstream, enum refusal why);

/* Keeps it if the kernel's counters agree and the limits allow it, else ends it. The caller has seen that it is at a
 * boundary. False: the server has ended it already, and nobody has been told. */
bool upstream_park(struct upstream *upstream) __attribute__((warn_unused_result));

/* Closes a descriptor for the pool: of an upstream, or any other. */
int upstream_close_fd(int fd);

/* Ends dials that have gone on for longer than the dial timeout. */
void upstream_tick(void);

/* Called when a server has ended one that was idle here since `since_ns`: NULL until then. */
extern void (*upstream_on_idle_end)(const struct destination_key *key, uint64_t since_ns);

/* Set whenever one connection less counts against the limit of a destination, or one more is idle. */
extern bool upstream_has_room;
