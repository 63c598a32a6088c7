/*
 * The broker: keeps time, and duplicates of idle connections, for the processes that are connected to it.
 *
 * It is given a duplicate of each connection once, at its first park, and keeps it until the connection ends. While the
 * process that has it is alive a compare-and-swap on their shared slot (slots.h) decides who gets it; when that process
 * ends while the connection is idle it is the broker's. Whoever asks for the same destination is given a duplicate, after
 * the kernel's ledger has agreed with what the slot says.
 *
 * This is all of the broker but its sockets, signals and loop, which are tools/broker/broker.c's. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "pool/base/arena.h"
#include "pool/base/sys.h"
#include "pool/conn/destination_table.h"
#include "pool/share/board.h"
#include "pool/share/wire.h"

/* A connection that the broker has a duplicate of. */
struct held {
	struct held *arena_link;
	int fd; /* -1: an object of the arena, no connection */
	uint64_t cookie;
	struct broker_destination *destination;
	struct broker_process
		*owner; /* whose slot says how it is; NULL: it is the broker's, idle, and `contents` is true */
	char parker_name[BROKER_NAME_MAX];
	unsigned slot;
	uint64_t generation;
	struct slot_contents contents;
	uint32_t n_requests_lent; /* had been carried when the owner was given it; UINT32_MAX: it is his own */
	bool has_hung_up;	  /* the server's end was seen while a process was using it */
	bool may_have_holders; /* one that it was taken from may still have a descriptor: closing ours doesn't end it */
	struct held *destination_prev, *destination_next; /* newest first */
	struct held *age_prev, *age_next;		  /* all, oldest first */
};

struct broker_process;

struct broker_destination {
	struct destination base;
	struct broker_process *waiting; /* tickets, first come first */
	struct broker_process *granted;
	uint32_t n_granted;
	struct held *held;
	uint32_t n_held;
};

/* A ticket is a connection of its own that a process holds for as long as it may have one more connection somewhere. */
enum ticket_state {
	TICKET_NONE,	/* no ticket at all, but a process */
	TICKET_WAITING, /* on its destination's list of those */
	TICKET_GRANTED, /* likewise: counts as a connection */
	TICKET_DONE,	/* its connection is given, held (and counted so), or not to be had any more */
};

/* A process that is connected; or a ticket. */
struct broker_process {
	struct broker_process *arena_link;
	int fd; /* the loop's; -1: an object of the arena */
	pid_t pid;
	struct slots_region *region; /* NULL before HELLO */
	int region_fd;		     /* of it, for WELCOME; -1 */
	uint32_t number;	     /* of a process, not 0 */
	enum ticket_state ticket;
	struct broker_process *principal;		  /* of a ticket that waits: who gets the connection */
	struct broker_destination *destination;		  /* of a ticket */
	struct broker_request request;			  /* of a ticket */
	struct broker_process *ticket_prev, *ticket_next; /* on the destination's list */
	struct broker_process *all_prev, *all_next;	  /* every process and ticket */
	uint64_t program;
	char name[BROKER_NAME_MAX];
	bool is_private;
	bool has_ended; /* the loop's to say, before it dismisses one that has hung up by itself */
	uint32_t max_idle_conns, max_idle_conns_per_host;
	struct held *held[SLOTS_PER_REGION];
};

struct broker {
	const struct pool_sys *sys;
	/* Zeroed memory for slots that is shared with whoever gets the descriptor; NULL: none. The broker's to unmap. */
	struct slots_region *(*make_region)(int *fd);
	uint32_t euid;
	uint32_t max_held;
	uint32_t n_held;
	uint32_t n_processes;
	uint32_t n_waiting; /* tickets */
	uint64_t n_numbers; /* given out, to processes and tickets */
	struct broker_process *processes;
	struct destination_table destinations;
	struct held *oldest;
	struct broker_counts counts; /* of held ones; its board is the owner's to open and close */
	struct arena held_arena;
	struct arena process_arena;
};

/* What is to be sent back; length 0: nothing. */
struct broker_out {
	union broker_packet packet;
	size_t length;
	int passed; /* borrowed: valid until the next call; -1: none */
};

/* `max_held`: how many descriptors there is room for. `sys` is borrowed. */
void broker_init(struct broker *broker, const struct pool_sys *sys, struct slots_region *(*make_region)(int *fd),
		 uint32_t euid, uint32_t max_held);

/* A process has connected over `fd`, which stays the caller's. NULL: no memory. */
struct broker_process *broker_admit(struct broker *broker, int fd, pid_t pid);

/* A packet of its came, with `passed` (consumed; -1: none) of `n_passed` descriptors. 0 or -errno: cut it off. */
int broker_receive(struct broker *broker, struct broker_process *process, const union broker_packet *packet,
		   size_t length, int passed, unsigned n_passed, struct broker_out *out)
	__attribute__((warn_unused_result));

/* The process has ended, or is cut off. What it had idle is the broker's from now on. */
void broker_dismiss(struct broker *broker, struct broker_process *process);

/* The server ended a held connection, or it may have. Harmless for one that has gone meanwhile. */
void broker_note_end(struct broker *broker, struct held *held);

/* To be called every second while anything is held: ends what was idle for too long. */
void broker_tick(struct broker *broker);

/* Walks what is held: fills the packet with the next one after *cursor (NULL: the first). False: that was all. */
bool broker_list(struct broker *broker, struct held **cursor, struct broker_held *held);

/* Ends everything idle, for when the broker ends. */
void broker_fini(struct broker *broker);
