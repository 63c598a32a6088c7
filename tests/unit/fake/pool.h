/* An idle pool over the fake kernel, and the common steps of its tests: dial, park, lease, be hung up on. */
#pragma once

#include "tests/unit/fake/sys.h"
#include "pool/base/uthash_arena.h"

#include "pool/idle.h"

#define SECOND 1000000000ull

extern struct idle_pool fake_pool;
extern struct config fake_pool_config;

/* A fixture: no limits of age, number and requests, idle timeout 60 s. */
void fake_pool_start(void);

/* Ends all idle connections and checks that only `n_open` sockets, the test's own, are left. */
void fake_pool_clear_leaving(unsigned n_open);

/* The counts of all destinations together. */
uint64_t fake_pool_counted(enum stats_counter counter);
uint64_t fake_pool_refused(enum refusal why);

/* The destination 10.x.y.z:80 where x.y.z is `number`. */
struct destination_key fake_pool_key(unsigned number);
struct destination *fake_pool_find(unsigned number);

/* A connection just dialed, with a socket. */
struct conn *fake_pool_dial(struct destination *destination);

/* An exchange of a few bytes that both sides counted. */
void fake_pool_exchange(struct conn *conn);

/* Parks it, which must succeed. */
void fake_pool_park(struct conn *conn);

/* As many dialed at once, then parked in the order of the array. */
void fake_pool_park_new(struct destination *destination, unsigned n, struct conn **conns);

struct conn *fake_pool_lease(struct destination *destination);
void fake_pool_expire(void);

/* The server sends unrequested bytes. */
void fake_pool_surprise(struct conn *conn);

/* The server's FIN came `ago_ms` ago. */
void fake_pool_hang_up(struct conn *conn, uint32_t ago_ms);
