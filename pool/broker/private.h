/*
 * Shared by the parts of the broker: broker.c (processes and their packets), held.c (connections), shelved.c (those on
 * the shelf), tickets.c (limits).
 * No other file includes this.
 */
#pragma once

#include "pool/broker/broker.h"

/* Closes our duplicate; a process that uses the connection keeps its own descriptor. */
void held_forget(struct broker *broker, struct held *held);

/* How many connections of a destination are searched for an idle one, where finding none is acceptable. */
#define HELD_LOOKS 64

/* Leases the newest fit connection of a destination to the process, into its slot. NULL: none is
 * fit among the first `looks`. */
struct held *held_find(struct broker *broker, struct broker_process *process, struct broker_destination *destination,
		       const struct broker_request *request, uint32_t looks);

/* True if only a connection whose server was heard just now is for this request: see habits.h. */
bool held_wants_truth(const struct broker_destination *destination, const struct broker_process *process,
		      const struct broker_request *request);

/* Its state; brings its contents up to date. *user: the process that has it, 0: none. */
enum slot_state held_look(struct broker *broker, struct held *held, pid_t *user);

/* True if there is an idle one. */
bool held_has_idle(const struct broker *broker, const struct broker_destination *destination);

/* Ends the connection that has been idle for longest, if it is among the first `looks` of the destination. */
void held_retire(struct broker *broker, struct broker_destination *destination, uint32_t looks);

/* Ends some idle connections to the key's peer: their ports are needed. */
void held_relieve(struct broker *broker, const struct destination_key *key);

/* Makes room for one more connection of this process. False: there is none. */
bool held_make_room(struct broker *broker, const struct broker_process *process,
		    struct broker_destination *destination);

/* Takes over a process's connection. NULL: no memory. */
struct held *held_add(struct broker *broker, struct broker_process *process, struct broker_destination *destination,
		      const struct broker_request *request, int fd);

/* The process that used the connection is dead: ends it as the kernel would, whoever has a descriptor left. */
void held_hang_up(struct broker *broker, const struct held *held);

/* Lays an idle connection of the broker's own on the shelf, if it may lie there and there is room. */
void shelved_put(struct broker *broker, struct held *held);

/* The following are for connections with a place there. */

/* Takes it back if it is idle. */
bool shelved_take(struct broker *broker, struct held *held);

/* Its place is free, whoever uses it. Also where it has none. */
void shelved_remove(struct broker *broker, struct held *held);

/* Its user has ended: ends it for whoever had it before, too. */
void shelved_hang_up(struct broker *broker, struct held *held);

/* This process was another program when it took what says that it ends with that. */
void shelved_end_executed(struct broker *broker, pid_t pid);

/* Watches whoever uses it, or fetches it back where it may not lie there any more. May end it. */
void shelved_look(struct broker *broker, struct held *held);

enum slot_state shelved_state(const struct broker *broker, const struct held *held);
const struct slot_contents *shelved_contents(const struct broker *broker, const struct held *held);
pid_t shelved_user(const struct broker *broker, const struct held *held); /* 0: nobody uses it */

/* Finds out what was done with those of a destination: what was carried on them, which were given up, and whose users
 * have ended. Somebody who asks may have to wait for the end of one: a server may serve one at a time. */
void shelved_catch_up(struct broker *broker, struct broker_destination *destination);

/* Those of a destination are not for anybody any more. */
void shelved_withdraw(struct broker *broker, struct broker_destination *destination);

/* The connection's process has ended. */
void held_inherit(struct broker *broker, struct held *held);

/* The destination of a private process's connections is its own; so is that of connections with sessions. */
void held_salt_key(const struct broker_process *process, uint64_t session, struct destination_key *key);

/* A process opened this socket to ask for a ticket. 0, or -errno: cut it off. */
int tickets_take(struct broker *broker, struct broker_process *ticket, const struct broker_request *request);

/* Gives what is available to waiting tickets. Call it after anything that may have made room. */
void tickets_serve(struct broker *broker);

/* The ticket's connection is held, and from now on counted as held. */
void tickets_convert(struct broker *broker, struct broker_destination *destination, uint64_t number);

/* A process or a ticket has ended. */
void tickets_dismiss(struct broker *broker, struct broker_process *process);

/* Ends the connection if it is idle, else lets go of it. */
void held_give_up(struct broker *broker, struct held *held);
