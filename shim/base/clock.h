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

/* Remaining time of a timeout that began at `begin` (CLOCK_MONOTONIC); zero once it is over. Any length is allowed. */
struct timespec clock_remaining(const struct timespec *limit, const struct timespec *begin);
