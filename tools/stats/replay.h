/*
 * A replay of recorded uses through a pool: how many connections it would have dialled, and how large it would have
 * become. Computation only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stats_replay_use {
	uint64_t began_ns, ended_ns;
	bool was_kept; /* false: the connection could not have served another */
};

struct stats_replay_result {
	size_t n_uses;
	size_t n_dials;	  /* by such a pool */
	size_t pool_size; /* the most connections open at once, in use and idle */
	uint64_t span_ns; /* from the first beginning to the last end */
};

/* The pool gives out the connection that was idle for the shortest time, dials when none is idle, and closes
 * connections that were idle for longer than idle_timeout_ns (0: never). `uses` are of one destination, sorted by
 * beginning; one that ends before it begins counts as instantaneous. 0 or -ENOMEM. */
int stats_replay(const struct stats_replay_use *uses, size_t n_uses, uint64_t idle_timeout_ns,
		 struct stats_replay_result *result) __attribute__((warn_unused_result));
