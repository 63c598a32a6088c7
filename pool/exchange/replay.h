/*
 * The copy of the bytes sent on a connection, for as long as they may have to be sent again, with their edits, so that
 * the program's own bytes can be had back. The owner gives and takes the memory.
 *
 * A program may send requests behind each other. When the connection dies between two answers, those that have none are
 * sent again: the copy then begins with requests that were answered, which are forgotten when there is need.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pool/base/block.h"

#define REPLAY_MAX BLOCK_MAX
#define REPLAY_MAX_EDITS 4

struct protocol;
struct protocol_state;

struct replay {
	struct block block; /* none: nothing kept */
	uint32_t length;
	uint16_t edits[REPLAY_MAX_EDITS]; /* where a wish was blanked, in the program's own bytes */
	uint8_t n_edits;
	uint16_t inserted_at, inserted; /* bytes of ours, 0: none */
	bool is_complete; /* every byte that awaits an answer is in it. False in an empty one that gave up */
};

/* Nothing was sent yet. The block stays. */
void replay_reset(struct replay *replay);

/* Nothing of it can be sent again. The block stays, for the owner to take. */
void replay_give_up(struct replay *replay);

/* Remembers an edit that was made. One too many, or one of another length than the wish of the protocol, makes the copy
 * useless: not complete. */
void replay_note_blank(struct replay *replay, const struct protocol *protocol, size_t at, size_t length);
void replay_note_insertion(struct replay *replay, size_t at, size_t length);

/* Leaves in the copy what awaits an answer. It gives up where it can't tell. */
void replay_forget_answered(struct replay *replay, const struct protocol_state *state);

/* True if all that awaits an answer may be sent again, no byte of its answers has come, and the copy is just that now.
 * (Where an earlier answer said that the server ends the connection, the program knows: its end is as it would be
 * without us.) */
bool replay_prepare(struct replay *replay, const struct protocol_state *state) __attribute__((warn_unused_result));

/* Turns the copy into what the program wrote. */
void replay_undo_edits(struct replay *replay, const struct protocol *protocol);
