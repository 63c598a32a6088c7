/* The memory that the broker shares with a process. */
#pragma once

struct slots_region;

/* Zeroed memory for slots, shared via the descriptor. The caller owns both; NULL: there is none. */
struct slots_region *broker_region_make(int *fd);
