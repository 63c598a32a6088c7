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

/* Sleeps for about so long, or until a signal comes: a sleeper wakes late by the timer slack that the program may have
 * asked for (PR_SET_TIMERSLACK(2const)), and this one would be as late as hours. */
void clock_nap(uint64_t ns);

/* Around another sleep: less slack, and what it was. */
long clock_begin_nap(void);
void clock_end_nap(long slack_ns);

/* From now on prctl(2) may not be called for this: the program has a filter of system calls. */
void clock_leave_slack_alone(void);
