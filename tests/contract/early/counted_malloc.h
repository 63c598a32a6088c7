/*
 * The program's own allocator, as with a linked jemalloc, PartitionAlloc or tcmalloc: it sets itself up at the first
 * malloc() of the process, under a spin lock, and calls libc meanwhile. Besides, this one counts, and refuses
 * allocations inside a call that must not allocate.
 */
#pragma once

#include "tests/lib/probe.h"

/* The call in which this thread is and which must not allocate; NULL: none. */
extern __thread const char *counted_inside;

/* CALL() with allocations forbidden: each one is refused, counted and printed. */
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

/* The same for results that differ from run to run and aren't printed. */
#define QUIETLY_INSIDE(expression)                        \
	({                                                \
		counted_inside = #expression;             \
		__auto_type inside_result = (expression); \
		counted_inside = NULL;                    \
		inside_result;                            \
	})

/* Allocations so far; refused ones, of all threads. */
unsigned counted_allocations(void);
unsigned counted_refusals(void);

/* The answers of libc while the allocator set itself up. */
struct counted_setup {
	unsigned times;
	long page_size, open_max, processors, thread, bytes_read, closed;
	int limit, poll_result, flags;
};
struct counted_setup counted_setup(void);
