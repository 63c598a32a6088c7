/* Time that is left. */
#pragma once

#include <time.h>

/* What remains now of a limit that began at `begin` by CLOCK_MONOTONIC; zero once it has been reached. Any limit is borne, however
 * long. */
struct timespec clock_remaining(const struct timespec *limit, const struct timespec *begin);
