/*
 * The program's own allocator, as jemalloc, PartitionAlloc and tcmalloc are when they are linked in: it sets itself up at the first
 * malloc() of the process, under a spin lock, and calls libc meanwhile. Here it also counts, and refuses what is asked of it inside a
 * call that must not allocate.
 */
#pragma once

#include "tests/lib/probe.h"

/* The call that this thread is in, which must not allocate; NULL: none. */
extern __thread const char *counted_inside;

/* CALL(), with every allocation meanwhile refused, counted and printed. */
#define INSIDE(expression)                                              \
	({                                                              \
		errno = 4242;                                           \
		counted_inside = #expression;                           \
		long inside_result = (long)(expression);                \
		int inside_error = errno;                               \
		counted_inside = NULL;                                  \
		probe_result(#expression, inside_result, inside_error); \
		inside_result;                                          \
	})

/* The same for results that differ from run to run, which aren't printed. */
#define QUIETLY_INSIDE(expression)                        \
	({                                                \
		counted_inside = #expression;             \
		__auto_type inside_result = (expression); \
		counted_inside = NULL;                    \
		inside_result;                            \
	})

/* Allocations so far; those that were refused, of all threads. */
unsigned counted_allocations(void);
unsigned counted_refusals(void);

/* What libc said to the allocator while it set itself up. */
struct counted_setup {
	unsigned times;
	long page_size, open_max, processors, thread, bytes_read, closed;
	int limit, poll_result, flags;
};
struct counted_setup counted_setup(void);
