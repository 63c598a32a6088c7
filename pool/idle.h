/*
 * The idle pool: connections by destination, parked and leased newest first, expired by time, bounded in number.
 *
 * Hash-keyed (uthash) by struct destination_key. Park, lease and expiry are O(1): a list per destination, one by age
 * for the total limit, and a wheel of one-second slots for the deadlines. Open + idle connections of a destination
 * never exceed the most that the program itself has had open at once.
 *
 * Not thread-safe, not reentrant: the owner holds its lock around every call. No allocation but through pool_sys.map;
 * running out of memory is reported, never fatal.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "pool/base/arena.h"
#include "pool/config/config.h"
#include "pool/conn/conn.h"
#include "pool/conn/destination_table.h"
#include "pool/share/client.h"
#include "pool/stats/stats.h"

#define IDLE_WHEEL_SLOTS 128

struct idle_pool {
	const struct pool_sys *sys;
	const struct config *config;
	struct broker_client *broker; /* NULL: this process shares nothing */
	struct destination_table destinations;
	struct conn *oldest; /* all idle connections, longest idle first */
	uint32_t n_idle;
	struct conn *wheel[IDLE_WHEEL_SLOTS]; /* by the second of expiry */
	uint64_t wheel_second;		      /* all before it has been expired */
	struct arena conn_arena, login_arena;
	struct stats_page *stats; /* borrowed */
};

/* All are borrowed for the pool's life. `stats` is a sound page: see stats.h. */
void idle_pool_init(struct idle_pool *pool, const struct pool_sys *sys, const struct config *config,
		    struct stats_page *stats);

/* The page of statistics has moved, with what was counted in it: `stats` is where it is now, and is borrowed. */
void idle_pool_count_in(struct idle_pool *pool, struct stats_page *stats);

/* The destination for a key, made if it is new. NULL when there is no memory. Borrowed: it may be reaped once it has no
 * connection and another destination is looked up. */
struct destination *idle_pool_find(struct idle_pool *pool, const struct destination_key *key);

/* A new connection object in CONN_OPEN, for a dial that succeeded or is under way; counts as one of the destination's
 * open connections. NULL when there is no memory. */
struct conn *idle_pool_open(struct idle_pool *pool, struct destination *destination, uint64_t now_ns);

/* The newest idle connection that is proven alive and clean, now CONN_OPEN, for a connect of `who` (habits.h); NULL
 * if there is none. Those found dead, expired or with unexpected bytes on the way are ended; those whose server was
 * not heard lately are passed over for who looks often. *why: what was the matter with the last one that was not
 * given; REFUSAL_NONE: there was none. */
struct conn *idle_pool_lease(struct idle_pool *pool, struct destination *destination, uint64_t who, uint64_t now_ns,
			     enum refusal *why);

/* The same among those that fit: `fits` is asked of each, with `what`. */
struct conn *idle_pool_lease_fit(struct idle_pool *pool, struct destination *destination, uint64_t who, uint64_t now_ns,
				 bool (*fits)(const struct conn *conn, const void *what), const void *what,
				 enum refusal *why);

/* True if its descriptor is still of its socket, by SO_COOKIE: a program that closes descriptors by raw system calls
 * may have got the number for something of its own. */
bool idle_pool_has_socket(const struct pool_sys *sys, const struct conn *conn);

/* Parks one that was leased and not used, as it came. Programs that ask a destination for several kinds of session may
 * have as many idle. Ends it where that can't be. */
void idle_pool_give_back(struct idle_pool *pool, struct conn *conn, uint64_t now_ns);

/* Notes what was said first on an open connection. False: there is no memory. */
bool idle_pool_note_login(struct idle_pool *pool, struct conn *conn, const struct login *login)
	__attribute__((warn_unused_result));

/* An idle connection whose server is to hear a goodbye; NULL: there is none. */
struct conn *idle_pool_first_login(const struct idle_pool *pool);

/* True if there are more connections than the program itself has ever had open at once. */
bool idle_pool_is_beyond_peak(const struct destination *destination);

/* The program gets none of these and is about to dial: without us it would have one more open than it has now. */
void idle_pool_note_dial(struct destination *destination);

/* True if it has had its share of time, or would have had its share of requests after `n_more` of them: by the policy,
 * or by what its server said. */
bool idle_pool_is_used_up(const struct conn *conn, uint32_t n_more, uint64_t now_ns);

/* Parks an open connection whose `fd` is set and which is at a message boundary with an exact ledger (the caller has
 * seen to both). REFUSAL_NONE, or why not (REFUSAL_POLICY, REFUSAL_POOL_FULL): then it is still the caller's. */
enum refusal idle_pool_park(struct idle_pool *pool, struct conn *conn, uint64_t now_ns)
	__attribute__((warn_unused_result));

/* Puts an open connection that was borrowed (borrow.h) and not used yet among the idle ones, as it came: for
 * idle_pool_lease(), and for whoever else asks the broker first. */
void idle_pool_take_in(struct idle_pool *pool, struct conn *conn);

/* Something has come on an idle connection, an end or bytes: ends it, and counts why. Where another process has taken
 * it, our descriptor is all that ends. */
void idle_pool_hear(struct idle_pool *pool, struct conn *conn);

/* Ends a connection in any state: closes `fd` if there is one (see ending.h for an idle one; an open one ends when the
 * program closes it) and frees the object. */
void idle_pool_discard(struct idle_pool *pool, struct conn *conn);

/* The same for an open one that no program has a descriptor of any more: ends it also where the broker, or one who
 * had it before, holds a duplicate. */
void idle_pool_end(struct idle_pool *pool, struct conn *conn);

/* Ends the connection of this destination that has been idle for longest, and counts why. False if there was none. */
bool idle_pool_retire(struct idle_pool *pool, struct destination *destination, enum refusal why);

/* Ends the idle connections to a key's peer, whatever else their keys say: their ports are needed. */
void idle_pool_retire_peer(struct idle_pool *pool, const struct destination_key *key);

/* Ends what has been idle for too long, and lets go of what the broker has given to others. Cheap enough to be called
 * on every request. */
void idle_pool_expire(struct idle_pool *pool, uint64_t now_ns);

/* The broker is not to be talked to any more: takes back what is idle, then ends the talk (broker_client_end). What
 * others have taken is let go. */
void idle_pool_disconnect(struct idle_pool *pool);

/* The same for what was taken from the shelf, where that is another broker's. */
void idle_pool_leave_shelf(struct idle_pool *pool);

/* Lets go of all idle connections: they end unless the broker holds them too. */
void idle_pool_let_go(struct idle_pool *pool);

/* In a fork's child: closes its descriptors of all idle connections, which are its parent's. */
void idle_pool_clear(struct idle_pool *pool);
