/*
 * One send on a tracked connection: planned before the kernel has it, accounted for afterwards. What the program is
 * told about lengths is about its own bytes; what the ledger and a replay need is about those that went out.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "pool/exchange/plan.h"

struct sock;
struct transfer;

#define SENDING_VECTOR_MAX 16

/* One send as it will really be made. */
struct send_plan {
	struct plan plan;
	unsigned n_fed;	      /* how often answers had been framed by then */
	struct replay replay; /* the socket's, in our hands while we are unlocked */
};

/* The program's bytes behind `skip`. */
void send_plan_copy_out(const struct transfer *transfer, size_t skip, char *to, size_t length);

/* False for a first send that can't be kept to be sent again: it is too long, or nobody knows what the kernel makes of
 * what comes with it (control messages, flags). */
bool send_plan_is_repeatable(const struct transfer *transfer, size_t total);

/* Copies, frames and edits the `total` bytes that are to be sent. Locked. */
void send_plan_make(struct sock *sock, const struct transfer *transfer, size_t total, struct send_plan *sending);

/* Undoes a plan of which nothing, or not all, went out. False if it is too late: an answer was framed on that
 * assumption by another thread. Locked. */
bool send_plan_take_back(struct sock *sock, const struct send_plan *sending);

/* `sent` > 0 bytes of the plan went out. Locked. */
void send_plan_account(struct sock *sock, const struct transfer *transfer, struct send_plan *sending, size_t sent);
