/* The kernel's clocks (clock_gettime(2)) as numbers. */
#pragma once

#include <stdint.h>
#include <time.h>

#include "pool/base/clock.h"

uint64_t clock_now_ns(clockid_t clock);
double clock_now_s(clockid_t clock);
