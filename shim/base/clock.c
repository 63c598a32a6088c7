/* See clock.h. */
#include "shim/base/clock.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "pool/base/clock.h"
#include "shim/base/real.h"

/* Not worth two more system calls. */
#define SLACK_MAX_NS ((long)MILLISECOND_NS)

static _Atomic(bool) is_left_alone;

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

void clock_leave_slack_alone(void)
{
	is_left_alone = true;
}

/* Not by prctl(), whose result is an int: the slack may be longer than two seconds. */
long clock_begin_nap(void)
{
	long slack_ns = is_left_alone ? 0 : libc.syscall(SYS_prctl, PR_GET_TIMERSLACK, 0, 0, 0, 0);

	if (slack_ns <= SLACK_MAX_NS)
		return 0;
	libc.syscall(SYS_prctl, PR_SET_TIMERSLACK, SLACK_MAX_NS, 0, 0, 0);
	return slack_ns;
}

void clock_end_nap(long slack_ns)
{
	if (slack_ns)
		libc.syscall(SYS_prctl, PR_SET_TIMERSLACK, slack_ns, 0, 0, 0);
}

void clock_nap(uint64_t ns)
{
	struct timespec time = {(time_t)(ns / SECOND_NS), (long)(ns % SECOND_NS)};
	long slack_ns;
	int saved = errno;

	slack_ns = clock_begin_nap();
	libc.nanosleep(&time, NULL);
	clock_end_nap(slack_ns);
	errno = saved;
}
