/*
 * What keeps the shim harmless inside its host: locks that never block, proof that we are in our own process, memory
 * that is looked at before it is touched.
 * Everything here is async-signal-safe and leaves errno alone.
 */
#pragma once

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

/* A lock whose holder never blocks and can't be cancelled. Zero-initialised is unlocked. */
struct guard_lock {
	_Atomic(unsigned long) owner; /* the thread, 0: free */
	_Atomic(bool) is_lost;	      /* a holder did not come back (a signal handler's longjmp): don't spin for it */
	uintptr_t frame;	      /* where its stack was */
};

/* Spins for a bounded time. False if the calling thread itself holds it (we are in a signal handler that interrupted
 * the holder) or if it can't be had: then the caller does without. */
bool guard_lock_try(struct guard_lock *lock) __attribute__((warn_unused_result));
void guard_unlock(struct guard_lock *lock);

/* The same, and doesn't wait at all. */
bool guard_lock_try_now(struct guard_lock *lock) __attribute__((warn_unused_result));

/* False in a child of vfork(), or of a clone() that ran no fork handlers: their memory or their descriptors are not the
 * ones that our state speaks of, so it must not be changed. */
bool guard_is_home(void);

/* Makes the calling process the home: the one whose sockets are followed, from its first one on; a fork's child. */
void guard_set_home(void);

/* The same for what has to be known of a process before its first socket, too: true where it is not the home yet,
 * but may become it. */
bool guard_is_home_to_be(void);

/* False where the calling process must not become the home: the child of a vfork(), or of a clone() that
 * guard_expect_pid() was called before, runs in another one's memory. */
bool guard_may_settle(void);
void guard_expect_pid(void);
void guard_expect_nobody(void); /* in a fork's child */

/* Somebody makes processes that share our memory by other means than vfork(): from now on every look is a getpid(). */
void guard_distrust_memory(void);

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

/* In the constructor: what the next three want to know of the program. */
void guard_learn_memory(void);

/* True for memory that can be read and written without a doubt, which most of what a program passes is. Hardly ever
 * a system call. */
bool guard_is_surely_there(const void *memory, size_t length);

/* Can these bytes be read without a fault? Where there is a doubt, one cheap system call a page. The program's
 * pointers are looked at with this before the kernel has; a bad one must give EFAULT, not a crash. */
bool guard_readable(const void *memory, size_t length);

/* Can at least 8 bytes be written? They are overwritten with anything: for what is about to be filled. */
bool guard_take_for_writing(void *memory, size_t length);

/* Raises SIGPIPE in this thread as a write to a broken connection does. */
void guard_raise_sigpipe(void);

/* The kernel's getpid(): libfaketime has one of its own. */
pid_t guard_pid(void);

/* The C library's clock_gettime(), also where another preloaded library tells the program other times. */
void guard_get_time(clockid_t clock, struct timespec *now);

/* Monotonic time, in ns, for what is measured: tens of ns to get. */
uint64_t guard_clock_ns(void);

/* Coarse monotonic time, in ns; a few ns to get, up to a tick late. */
uint64_t guard_now_ns(void);
