/*
 * What a pool would have made of connections whose uses were recorded: how many would have been dialled, and how large the
 * pool would have had to be. Computation only.
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
	size_t n_dials;	  /* that the pool would have made */
	size_t pool_size; /* most connections open at once, in use and idle: what such a pool needs */
	uint64_t span_ns; /* from the first beginning to the last end */
};

/* The pool gives out the connection that has been idle for the shortest time, dials when none is idle, and closes what was
 * idle for longer than idle_timeout_ns (0: never). `uses` are of one destination, by beginning; those that end before they
 * begin count as lasting no time. 0 or -ENOMEM. */
int stats_replay(const struct stats_replay_use *uses, size_t n_uses, uint64_t idle_timeout_ns,
		 struct stats_replay_result *result) __attribute__((warn_unused_result));
