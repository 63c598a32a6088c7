/* The settings, pool, counters and time that the relay's parts share. One thread. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "pool/base/block.h"
#include "pool/config/config.h"
#include "pool/idle.h"

/* Of whose connects habits are remembered (pool/conn/habits.h): a relay serves one program. */
#define RELAY_WHO 1

struct relay_core {
	struct config config;
	struct idle_pool pool;
	struct block_store blocks; /* for replays */
	uint64_t netns_cookie;	   /* of our own network namespace (SO_NETNS_COOKIE), 0: the kernel doesn't tell */
};

extern struct relay_core relay_core;

/* Reads the settings from the environment, and begins to count as `program`. 0 or -errno. `close_fd` is what the pool
 * calls for a descriptor of a connection that it ends. */
int relay_core_begin(const char *program, int (*close_fd)(int fd)) __attribute__((warn_unused_result));

/* Hands the counts over. */
void relay_core_end(void);

/* CLOCK_MONOTONIC, nanoseconds. */
uint64_t relay_now_ns(void);

/* The effective user of the relay, which stays what it is. */
uid_t relay_own_user(void);
