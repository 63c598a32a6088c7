/* See lock.h. Raw system calls, since the wrappers' names are ours and libc's may be cancellation points. */
#include "shim/base/lock.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>

#include "pool/base/annotate.h"
#include "pool/base/clock.h"
#include "shim/base/alone.h"
#include "shim/base/clock.h"
#include "shim/base/real.h"

#define BUSY_STEPS 200
#define SLEEP_NS (50 * MICROSECOND_NS)
/* A tenth of a second, either way. */
#define SLEEPING_STEPS 1000
#define WOKEN_STEPS 100
/* More than enough for who comes too late each time. */
#define TRIES_MAX 10000
/* The low bits of an owner: threads are aligned to more than this, in every C library. */
#define GENERATIONS 8

/* Of the calling thread: how many locks it holds, and what it was before the first (UNCHANGED: as it is). */
static __thread unsigned n_held __attribute__((tls_model("initial-exec")));
static __thread int cancel_state __attribute__((tls_model("initial-exec")));
#define UNCHANGED (-1)

/* The thread's stack pointer when it took the first of them, and when it began to handle something; 0: it does not. */
static __thread uintptr_t held_frame __attribute__((tls_model("initial-exec")));
static __thread uintptr_t handling_frame __attribute__((tls_model("initial-exec")));

/* The C library's calls under a lock are cancellation points; nobody else would unlock. Whoever is alone can only
 * cancel itself, which ends the process, and with it the lock. */
static void hold(void)
{
	if (n_held++)
		return;
	held_frame = (uintptr_t)__builtin_frame_address(0);
	if (is_known_alone())
		cancel_state = UNCHANGED;
	else
		pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
}

static void let_go(void)
{
	if (cancel_state != UNCHANGED)
		pthread_setcancelstate(cancel_state, NULL);
}

static void pause_briefly(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
}

static _Atomic(unsigned) n_sleepers; /* threads that are asleep below, on whatever word */
static unsigned long generation;     /* of this process among its forks, modulo GENERATIONS */

static unsigned long own_name(void)
{
	return (unsigned long)pthread_self() | generation;
}

static void call_futex(void *word, int operation, uint32_t value, const struct timespec *time)
{
	int saved = errno;

	libc.syscall(SYS_futex, word, operation, value, time);
	errno = saved;
}

static void sleep_until_woken(void *word, uint32_t value)
{
	struct timespec time = {0, MILLISECOND_NS};
	long slack = clock_begin_nap();

	atomic_fetch_add(&n_sleepers, 1);
	call_futex(word, FUTEX_WAIT_PRIVATE, value, &time);
	atomic_fetch_sub(&n_sleepers, 1);
	clock_end_nap(slack);
}

/* The other thread has lost its processor after these steps. Whoever calls sched_yield() then loses its own for a
 * whole slice of the scheduler's, which is milliseconds where programs compute. */
bool guard_wait(unsigned step)
{
	if (step < BUSY_STEPS)
		pause_briefly();
	else
		clock_nap(SLEEP_NS);
	return step < BUSY_STEPS + SLEEPING_STEPS;
}

bool guard_wait_for(void *word, uint32_t value, unsigned step)
{
	if (step < BUSY_STEPS)
		pause_briefly();
	else
		sleep_until_woken(word, value);
	return step < BUSY_STEPS + WOKEN_STEPS;
}

void guard_wake(void *word)
{
	if (__builtin_expect(atomic_load(&n_sleepers), 0))
		call_futex(word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL);
}

void guard_forget_sleepers(void)
{
	n_sleepers = 0;
}

void guard_forget_owners(void)
{
	generation = (generation + 1) % GENERATIONS;
}

static bool set_owner(struct guard_lock *lock, unsigned long *owner, unsigned long self)
{
	return atomic_compare_exchange_strong_explicit(&lock->owner, owner, self, memory_order_acquire,
						       memory_order_relaxed);
}

/* A thread of the parent's, which is not here. */
static bool is_gone(unsigned long owner)
{
	return owner % GENERATIONS != generation;
}

static bool try_once(struct guard_lock *lock, unsigned long self, bool *is_own)
{
	unsigned long owner = 0;

	if (set_owner(lock, &owner, self) || (is_gone(owner) && set_owner(lock, &owner, self))) {
		ANNOTATE_LOCKED(lock);
		hold();
		lock->frame = (uintptr_t)__builtin_frame_address(0);
		return true;
	}
	*is_own = owner == self;
	return false;
}

bool guard_lock_wait(struct guard_lock *lock, unsigned step)
{
	unsigned long owner = atomic_load(&lock->owner);

	return owner ? guard_wait_for(&lock->owner, (uint32_t)owner, step) : step < TRIES_MAX;
}

__attribute__((noinline)) static bool wait_for(struct guard_lock *lock, unsigned long self)
{
	bool is_own = false;

	for (unsigned step = 0; guard_lock_wait(lock, step); step++) {
		if (try_once(lock, self, &is_own))
			return true;
		if (is_own)
			guard_lock_is_abandoned(lock);
		if (is_own || atomic_load_explicit(&lock->is_lost, memory_order_relaxed))
			return false;
	}
	atomic_store(&lock->is_lost, true);
	return false;
}

bool guard_lock_try(struct guard_lock *lock)
{
	unsigned long self = own_name();
	bool is_own;

	return __builtin_expect(try_once(lock, self, &is_own), 1) || wait_for(lock, self);
}

bool guard_lock_try_now(struct guard_lock *lock)
{
	bool is_own;

	return try_once(lock, own_name(), &is_own);
}

void guard_unlock(struct guard_lock *lock)
{
	/* In this order, since a handler may leave by longjmp in between. */
	if (n_held && --n_held == 0)
		let_go();
	atomic_store_explicit(&lock->is_lost, false, memory_order_relaxed);
	ANNOTATE_UNLOCKED(lock);
	/* Before the look whether somebody sleeps, for every processor. */
	atomic_store(&lock->owner, 0);
	guard_wake(&lock->owner);
}

bool guard_lock_is_own(const struct guard_lock *lock)
{
	return atomic_load_explicit(&lock->owner, memory_order_relaxed) == own_name();
}

/* The signal frame below an interrupted function: the registers, with floating point (sigreturn(2)); at least this
 * much on every architecture. */
#define SIGNAL_FRAME_MIN 1024

/* A handler that has interrupted a function runs further down the same stack, or on the alternate one. Another call
 * that the same program makes later may lie a little deeper, too: as the compiler has it. */
static bool is_within(uintptr_t frame)
{
	stack_t alternate;

	if ((uintptr_t)__builtin_frame_address(0) + SIGNAL_FRAME_MIN <= frame)
		return true;
	return sigaltstack(NULL, &alternate) < 0 || (alternate.ss_flags & SS_ONSTACK);
}

bool guard_is_interrupted(void)
{
	return (n_held && is_within(held_frame)) || (handling_frame && is_within(handling_frame));
}

uintptr_t guard_begin_handling(void)
{
	uintptr_t outer = handling_frame;

	handling_frame = (uintptr_t)__builtin_frame_address(0);
	return outer;
}

void guard_end_handling(uintptr_t outer)
{
	handling_frame = outer;
}

bool guard_lock_is_abandoned(struct guard_lock *lock)
{
	if (!guard_lock_is_own(lock) || is_within(lock->frame))
		return false;
	if (!atomic_exchange(&lock->is_lost, true) && n_held) {
		n_held = 0;
		let_go();
	}
	return true;
}
