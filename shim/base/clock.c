/* See clock.h. */
#include "shim/base/clock.h"

#include "pool/base/clock.h"
#include "shim/base/real.h"

struct timespec clock_remaining(const struct timespec *limit, const struct timespec *begin)
{
	struct timespec now, left = {0};
	time_t seconds;
	long nanoseconds;

	guard_get_time(CLOCK_MONOTONIC, &now);
	seconds = now.tv_sec - begin->tv_sec;
	nanoseconds = now.tv_nsec - begin->tv_nsec;
	if (nanoseconds < 0) {
		nanoseconds += (long)SECOND_NS;
		seconds--;
	}
	if (limit->tv_sec < seconds || (limit->tv_sec == seconds && limit->tv_nsec <= nanoseconds))
		return left;
	left.tv_sec = limit->tv_sec - seconds;
	left.tv_nsec = limit->tv_nsec - nanoseconds;
	if (left.tv_nsec < 0) {
		left.tv_nsec += (long)SECOND_NS;
		left.tv_sec--;
	}
	return left;
}

void guard_get_time(clockid_t clock, struct timespec *now)
{
	libc.clock_gettime(clock, now);
}

static uint64_t read_clock(clockid_t clock)
{
	struct timespec now;

	guard_get_time(clock, &now);
	return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

uint64_t guard_clock_ns(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

uint64_t guard_now_ns(void)
{
	return read_clock(CLOCK_MONOTONIC_COARSE);
}
