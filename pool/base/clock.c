/* See clock.h. */
#include "pool/base/clock.h"

#include <limits.h>
#include <stdbool.h>

#define NEVER UINT64_MAX

struct deadline deadline_after(uint64_t now_ns, uint64_t timeout_ns)
{
	bool is_finite = timeout_ns && timeout_ns < NEVER - now_ns;

	return (struct deadline){is_finite ? now_ns + timeout_ns : NEVER};
}

uint64_t deadline_left_ns(struct deadline deadline, uint64_t now_ns)
{
	if (deadline.at_ns == NEVER)
		return NEVER;
	return now_ns < deadline.at_ns ? deadline.at_ns - now_ns : 0;
}

int deadline_left_ms(struct deadline deadline, uint64_t now_ns)
{
	uint64_t left_ns = deadline_left_ns(deadline, now_ns), left_ms;

	if (left_ns == NEVER)
		return -1;
	left_ms = left_ns ? left_ns / MILLISECOND_NS + 1 : 0;
	return left_ms < INT_MAX ? (int)left_ms : INT_MAX;
}
