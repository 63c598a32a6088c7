/*
 * Slots: what a process and its broker both know of a connection that both hold, in memory that they share.
 *
 * A compare-and-swap on the slot's word decides who gets an idle connection, so the process that parked it leases it
 * again without a message, and the broker takes it for another process without asking. What else a slot says belongs
 * to whoever the word names: the process while LEASED, the broker from TAKEN on; while IDLE nobody writes.
 *
 * The memory is one process's and the broker's, and either may be hostile or crash in the midst of a change: an index
 * is bounded before use, contents are copied before they are looked at, and the kernel's ledger has the last word.
 * The process's side (struct slots) is covered by its pool's lock.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pool/conn/fence.h"
#include "pool/conn/ledger.h"
#include "pool/conn/socket_options.h"

#define SLOTS_PER_REGION 1024
/* A process's connections whose slots lie on the shelf (shelf.h): conn->slot is from SLOTS_PER_REGION on. */
#define SLOTS_ON_SHELF 112
#define SLOTS_NEWS 64
/* Asked for with the process's first words: it is the first to be used, in its first generation. */
#define SLOTS_FIRST 0
#define SLOTS_FIRST_GENERATION 1

struct conn;
struct destination;
struct shelf;
struct shelf_reader;

enum slot_state {
	SLOT_FREE,   /* the process's to use */
	SLOT_LEASED, /* the process uses the connection */
	SLOT_IDLE,   /* whoever swaps it out of this state has it */
	SLOT_TAKEN,  /* the broker has it: the process closes its descriptor and frees the slot */
	SLOT_SHARED, /* the process uses it, and a child of its may go on when it ends: not to be idle again */
	SLOT_LEFT,   /* on the shelf: the process goes on without us, and the broker empties the place */
	SLOT_ENDED,  /* likewise: the process executes another program, and with ours it ends for everybody */
};

struct slot_contents {
	uint64_t cookie; /* SO_COOKIE */
	struct ledger ledger;
	uint64_t created_ns; /* CLOCK_MONOTONIC */
	uint64_t idle_since_ns;
	uint64_t expires_ns;
	uint64_t keep_alive_timeout_ns; /* said by the server, 0: nothing said */
	uint32_t n_requests;
	uint32_t requests_left;
	int32_t status_flags;
	uint32_t was_looked_at; /* by its last user, who said nothing on it */
	uint64_t protocol;	/* as in struct conn */
	struct fence fence;
	struct socket_options options; /* as they are set on it */
};

struct slot {
	_Atomic(uint64_t) word; /* generation << 8 | enum slot_state: a new generation for each use of the slot */
	struct slot_contents contents;
};

/* The memory that is shared with one process: a sealed memfd of the broker, zeroed. */
struct slots_region {
	_Atomic(uint32_t) has_waiters; /* somebody, anywhere, waits for a connection: say what you park (BROKER_IDLE) */
	_Atomic(uint32_t) n_taken;     /* how many slots were ever taken; the newest are in `taken` */
	_Atomic(uint16_t) taken[SLOTS_NEWS];
	_Atomic(uint8_t) is_held[SLOTS_PER_REGION]; /* the broker has a duplicate of it: written by the broker alone */
	struct slot slots[SLOTS_PER_REGION];
};

struct slots_entry {
	struct conn *conn; /* whose slot it is; NULL: free, or left to the broker */
	bool is_used;
	uint16_t returned; /* a stack of indices that were given back, beside what belongs to this index */
};

/* The process's view. All zero: no memory, every call a harmless failure. */
struct slots {
	struct slots_region *region;
	struct shelf *shelf;		       /* the one that it has taken connections from, NULL: none */
	struct conn *on_shelf[SLOTS_ON_SHELF]; /* whose slots are there; NULL: none of ours */
	unsigned n_on_shelf;
	struct slots_entry *entries; /* apart, so that the rest lies with what else each process writes to */
	unsigned n_begun; /* entries from here on were never used and are zero: most processes touch one page */
	unsigned n_free;
	uint32_t n_taken_seen;
};

/* Begins a view. `entries`, SLOTS_PER_REGION of them and all zero, are borrowed for as long as it is used. */
void slots_init(struct slots *slots, struct slots_entry *entries);

/* Begins to use a region that nobody else has used. Borrowed until slots_detach(), which forgets it: connections that
 * had slots in it have none any more. */
void slots_attach(struct slots *slots, struct slots_region *region);
void slots_detach(struct slots *slots);

/* Hands a view of a region over: `from` is as detached, and its connections are the other one's. */
void slots_move(struct slots *to, struct slots *from);

/* Takes the connection to this key that went idle last from the shelf, which is borrowed until slots_leave_shelf():
 * what it is can be read by slots_read(). The number of the broker's descriptor; -1: there is none. */
int slots_take_from_shelf(struct slots *slots, struct shelf *shelf, struct conn *conn, struct shelf_reader *reader)
	__attribute__((warn_unused_result));

/* True if a connection that was taken from there is still ours, and in use. */
bool slots_uses_of_shelf(const struct slots *slots, const struct conn *conn);

/* slots_free() for all that were taken from there. */
void slots_free_all_on_shelf(struct slots *slots);

/* One that was taken just now and is of no use to us goes back as it was, and has no slot any more. */
void slots_put_back_on_shelf(struct slots *slots, struct conn *conn);

/* In a fork's child: connections with slots on the shelf have none any more, and nothing is said of them. */
void slots_leave_shelf(struct slots *slots);

/* The process may be about to be another program: what it uses of the shelf and does not share ends then. False: there
 * is nothing. */
bool slots_end_used(struct slots *slots);

/* It has stayed the same. */
void slots_use_again(struct slots *slots);

/* Parts of slots_free() and slots_leave(). */
void slots_free_on_shelf(struct slots *slots, struct conn *conn);
void slots_leave_on_shelf(struct slots *slots, struct conn *conn);

/* The same where the broker was already asked for a connection into SLOTS_FIRST, which is then reserved for nobody
 * yet. */
void slots_attach_asked(struct slots *slots, struct slots_region *region);

/* Reserves that slot for the connection that was asked for, as slots_reserve() would. */
void slots_reserve_asked(struct slots *slots, struct conn *conn);

/* Takes a free slot in SLOT_LEASED for a connection: sets conn->slot and conn->slot_generation. False: none is free. */
bool slots_reserve(struct slots *slots, struct conn *conn);

/* The connection goes idle: what it is, then its state. */
void slots_publish(struct slots *slots, const struct conn *conn);

/* A part of slots_has_waiters(). */
bool slots_shelf_has_waiters(const struct slots *slots);

/* True if somebody waits at the broker: after slots_publish(), and before a lease. */
static inline bool slots_has_waiters(const struct slots *slots)
{
	return (slots->region && atomic_load(&slots->region->has_waiters)) ||
	       (slots->n_on_shelf && slots_shelf_has_waiters(slots));
}

/* Gets it back from idle. False: the broker was first; close the descriptor and free the slot. */
bool slots_claim(struct slots *slots, const struct conn *conn) __attribute__((warn_unused_result));

/* Another process may use the connection of a leased slot too. Needs no lock: harmless for a slot that has gone on.
 * True: it lies on the shelf, where the broker lets go of it once it looks. */
bool slots_share(const struct slots *slots, int index, uint64_t generation);

/* The connection has no slot any more. */
void slots_free(struct slots *slots, struct conn *conn);

/* The same for all connections: those that are in use go on without. */
void slots_free_all(struct slots *slots);

/* Lets the connection go without ending it: its idle slot stays for the broker, which frees it by taking. */
void slots_leave(struct slots *slots, struct conn *conn);

/* Fills in the connection from the slot that a lease of the broker's has filled. */
void slots_read(const struct slots *slots, struct conn *conn);

/* A connection whose slot was taken since the last call, NULL when there are no more. Its slot is still its own: free
 * it. Slots that were left are freed on the way. */
struct conn *slots_next_taken(struct slots *slots);

/* The same of those on the shelf, of which no news tell: looks at each. */
struct conn *slots_next_taken_from_shelf(struct slots *slots);

/* How many of the process's own connections to a destination the broker holds, too: of those with a session, or of the
 * others. */
uint32_t slots_n_held(const struct slots *slots, const struct destination *destination, bool with_session);

/* True if slots_next_taken() has something to do: one load. */
static inline bool slots_has_news(const struct slots *slots)
{
	return slots->region &&
	       atomic_load_explicit(&slots->region->n_taken, memory_order_acquire) != slots->n_taken_seen;
}

/* The broker's side. `index` must be below SLOTS_PER_REGION in all. */

/* Reserves SLOTS_FIRST as the process will, which has no memory yet to do it in. Nothing where that has begun. */
void slots_begin_asked(struct slots_region *region);

/* SLOT_FREE if the slot has gone on to another generation. */
enum slot_state slots_state(struct slots_region *region, unsigned index, uint64_t generation);

/* Of any slot: the two parts of its word, in which no other state is ever found than those above. */
enum slot_state slot_state(uint64_t word);
uint64_t slot_generation(uint64_t word);

/* Moves a slot's state. False: it has another one, or another generation. */
bool slot_change(struct slot *slot, uint64_t generation, enum slot_state from, enum slot_state to)
	__attribute__((warn_unused_result));
uint64_t slot_word(uint64_t generation, enum slot_state state);

/* Copies contents that somebody may be writing, or so many bytes of other words. What is torn is for the caller to
 * find out. */
void slot_copy(struct slot_contents *to, const struct slot_contents *from);
void slot_copy_words(uint64_t *to, const uint64_t *from, size_t length);

/* Takes an idle connection. False if it is in use, or gone. `contents` receives a copy, or zeroes: then nothing is
 * known of it any more, and it can only be ended. */
bool slots_take(struct slots_region *region, unsigned index, uint64_t generation, struct slot_contents *contents);

/* Fills a slot that the process has reserved. False if it has not. */
bool slots_give(struct slots_region *region, unsigned index, uint64_t generation, const struct slot_contents *contents);
