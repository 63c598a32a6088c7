/*
 * What the parts of the broker share: broker.c (processes and their packets) and held.c (the connections).
 * Nobody else includes this.
 */
#pragma once

#include "pool/broker/broker.h"

/* Our duplicate goes; whoever uses the connection goes on with it. */
void held_forget(struct broker *broker, struct held *held);

/* How many connections of a destination are looked at for an idle one, where somebody else may do without. */
#define HELD_LOOKS 64

/* The newest fit connection of a destination, now the process's and in its slot. NULL: there is none among so many. */
struct held *held_find(struct broker *broker, struct broker_process *process, struct broker_destination *destination,
		       const struct broker_request *request, uint32_t looks);

/* True if only a connection whose server was heard just now is for this request: see habits.h. */
bool held_wants_truth(const struct broker_destination *destination, const struct broker_process *process,
		      const struct broker_request *request);

/* True if there is an idle one. */
bool held_has_idle(const struct broker_destination *destination);

/* Ends the longest idle one of a destination, if it is among so many. */
void held_retire(struct broker *broker, struct broker_destination *destination, uint32_t looks);

/* Ends some idle ones to the key's peer: their ports are needed. */
void held_relieve(struct broker *broker, const struct destination_key *key);

/* Makes room for one more of this process's. False: there is none. */
bool held_make_room(struct broker *broker, const struct broker_process *process,
		    struct broker_destination *destination);

/* Takes charge of a process's connection. NULL: no memory. */
struct held *held_add(struct broker *broker, struct broker_process *process, struct broker_destination *destination,
		      const struct broker_request *request, int fd);

/* Its process has ended. */
void held_inherit(struct broker *broker, struct held *held);

/* What a private process has is a destination of its own. */
void held_salt_key(const struct broker_process *process, struct destination_key *key);

/* A process opened this connection for a ticket. 0, or -errno: cut it off. */
int tickets_take(struct broker *broker, struct broker_process *ticket, const struct broker_request *request);

/* Gives what there is to whoever waits. After anything that may have made room. */
void tickets_serve(struct broker *broker);

/* The connection that a ticket was for is held, and counted so, from now on. */
void tickets_convert(struct broker *broker, struct broker_destination *destination, uint64_t number);

/* A process or a ticket is gone. */
void tickets_dismiss(struct broker *broker, struct broker_process *process);

/* Ends it if it is idle, else lets go of it. */
void held_give_up(struct broker *broker, struct held *held);
