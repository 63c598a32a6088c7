/* See clock.h. */
#include "tools/base/clock.h"

uint64_t clock_now_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

double clock_now_s(clockid_t clock)
{
	return (double)clock_now_ns(clock) / SECOND_NS;
}
