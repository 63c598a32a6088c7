/* The memory that the broker shares with a process. */
#pragma once

struct slots_region;

/* Zeroed memory for slots, shared with whoever gets the descriptor. Both are the caller's; NULL: there is none. */
struct slots_region *broker_region_make(int *fd);
