/*
 * Locks that never block. Everything here is async-signal-safe and leaves errno alone.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* A lock whose holder never blocks and can't be cancelled. Zero-initialised is unlocked. */
struct guard_lock {
	_Atomic(unsigned long) owner; /* the thread, and in the low bits of which process; 0: free */
	_Atomic(bool) is_lost;	      /* a holder did not come back (a signal handler's longjmp): don't spin for it */
	uintptr_t frame;	      /* where its stack was */
};

/* For loops that wait for what another thread is about to do: `for (step = 0; guard_wait(step); step++)`. The first
 * steps take nanoseconds, later ones sleep for some 100 microseconds each. False: the other has had a tenth of a
 * second, wait no longer. */
bool guard_wait(unsigned step);

/* The same where the other will change a word of 32 bits, and then call guard_wake(): sleeps only while it has this
 * value. */
bool guard_wait_for(void *word, uint32_t value, unsigned step);
void guard_wake(void *word);

/* In the child of a fork, where none of them is. */
void guard_forget_sleepers(void);

/* The same of those that hold locks: these can be had from now on, the calling thread's own as well. Before this, who
 * may have been in the midst of a change that can't be left as it is looks for an owner, and mends it. */
void guard_forget_owners(void);

/* Waits for a bounded time. False if the calling thread itself holds it (we are in a signal handler that interrupted
 * the holder) or if it can't be had: then the caller does without. */
bool guard_lock_try(struct guard_lock *lock) __attribute__((warn_unused_result));
void guard_unlock(struct guard_lock *lock);

/* The same, and doesn't wait at all. */
bool guard_lock_try_now(struct guard_lock *lock) __attribute__((warn_unused_result));

/* Between tries: as guard_wait_for(), where somebody holds it. */
bool guard_lock_wait(struct guard_lock *lock, unsigned step);

/* True if the calling thread took it in a call that a signal handler left by longjmp: what it covers may be
 * half-changed and is never to be touched again. Restores what taking it had changed of the thread. */
bool guard_lock_is_abandoned(struct guard_lock *lock);

/* True if the calling thread holds the lock: it is in a signal handler that interrupted itself. */
bool guard_lock_is_own(const struct guard_lock *lock);

/* True if the calling thread is in a signal handler that has interrupted us: with a lock, or between the two calls
 * below, which say that something of ours is in the hands of a function. Whoever forks then has a child that returns
 * to there. */
bool guard_is_interrupted(void);
uintptr_t guard_begin_handling(void); /* what the other is to be given */
void guard_end_handling(uintptr_t outer);
