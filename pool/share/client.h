/*
 * A process's side of its talk with the broker: asks for connections, hands over those that it parks for the first
 * time.
 *
 * Every failure means the same: no broker, for now; the process goes on with its own pool. Only
 * broker_client_await_welcome() waits, for as long as it is told, and broker_client_lease(), for BROKER_PATIENCE_MS.
 * Not thread-safe: the owner's lock covers it, but lease() needs only that nobody else receives or ends meanwhile.
 */
#pragma once

#include "pool/base/sys.h"
#include "pool/conn/conn.h"
#include "pool/share/slots.h"
#include "pool/share/wire.h"

#define BROKER_PATIENCE_MS 10

struct config;

struct broker_client {
	const struct pool_sys *sys; /* its close() is for descriptors that a message brought */
	_Atomic(int) fd;	    /* of the connection to the broker, -1: none. The owner's to close */
	uint32_t sequence;	    /* of the last question */
	uint32_t number;	    /* what the broker calls us */
	bool is_asked;		    /* a question went with the introduction; nobody has taken its answer yet: */
	struct broker_reply first;  /* ... which came with the welcome, */
	int first_fd;		    /* ... and its connection, -1: none */
	struct slots slots;
};

/* Whether a connected socket's other side may be our broker. It gives us memory and connections: only a process of our
 * own user, or one for which a service manager listens. */
bool broker_client_trusts(const struct pool_sys *sys, int fd, uint32_t euid);

/* A number for an executable, by which the broker tells programs apart, and no more. */
uint64_t broker_client_program_number(const char *path, size_t length);

/* `sys` is borrowed, and so are `entries`, as by slots_init(). */
void broker_client_init(struct broker_client *client, const struct pool_sys *sys, struct slots_entry *entries);

/* Hands a conversation over to another object, which has none: `from` is as after broker_client_init(). */
void broker_client_move(struct broker_client *to, struct broker_client *from);

/* Introduces the process over a connected socket, and doesn't wait. `name` and `program` are what people and the
 * broker know the program by. `first`: the destination of a first question, which is asked at once (NULL: none): once
 * it is welcome, broker_client_reserve() and broker_client_lease() must follow for just that. 0 or -errno: then the
 * descriptor is still the caller's, and broker_client_end() has been done. */
int broker_client_introduce(struct broker_client *client, int fd, const struct config *config, const char *name,
			    uint64_t program, const struct destination_key *first) __attribute__((warn_unused_result));

/* Waits for so long to be welcome. 0, -EPROTONOSUPPORT (the broker is of another version), or -errno, with the same
 * to the descriptor. */
int broker_client_await_welcome(struct broker_client *client, int patience_ms) __attribute__((warn_unused_result));

/* Takes a slot for a connection to be asked for. False: none is free. */
bool broker_client_reserve(struct broker_client *client, struct conn *conn) __attribute__((warn_unused_result));

/* Forgets the broker. Connections that had slots go on without. */
void broker_client_end(struct broker_client *client);

/* Asks for a connection to conn's destination, for which a slot was reserved. `wants_truth`: see habits.h. The
 * broker's answer (enum broker_answer, never QUEUED): GIVEN with *fd, which the caller owns, and everything about it
 * in the slot; the kernel's ledger and the peer are for the caller to check. With any other, *fd is -1. -EMFILE: it
 * was given, and this process has no room for it; another -errno: the broker is not well, end it. */
int broker_client_lease(struct broker_client *client, const struct conn *conn, bool wants_truth, int *fd)
	__attribute__((warn_unused_result));

/* The same for a connection that was parked with a session of `kind` (not 0), which is in *session then: the caller's
 * to close. Without is_asked. */
int broker_client_lease_session(struct broker_client *client, const struct conn *conn, uint64_t kind, int *fd,
				int *session) __attribute__((warn_unused_result));

/* Hands a duplicate of a parked connection's descriptor over, so that others may lease it and the broker ends it in
 * time. Takes a slot for it. `was_unfit`: its first bytes could not have gone out on a kept connection. 0, also where
 * no slot can be had, or -errno: the broker has not got it. */
int broker_client_offer(struct broker_client *client, struct conn *conn, bool was_unfit);

/* The same for a connection with a session: only who asks for one of that kind (not 0) gets it, with a duplicate of
 * `session`. */
int broker_client_offer_session(struct broker_client *client, struct conn *conn, bool was_unfit, uint64_t kind,
				int session);

/* Somebody waits, and something of ours has become idle. */
void broker_client_tell_idle(struct broker_client *client);

/* Asks, over a connection of its own, for leave to have one more connection to conn's destination (for whose slot one
 * was reserved): at once, or in turn. `max_conns` is the limit; `is_forced`: take the leave, whatever it says. 0 or
 * -errno. */
int broker_client_ask_ticket(const struct broker_client *client, int fd, const struct conn *conn, uint32_t max_conns,
			     bool is_forced) __attribute__((warn_unused_result));

/* An answer to that, without waiting (enum broker_answer): GIVEN with *fd as from broker_client_lease(); LEAVE to
 * dial, of this *number; QUEUED: it will be answered again, in turn; DIAL: without leave. -EAGAIN: none has come yet;
 * -EMFILE: as there; another -errno: there is no broker. */
int broker_client_read_ticket(const struct broker_client *client, int ticket, uint64_t *number, int *fd)
	__attribute__((warn_unused_result));

/* Frees conn's slot, and has the broker forget its duplicate: the program, or a child of it, may go on using it. */
void broker_client_drop(struct broker_client *client, struct conn *conn);

/* Ports towards a key's peer have run out; or (`just_one`) its place at the server is needed for a dial past kept
 * ones. */
void broker_client_relieve(struct broker_client *client, const struct destination_key *key, bool just_one);

/* This program has connected to a destination only to see whether it can. */
void broker_client_looked(struct broker_client *client, const struct destination_key *key);
