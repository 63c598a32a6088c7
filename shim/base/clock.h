/*
 * The clocks, and time that is left. Everything here is async-signal-safe and leaves errno alone.
 */
#pragma once

#include <stdint.h>
#include <time.h>

/* The C library's clock_gettime(), also where another preloaded library tells the program other times. */
void guard_get_time(clockid_t clock, struct timespec *now);

/* Monotonic time, in ns, for what is measured: tens of ns to get. */
uint64_t guard_clock_ns(void);

/* Coarse monotonic time, in ns; a few ns to get, up to a tick late. */
uint64_t guard_now_ns(void);

/* What remains now of a limit that began at `begin` by CLOCK_MONOTONIC; zero once it has been reached. Any limit is
 * borne, however long. */
struct timespec clock_remaining(const struct timespec *limit, const struct timespec *begin);
