/*
 * One send on a tracked connection: planned before the kernel has it, accounted for afterwards. What the program is told
 * about lengths is about its own bytes; what the ledger and a replay need is about those that went out.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "pool/proto/protocol.h"
#include "shim/sock/replay.h"

struct sock;
struct transfer;

#define SENDING_VECTOR_MAX 16

/* One send as it will really be made. */
struct send_plan {
	struct protocol_state before; /* the state without it: the socket's is ahead, as if all were accepted already,
					   since another thread may read the answer before we are back */
	unsigned n_fed;		      /* by then */
	struct framing_plan plan;
	struct outgoing block; /* the socket's, in our hands while we are unlocked */
	size_t total;	       /* the program's bytes */
	size_t copied;	       /* of those, in `outgoing`, behind what was there */
	uint32_t base;	       /* where they begin in it */
	size_t inserted;       /* bytes of ours among them */
	size_t inserted_at;
	bool is_rest_appended; /* the program's remaining bytes follow from its own buffers */
};

/* The program's bytes behind `skip`. */
void send_plan_copy_out(const struct transfer *transfer, size_t skip, char *to, size_t length);

/* False for a first send that can't be kept to be sent again: it is too long, or nobody knows what the kernel makes of what comes with
 * it (control messages, flags). */
bool send_plan_is_repeatable(const struct transfer *transfer, size_t total);

/* Copies, frames and edits what is to be sent (`sending->total` bytes). Locked. */
void send_plan_make(struct sock *sock, const struct transfer *transfer, struct send_plan *sending);

/* Undoes a plan of which nothing, or not all, went out. False if it is too late: an answer was framed on that assumption
 * by another thread. Locked. */
bool send_plan_take_back(struct sock *sock, const struct send_plan *sending);

/* `sent` > 0 bytes of the plan went out. Locked. */
void send_plan_account(struct sock *sock, const struct transfer *transfer, struct send_plan *sending, size_t sent);

/* From bytes that went out to bytes of the program. */
size_t send_plan_own_bytes(const struct send_plan *sending, size_t sent);
