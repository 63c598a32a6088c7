/*
 * Whether the process has but one thread: then no other can hold a lock, change what is looked at, or cancel this one.
 *
 * glibc has a word for it since 2.32 (<sys/single_threaded.h>), musl has none. It is looked up, not linked with, so
 * that this library loads with all of them. Where it is missing the kernel can be asked.
 */
#pragma once

#include <stdbool.h>

/* Not zero: alone. Set once, before any thread exists; where it points changes with the first thread. */
extern const char *alone_word;

/* Looks it up; with the real functions (real.h). Async-signal-safe. */
void alone_bind(void);

/* Asks the kernel, where there is no such word. */
bool alone_by_kernel(void);

/* True if it is known without a system call. False does not say that there are others. */
static inline bool is_known_alone(void)
{
	return *alone_word;
}

/* True if there is no other thread. A system call where the C library has no word for it. Keeps errno. */
static inline bool is_alone(void)
{
	return *alone_word || __builtin_expect(alone_by_kernel(), 0);
}
