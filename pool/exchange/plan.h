/*
 * One send on a connection, planned before the kernel has it and accounted for afterwards. What the program is told
 * about lengths is about its own bytes; what the ledger and a replay need is about those that went out.
 *
 *   plan_begin(), memory for it from the owner, plan_make() or plan_give_up(), the send itself, plan_account_...(),
 *   plan_keep_copy().
 *
 * While it is sent the connection's state is ahead, as if all were accepted already: another thread may read the answer
 * before the sender is back.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "pool/exchange/replay.h"
#include "pool/proto/protocol.h"

/* So long a send can be kept to be sent again. */
#define PLAN_ROOM_MAX (REPLAY_MAX - PROTOCOL_INSERTION_MAX)

struct plan {
	struct protocol_state before; /* the state without it */
	struct framing_plan changes;
	size_t total;	 /* the program's bytes */
	size_t copied;	 /* of those, in the replay's block, behind what was there */
	uint32_t base;	 /* where they begin in it */
	size_t inserted; /* bytes of ours among them */
	size_t inserted_at;
	bool is_rest_appended; /* the program's remaining bytes follow from its own buffers */
};

/* The bytes of a vector behind `skip`, `length` of them. */
void plan_copy_out(const struct iovec *vector, size_t n, size_t skip, char *to, size_t length);

/* Begins to plan a send of `total` bytes. True if what is sent is to be copied: so that it can be sent again, or since
 * what is parsed of it must be what goes out (another thread may change the program's buffer meanwhile). The replay's
 * block must hold plan_room() bytes then. */
bool plan_begin(struct plan *plan, const struct protocol_state *state, struct replay *replay, size_t total);
size_t plan_room(const struct plan *plan);

/* Copies, frames and edits. */
void plan_make(struct plan *plan, struct protocol_state *state, struct framing_memo *memo, struct replay *replay,
	       const struct iovec *vector, size_t n);

/* It goes out as it is, from the program's buffers. `wanted_copy`: and so nothing can be asked of the server any more.
 */
void plan_give_up(struct plan *plan, struct protocol_state *state, bool wanted_copy);

/* From bytes that went out to bytes of the program. */
size_t plan_own_bytes(const struct plan *plan, size_t sent);

/* Sets the state back: nothing of it went out, or not all. Too late where an answer was framed on that assumption
 * meanwhile. */
static inline void plan_take_back(const struct plan *plan, struct protocol_state *state)
{
	*state = plan->before;
}

/* `sent` > 0 bytes went out: less than was copied, and the plan was taken back. `originals` are the program's,
 * plan_own_bytes() of them. */
void plan_account_part(struct plan *plan, struct protocol_state *state, const char *originals, size_t sent);

/* ... or all that was copied, and maybe more from the program's own buffers, which the kernel has just read. */
void plan_account_all(const struct plan *plan, struct protocol_state *state, const struct iovec *vector, size_t n,
		      size_t sent);

/* Keeps what went out for a replay. False if it can't be kept: the owner takes the block. */
bool plan_keep_copy(const struct plan *plan, struct replay *replay, size_t sent) __attribute__((warn_unused_result));

/* Shows the program in an answer the end that it asked for, as feeding it has planned. */
void plan_show_end(const struct framing_plan *changes, const struct protocol *protocol, char *bytes);

/* The same where nothing in the answer can be overwritten, and there are PROTOCOL_INSERTION_MAX bytes of the owner's
 * before `bytes`: what stands before the end is moved there. Returns where the answer begins now; *length grows. */
char *plan_insert_end(const struct framing_plan *changes, const struct protocol *protocol, char *bytes, size_t *length);
