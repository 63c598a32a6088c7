/*
 * The bytes of a request as they went out, kept for as long as they may have to be edited or sent again. Blocks of two
 * sizes from arenas; no malloc. Functions take the pool's lock where they need it and may fail: then there is no copy,
 * so no edit and no replay.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OUTGOING_MAX 65536u
#define OUTGOING_MAX_EDITS 4

struct outgoing {
	char *bytes; /* NULL: nothing kept */
	uint32_t length;
	uint32_t capacity;
	uint16_t edits[OUTGOING_MAX_EDITS]; /* where a `close` was blanked, in the program's own bytes */
	uint8_t n_edits;
	uint16_t inserted_at, inserted; /* bytes of ours, 0: none */
	bool is_complete;		/* every byte sent so far is in it. False in an empty one that gave up */
};

void outgoing_reset(struct outgoing *outgoing);

/* Remembers an edit that was made. One too many makes the copy useless: not complete. */
void outgoing_note_blank(struct outgoing *outgoing, size_t at, size_t length);
void outgoing_note_insertion(struct outgoing *outgoing, size_t at, size_t length);

/* Turns the copy into what the program wrote. */
void outgoing_unedit(struct outgoing *outgoing);

/* Makes room for `more` bytes behind `length`. False if that would exceed OUTGOING_MAX or there is no memory. */
bool outgoing_reserve(struct outgoing *outgoing, size_t more);

/* Gives the memory back; nothing kept. `is_complete` afterwards: as said. */
void outgoing_free(struct outgoing *outgoing, bool is_complete);

struct pool_sys;
void outgoing_init(const struct pool_sys *sys);

/* In a fork's child, where the lock's holder doesn't exist: start from nothing if it was held. */
void outgoing_after_fork(void);
