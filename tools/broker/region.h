/* The memory that the broker shares with a process. */
#pragma once

#include <stdint.h>

struct slots_region;

/* Zeroed memory for slots, shared via the descriptor. The caller owns both; NULL: there is none. */
struct slots_region *broker_region_make(int *fd);

/* Memory of a process, that long; to be unmapped. NULL: there is none, or it could be cut off while it is looked at. */
void *broker_region_map(int fd, uint64_t length);
