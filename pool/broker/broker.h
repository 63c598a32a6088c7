/*
 * The broker: keeps time, and duplicates of idle connections, for the processes that are connected to it.
 *
 * Each process gives it a duplicate of each connection once, at the first park; the broker keeps it until the
 * connection ends. While that process lives, a compare-and-swap on their shared slot (slots.h) decides who gets the
 * connection. When the process ends while the connection is idle, the connection becomes the broker's. A process that
 * asks for the same destination gets a duplicate, once the kernel's ledger agrees with the slot.
 *
 * This is all of the broker but its sockets, signals and loop, which are in tools/broker/broker.c. One thread.
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
	int fd;	     /* -1: a free object of the arena, no connection */
	int session; /* a descriptor of what belongs to it (memory of a layer above TCP); -1: nothing */
	uint64_t cookie;
	struct broker_destination *destination;
	struct broker_process *owner; /* its slot has the state; NULL: the broker owns it, idle, `contents` is true,
				       * unless it lies on the shelf: */
	char parker_name[BROKER_NAME_MAX];
	unsigned slot;
	uint64_t generation;
	struct slot_contents contents;
	uint32_t n_requests_lent; /* requests carried when it was lent to the owner; UINT32_MAX: never lent */
	int place;		  /* on the shelf, -1: none; then `owner` is NULL, and its slot there has the state */
	pid_t user;		  /* the process that has taken it from there, as far as is known; 0: none */
	int user_fd;		  /* of that process, to hear of its end; -1: none */
	bool has_hung_up;	  /* the server closed its end while a process was using it */
	bool may_have_holders;	  /* a former owner may still have a descriptor: closing ours doesn't end it */
	struct held *destination_prev, *destination_next; /* on its destination's list, newest first */
	struct held *age_prev, *age_next;		  /* on the list of all, oldest first */
};

struct broker_process;

struct broker_destination {
	struct destination base;
	struct broker_process *waiting; /* tickets, first come first served */
	struct broker_process *granted;
	uint32_t n_granted;
	struct held *held;
	uint32_t n_held;
};

/* A ticket: its process may have one more connection to the destination, for as long as the ticket's own socket is
 * open. */
enum ticket_state {
	TICKET_NONE,	/* not a ticket but a process */
	TICKET_WAITING, /* on its destination's list of waiting tickets */
	TICKET_GRANTED, /* on the destination's list too; counts as a connection */
	TICKET_DONE,	/* its connection was given, is held (and counted as held), or can't be had any more */
};

/* A connected process, or a ticket. */
struct broker_process {
	struct broker_process *arena_link;
	int fd; /* the loop's descriptor; -1: a free object of the arena */
	pid_t pid;
	struct slots_region *region; /* NULL before HELLO */
	int region_fd;		     /* its descriptor, for WELCOME; -1: none */
	int session;		     /* that came before its PARK; -1: none */
	uint64_t session_slot, session_generation;
	uint32_t number; /* of a process; never 0 */
	enum ticket_state ticket;
	struct broker_process *principal;		  /* of a waiting ticket: gets the connection */
	struct broker_destination *destination;		  /* of a ticket */
	struct broker_request request;			  /* of a ticket */
	struct broker_process *ticket_prev, *ticket_next; /* on the destination's list */
	struct broker_process *all_prev, *all_next;	  /* the list of all processes and tickets */
	uint64_t program;
	char name[BROKER_NAME_MAX];
	bool is_private;
	bool has_spoken; /* it has sent something */
	bool has_ended;	 /* set by the loop before it dismisses a process that hung up by itself */
	uint32_t max_idle_conns, max_idle_conns_per_host;
	struct held *held[SLOTS_PER_REGION];
};

struct broker {
	const struct pool_sys *sys;
	/* Zeroed memory for slots, shared via the descriptor; NULL: none. The broker unmaps it. */
	struct slots_region *(*make_region)(int *fd);
	uint32_t euid;
	uint32_t max_held;
	uint32_t n_held;
	uint32_t n_sessions; /* of those, with a second descriptor */
	uint32_t n_processes;
	uint32_t n_waiting; /* tickets */
	uint64_t n_numbers; /* numbers given to processes and tickets so far */
	struct broker_process *processes;
	struct destination_table destinations;
	struct held *oldest;
	struct broker_counts counts; /* of held connections; the caller opens its board */
	struct shelf *shelf;	     /* on that board; NULL: nothing is laid there */
	struct held *laid[SLOTS_ON_SHELF];
	struct arena held_arena;
	struct arena process_arena;
};

/* The packet to send back; length 0: nothing. */
struct broker_out {
	union broker_packet packet;
	size_t length;
	int memory;  /* borrowed: valid until the next call; -1: none */
	int passed;  /* likewise; behind that */
	int session; /* likewise; to be sent behind it, with BROKER_SESSION_GIVEN */
};

/* `max_held`: how many descriptors there is room for. `sys` is borrowed. */
void broker_init(struct broker *broker, const struct pool_sys *sys, struct slots_region *(*make_region)(int *fd),
		 uint32_t euid, uint32_t max_held);

/* From now on lays connections on the board's shelf, for processes that can duplicate descriptors of this one. */
void broker_open_shelf(struct broker *broker, pid_t pid, int bell, uint64_t bell_cookie);

/* Something may have been taken from there, or given up: looks who has what. */
void broker_look_at_shelf(struct broker *broker);

/* A process has connected over `fd`, which stays the caller's. NULL: no memory. */
struct broker_process *broker_admit(struct broker *broker, int fd, pid_t pid);

/* Handles a packet of the process, with `passed` (consumed; -1: none) of `n_passed` descriptors. 0 or -errno: cut it
 * off. */
int broker_receive(struct broker *broker, struct broker_process *process, const union broker_packet *packet,
		   size_t length, int passed, unsigned n_passed, struct broker_out *out)
	__attribute__((warn_unused_result));

/* The process has ended, or is cut off. Its idle connections are the broker's from now on. One that never said
 * anything has become another program (SLOT_ENDED). */
void broker_dismiss(struct broker *broker, struct broker_process *process);

/* The server has ended a held connection, or may have. Harmless if `held` has gone meanwhile. */
void broker_note_end(struct broker *broker, struct held *held);

/* A process that uses a held connection from the shelf has ended, or may have. Harmless if `held` has gone. */
void broker_note_user_end(struct broker *broker, struct held *held);

/* Ends connections that were idle for too long. Call it every second while anything is held. */
void broker_tick(struct broker *broker);

/* Fills the packet with the held connection that follows *cursor (NULL: the first). False: that was the last. */
bool broker_list(struct broker *broker, struct held **cursor, struct broker_held *held);

/* Ends all idle connections; call it when the broker ends. */
void broker_fini(struct broker *broker);
