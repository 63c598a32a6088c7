/* SO_COOKIE (socket(7)), which tells one socket from all others. */
#pragma once

#include <stdint.h>

/* The cookie of a descriptor's socket; 0 if there is none. */
uint64_t cookie_of(int fd);
