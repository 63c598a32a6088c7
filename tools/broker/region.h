/* The memory that the broker shares with a process. */
#pragma once

#include <stdint.h>

struct slots_region;

/* Zeroed memory for slots, shared via the descriptor. The caller owns both; NULL: there is none. */
struct slots_region *broker_region_make(int *fd);

/* Makes the memory that the next call of broker_region_make() returns, unless that was done: a process waits for it as
 * long as for a new TCP connection. The memory of a process that has ended is never used again: another one may still
 * have it. */
void broker_region_prepare(void);

/* Memory of a process, that long; to be unmapped. NULL: there is none, or it could be cut off while it is looked at. */
void *broker_region_map(int fd, uint64_t length);
