/*
 * The program's limit of descriptors (RLIMIT_NOFILE), which we raise for the instant of a system call, to have numbers
 * that are none of the program's. It is to see and to hand on to its children its own limit, never ours: so raising
 * excludes the calls that make a process and those that ask for the limit or set it. Everything here is
 * async-signal-safe and leaves errno alone.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>

enum fdlimit_result {
	FDLIMIT_RAISED,
	FDLIMIT_NO_ROOM, /* the hard limit is as low */
	FDLIMIT_BUSY,	 /* a process is being made: do without, this time */
};

/* *own is the program's limit. Once raised, fdlimit_restore() has to follow, with one system call between. */
enum fdlimit_result fdlimit_raise(struct rlimit *own) __attribute__((warn_unused_result));
void fdlimit_restore(void);

/* Around a call that makes a process: nobody raises the limit meanwhile. False: it could not be had, and there is
 * nothing to release. */
bool fdlimit_hold(void) __attribute__((warn_unused_result));
void fdlimit_release(void);

/* Around a call that makes a process at its beginning and then waits for it, system(3): nobody raises the limit
 * until that has begun for sure. Where a handler leaves the call by longjmp, time ends it. */
uint64_t fdlimit_hold_briefly(void) __attribute__((warn_unused_result));
void fdlimit_end_hold(uint64_t hold);

/* In a fork's child; `was_held`: fdlimit_hold() before. */
void fdlimit_after_fork_in_child(bool was_held);

/* Does what `ask` does with `question`, at a moment when the limit is not raised by us. False: it is raised, and
 * *own is the program's. */
bool fdlimit_ask(void (*ask)(void *), void *question, struct rlimit *own);

/* Around a call with which the program changes its limit: nobody raises it meanwhile. False: it could not be had,
 * and there is nothing to end. */
bool fdlimit_begin_change(void) __attribute__((warn_unused_result));
void fdlimit_end_change(void);

/* The program has set its limit where that could not be had: in a handler that interrupted us, who restores this one
 * then. */
void fdlimit_note_change(const struct rlimit *limit);
