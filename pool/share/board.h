/*
 * The board: what a broker lets every process of its user see without a word, in a file beside its socket. It says
 * for how many connections there are descriptors at the broker, by a number made of their destination, so that a
 * process need not ask where there is nothing; whoever has no board, or finds it unsound, asks. On its shelf (shelf.h)
 * lie those that can be taken without asking.
 *
 * Several destinations may have one place: then a process asks in vain. It never fails to ask where the broker holds
 * a connection that is idle, or will be without saying so (slots.h), but for the microseconds in which that changes.
 *
 * One writer, the broker, but for the shelf. A reader believes nothing else: it bounds what it reads, and a lie costs
 * it reuse.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "pool/conn/destination.h"
#include "pool/share/shelf.h"

#define BROKER_BOARD_VERSION 2
#define BROKER_BOARD_PLACES 1024
#define BROKER_BOARD_SUFFIX ".board" /* behind the socket's path */

struct broker_board {
	uint32_t stamp;		   /* of version and size: another's is no board */
	_Atomic(uint32_t) is_open; /* the broker serves */
	uint64_t salt;
	uint32_t pid;	      /* the broker's */
	uint32_t has_shelf;   /* what lies there may be taken */
	uint64_t bell_cookie; /* SO_COOKIE of a socket of the broker's, to whose other end it listens */
	int32_t bell;	      /* its number there: whatever is sent there says that it is to look at the shelf */
	uint32_t reserved[7];
	_Atomic(uint16_t) n_held[BROKER_BOARD_PLACES]; /* the most that fits means that or more */
	struct shelf shelf;
};

/* The broker's side: its own counts, which nobody else can write, shown on a board. */
struct broker_counts {
	struct broker_board *board; /* NULL: none */
	uint64_t salt;
	uint32_t n_held[BROKER_BOARD_PLACES];
};

/* Opens the board, which is zeroed memory, and shows the counts on it. */
void broker_board_open(struct broker_counts *counts, struct broker_board *board, uint64_t salt);
void broker_board_close(struct broker_counts *counts);

/* From now on connections lie on its shelf, for processes that can duplicate descriptors of this one. */
void broker_board_open_shelf(struct broker_counts *counts, pid_t pid, int bell, uint64_t bell_cookie);

/* The first place on the shelf for a destination's connections. */
unsigned broker_board_shelf_place(uint64_t salt, const struct destination_key *key);

/* One more connection to a destination is held, or (-1) one less. */
void broker_board_count(struct broker_counts *counts, const struct destination_key *key, int change);

/* True if memory of this size may be read as a board. */
bool broker_board_is_sound(const struct broker_board *board, uint64_t size);

/* How many connections are held that may be to this destination. UINT32_MAX: nobody can say, the broker has gone. */
uint32_t broker_board_n_held(const struct broker_board *board, const struct destination_key *key);

/* How a board begins. */
struct broker_board_head {
	uint32_t stamp;
	uint32_t is_open;
	uint64_t salt;
};

/* True if the board that begins so may be read, and serves: then the destination's number is `*offset` bytes behind
 * its begin, 16 bits. */
bool broker_board_find(const struct broker_board_head *head, const struct destination_key *key, uint64_t *offset);
