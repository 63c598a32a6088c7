/*
 * Units of time, and what is left of a timeout. All times are nanoseconds of one monotonic clock, whose reading the
 * caller passes in.
 */
#pragma once

#include <stdint.h>

#define MICROSECOND_NS UINT64_C(1000)
#define MILLISECOND_NS (1000 * MICROSECOND_NS)
#define SECOND_NS (1000 * MILLISECOND_NS)

struct deadline {
	uint64_t at_ns; /* UINT64_MAX: never */
};

/* `timeout_ns` after `now_ns`; 0: never. */
struct deadline deadline_after(uint64_t now_ns, uint64_t timeout_ns);

/* The time left; 0: it is over; UINT64_MAX: it never ends. */
uint64_t deadline_left_ns(struct deadline deadline, uint64_t now_ns);

/* The same as poll(2) takes it: -1: never. Rounded up, so that a wait for it does not end too early; a long one ends
 * early. */
int deadline_left_ms(struct deadline deadline, uint64_t now_ns);
