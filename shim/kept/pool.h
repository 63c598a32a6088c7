/*
 * The pool of this process, the lock around it, and the system calls that it is given. What else the lock covers says
 * so where it is (stubs, spares, the arena of struct sock).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "pool/base/sys.h"
#include "pool/config/config.h"
#include "pool/idle.h"

extern const struct config *sock_config; /* immutable after init */
extern const struct pool_sys sock_pool_sys;

/* When the library begins (shim/process/init.h). */
void pool_init(const struct config *config);

/* The idle pool and its lock; NULL if the lock can't be had: then do without. Expires what is due. */
struct idle_pool *pool_enter(uint64_t now_ns) __attribute__((warn_unused_result));
void pool_leave(void);

/* The counters, to the log. */
void pool_log_stats(void);

/* Around fork: waits for the pool's lock for a bounded time. False: it was not had, and is not to be given back. */
bool pool_lock_for_fork(void) __attribute__((warn_unused_result));
void pool_unlock_after_fork(void);

/* In its child, where locks have no owners: no parked connection is ours. Not is_sound: the lock was not had, and what
 * it covers may be in the midst of a change: it has to begin anew, all of it. True: the other has to follow. */
bool pool_begin_after_fork(bool is_sound) __attribute__((warn_unused_result));
void pool_end_after_fork(void);
