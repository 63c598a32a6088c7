/*
 * The broker's board (board.h) as a process sees it: a file beside the broker's socket, mapped to be read. A broker may
 * go and another one come, with a board of its own in the same place.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "pool/base/sys.h"
#include "pool/share/board.h"

/* All zero: nothing was seen yet. Two fields may be read by others while one looks. */
struct broker_board_view {
	_Atomic(struct broker_board *) memory; /* never unmapped: another board goes in its place, at once for all */
	_Atomic(bool) is_current;	       /* what is there may be believed */
	dev_t device;
	ino_t inode;
};

/* Looks for the board of the broker at this path; only a file that nobody but `euid` and root can write to will do. One
 * at a time. */
void broker_board_view_look(struct broker_board_view *view, const struct pool_sys *sys, const char *broker_path,
			    uint32_t euid);

/* As broker_board_n_held(); UINT32_MAX also where there is no board. */
uint32_t broker_board_view_n_held(const struct broker_board_view *view, const struct destination_key *key);

/* The same for who looks but once: reads the file, which is half the cost of mapping it. */
uint32_t broker_board_peek(const struct pool_sys *sys, const char *broker_path, uint32_t euid,
			   const struct destination_key *key);
