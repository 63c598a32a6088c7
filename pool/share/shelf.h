/*
 * The shelf: idle connections that are the broker's own, for any process of its user to take without a word. It lies
 * on the board (board.h), which such processes map.
 *
 * A place is a slot (slots.h) and a label. The generation in a slot's word ends with the number of the process that
 * took it, so whoever uses a connection is known from the same compare-and-swap that gave it: when it has ended, the
 * broker ends what it used (pool/broker/shelved.c). A process takes a connection by claiming its place, has the
 * broker's descriptor duplicated by pidfd_getfd(2), and rings the board's bell in the same way if the exchange lasts.
 * It parks it by writing what it is now, and making it idle again, for others as well as for itself. The broker alone
 * fills and empties places, by a list of its own.
 *
 * Processes of one user trust each other no further than they must: what lies here is copied before it is looked at,
 * a descriptor is believed only if the kernel says the same of it (SO_COOKIE, its peer, its ledger).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "pool/conn/destination.h"
#include "pool/share/slots.h"

#define SHELF_LOOKS 8 /* places where a destination's may lie, from its own on */
#define SHELF_NAME_MAX 16

struct shelf_label {
	struct destination_key key;
	int32_t fd; /* the broker's number */
	uint32_t reserved;
	char name[SHELF_NAME_MAX]; /* of the program that took it last, for people */
};

struct shelf {
	struct slot slots[SLOTS_ON_SHELF];
	struct shelf_label labels[SLOTS_ON_SHELF];
	_Atomic(uint32_t) has_waiters; /* somebody waits for a connection: the broker is told what is parked */
	uint32_t reserved;
};

/* The broker's side. */

/* Begins with an empty shelf, which is zeroed memory. Generations begin behind the salt, so that a place of this shelf
 * is not taken for one of another. */
void shelf_open(struct shelf *shelf, uint64_t salt);

/* Lays an idle connection on a place. */
void shelf_put(struct shelf *shelf, unsigned place, const struct destination_key *key, int fd,
	       const struct slot_contents *contents);

/* What becomes of it: its slot's state and the process that has it, or had it last (0: none). */
enum slot_state shelf_state(const struct shelf *shelf, unsigned place, pid_t *user);

/* Takes an idle one, for shelf_empty(). False: it is in use. Contents as by slots_take(). */
bool shelf_take(struct shelf *shelf, unsigned place, struct slot_contents *contents)
	__attribute__((warn_unused_result));

/* Takes the one that this process uses, or uses no more: likewise. False: it has gone on. */
bool shelf_take_from(struct shelf *shelf, unsigned place, enum slot_state state, pid_t user)
	__attribute__((warn_unused_result));

/* One that is idle has no last user any more: that process has ended. */
void shelf_disown(struct shelf *shelf, unsigned place, pid_t user);

/* The place is free, whatever its user may say of it later. */
void shelf_empty(struct shelf *shelf, unsigned place);

/* A process's side; see also slots_take_from_shelf(). */

struct shelf_reader {
	const struct destination_key *key;
	unsigned first; /* its own place */
	uint64_t now_ns;
	pid_t user;
	const char *name;	  /* likewise of at most SHELF_NAME_MAX - 1 bytes */
	struct conn *const *ours; /* by place, which is then passed over */
};

/* Claims the connection that went idle last, of those that have not expired. The place, with its new generation; -1:
 * there is none. */
int shelf_claim(struct shelf *shelf, const struct shelf_reader *reader, uint64_t *generation)
	__attribute__((warn_unused_result));
