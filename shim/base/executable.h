/* The executable of this process. */
#pragma once

#include <stdint.h>

/* A number for it, by its path. */
uint64_t executable_number(void);
