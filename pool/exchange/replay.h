/*
 * The copy of the bytes sent on a connection, for as long as they may have to be sent again, with their edits, so that
 * the program's own bytes can be had back. The owner gives and takes the memory.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pool/base/block.h"

#define REPLAY_MAX BLOCK_MAX
#define REPLAY_MAX_EDITS 4

struct protocol;

struct replay {
	struct block block; /* none: nothing kept */
	uint32_t length;
	uint16_t edits[REPLAY_MAX_EDITS]; /* where a wish was blanked, in the program's own bytes */
	uint8_t n_edits;
	uint16_t inserted_at, inserted; /* bytes of ours, 0: none */
	bool is_complete;		/* every byte sent so far is in it. False in an empty one that gave up */
};

/* Nothing was sent yet. The block stays. */
void replay_reset(struct replay *replay);

/* Nothing of it can be sent again. The block stays, for the owner to take. */
void replay_give_up(struct replay *replay);

/* Remembers an edit that was made. One too many, or one of another length than the wish of the protocol, makes the copy
 * useless: not complete. */
void replay_note_blank(struct replay *replay, const struct protocol *protocol, size_t at, size_t length);
void replay_note_insertion(struct replay *replay, size_t at, size_t length);

/* Turns the copy into what the program wrote. */
void replay_undo_edits(struct replay *replay, const struct protocol *protocol);
