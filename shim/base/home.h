/*
 * Proof that we are in our own process. Everything here is async-signal-safe and leaves errno alone.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

/* vfork() is wrapped in assembly per architecture, since a function that returns twice can't keep its return address
 * on the stack. Where there is none, guard_is_home() asks for the pid each time. */
#if defined(__x86_64__) || defined(__aarch64__)
#define VFORK_IS_SEEN 1
#else
#define VFORK_IS_SEEN 0
#endif

/* Of the calling thread, as vfork() has returned to it: not 0 in the child, which runs in our memory and on its
 * parent's stack until it executes something; 2 in that one's child. */
extern __thread int vfork_is_child __attribute__((tls_model("initial-exec")));

/* False in a child of vfork(), or of a clone() that ran no fork handlers: their memory or their descriptors are not the
 * ones that our state speaks of, so it must not be changed. */
static inline bool guard_is_home(void);

/* Makes the calling process the home: the one whose sockets are followed, from its first one on; a fork's child. */
void guard_set_home(void);

/* Makes later looks cheap, and free of system calls. Only at home. */
void guard_settle_home(void);

/* The same for what has to be known of a process before its first socket, too: true where it is not the home yet,
 * but may become it. */
bool guard_is_home_to_be(void);

/* False where the calling process must not become the home: the child of a vfork(), or of a clone() that
 * guard_expect_pid() was called before, runs in another one's memory. */
bool guard_may_become_home(void);
void guard_expect_pid(void);
void guard_expect_nobody(void); /* in a fork's child */

/* Somebody makes processes that share our memory by other means than vfork(): from now on every look is a getpid(). */
void guard_distrust_memory(void);

/* Raises SIGPIPE in this thread as a write to a broken connection does. */
void guard_raise_sigpipe(void);

/* Private to guard_is_home(): a flag that reads as false in the child of any fork, or is false where a look at memory
 * proves nothing; and the question to the kernel in that case. */
extern _Atomic(bool) *_Atomic(guard_home_flag);
bool guard_ask_home(void);

/* Inline, since it is asked two dozen times in an exchange. */
static inline bool guard_is_home(void)
{
	_Atomic(bool) *flag = atomic_load_explicit(&guard_home_flag, memory_order_relaxed);

	if (__builtin_expect(atomic_load_explicit(flag, memory_order_relaxed) && !vfork_is_child, 1))
		return true;
	return guard_ask_home();
}

/* The kernel's getpid(): libfaketime has one of its own. */
pid_t guard_pid(void);
