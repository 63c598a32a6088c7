/*
 * The broker's board (board.h) as a process sees it: a file beside the broker's socket, mapped. A broker may go and
 * another one come, with a board of its own in the same place.
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
	_Atomic(struct broker_board *) memory; /* never unmapped: the next board but one goes in its place */
	struct broker_board *last;	       /* the one before, which may be in use still */
	_Atomic(bool) is_current;	       /* what is there may be believed */
	_Atomic(bool) is_writable;	       /* so that connections can be taken from its shelf */
	dev_t device;
	ino_t inode;
};

/* Looks for the board of the broker at this path; only a file that nobody but `euid` and root can write to will do. One
 * at a time. */
void broker_board_view_look(struct broker_board_view *view, const struct pool_sys *sys, const char *broker_path,
			    uint32_t euid);

/* As broker_board_n_held(); UINT32_MAX also where there is no board. */
uint32_t broker_board_view_n_held(const struct broker_board_view *view, const struct destination_key *key);

/* The same for who may never look again: reads the file, which is half the cost of mapping it, and maps it where there
 * is something for this destination. One at a time. */
uint32_t broker_board_view_glance(struct broker_board_view *view, const struct pool_sys *sys, const char *broker_path,
				  uint32_t euid, const struct destination_key *key);

/* The board whose shelf the process may take from; NULL: there is none. It stays mapped, whatever becomes of the
 * broker. */
struct broker_board *broker_board_view_shelf(const struct broker_board_view *view);
