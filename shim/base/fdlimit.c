/* See fdlimit.h. */
#include "shim/base/fdlimit.h"

#include <errno.h>
#include <sched.h>
#include <unistd.h>

#include "shim/base/clock.h"
#include "shim/base/fdtable.h"
#include "shim/base/home.h"
#include "shim/base/lock.h"
#include "shim/base/real.h"

/* Room above the soft limit that we ask for. */
#define HIGH_ROOM 16384
/* From the entry of system() to its child's beginning, on a loaded machine. */
#define BRIEFLY_NS 100000000u
/* So many threads at once. One more takes somebody's place, whose hold then ends with its own. */
#define N_BRIEF 16

static struct guard_lock limit_lock; /* covers the two below */
static struct rlimit own_limit;	     /* the program's, while it is raised */
static _Atomic(unsigned) n_changes;  /* odd: it is raised */
static _Atomic(unsigned) n_making;   /* threads that are creating a process: no thread waits for them */
/* The same for those that are inside system(): until when, 0: nobody. */
static _Atomic(uint64_t) held_until_ns[N_BRIEF];

#define SPINS 1000

/* The holder needs about 1 us but may be descheduled: wait, then give up. */
static bool try_to_lock(void)
{
	for (unsigned step = 0; !n_making && !guard_lock_is_own(&limit_lock); step++) {
		if (guard_lock_try_now(&limit_lock))
			return true;
		if (!guard_lock_wait(&limit_lock, step))
			return false;
	}
	return false;
}

static bool is_raised(void)
{
	return n_changes & 1;
}

bool fdlimit_ask(void (*ask)(void *), void *question, struct rlimit *own)
{
	for (int i = 0; i < SPINS && guard_is_home(); i++) {
		unsigned before = n_changes;

		if (before & 1)
			*own = own_limit;
		else
			ask(question);
		if (before == n_changes)
			return !(before & 1);
	}
	ask(question);
	return true;
}

static bool is_held_briefly(void)
{
	uint64_t latest_ns = 0;

	for (int i = 0; i < N_BRIEF; i++) {
		uint64_t until_ns = atomic_load_explicit(&held_until_ns[i], memory_order_relaxed);

		latest_ns = until_ns > latest_ns ? until_ns : latest_ns;
	}
	return latest_ns && guard_now_ns() < latest_ns;
}

static void ask_result(void *limit)
{
	if (REAL(getrlimit)(RLIMIT_NOFILE, limit) < 0)
		*(struct rlimit *)limit = (struct rlimit){0, 0};
}

enum fdlimit_result fdlimit_raise(struct rlimit *own)
{
	struct rlimit raised;
	int saved = errno;

	if (is_held_briefly() || !try_to_lock()) {
		fdlimit_ask(ask_result, own, own);
		errno = saved;
		return FDLIMIT_BUSY;
	}
	if (REAL(getrlimit)(RLIMIT_NOFILE, own) == 0 && own->rlim_cur < own->rlim_max && own->rlim_cur < FDTABLE_SIZE) {
		raised = own_limit = *own;
		raised.rlim_cur = own->rlim_max - own->rlim_cur > HIGH_ROOM ? own->rlim_cur + HIGH_ROOM : own->rlim_max;
		atomic_fetch_add(&n_changes, 1);
		if (REAL(setrlimit)(RLIMIT_NOFILE, &raised) == 0)
			return FDLIMIT_RAISED;
		atomic_fetch_add(&n_changes, 1);
	}
	guard_unlock(&limit_lock);
	errno = saved;
	return FDLIMIT_NO_ROOM;
}

void fdlimit_restore(void)
{
	int saved = errno;

	REAL(setrlimit)(RLIMIT_NOFILE, &own_limit);
	atomic_fetch_add(&n_changes, 1);
	guard_unlock(&limit_lock);
	errno = saved;
}

bool fdlimit_hold(void)
{
	atomic_fetch_add(&n_making, 1);
	if (guard_lock_try(&limit_lock))
		return true;
	atomic_fetch_sub(&n_making, 1);
	return false;
}

void fdlimit_release(void)
{
	guard_unlock(&limit_lock);
	atomic_fetch_sub(&n_making, 1);
}

uint64_t fdlimit_hold_briefly(void)
{
	uint64_t now_ns = guard_now_ns(), hold = now_ns + BRIEFLY_NS;
	int i = 0;

	for (; i < N_BRIEF; i++) {
		uint64_t until_ns = held_until_ns[i];

		if (until_ns <= now_ns && atomic_compare_exchange_strong(&held_until_ns[i], &until_ns, hold))
			break;
	}
	if (i == N_BRIEF)
		atomic_store(&held_until_ns[0], hold);
	/* The present holder has finished by the time we have the lock. */
	if (guard_lock_try(&limit_lock))
		guard_unlock(&limit_lock);
	return hold;
}

void fdlimit_end_hold(uint64_t hold)
{
	/* If another has the same, one of the two is left for that. */
	for (int i = 0; i < N_BRIEF; i++) {
		uint64_t expected = hold;

		if (atomic_compare_exchange_strong(&held_until_ns[i], &expected, 0))
			return;
	}
}

void fdlimit_after_fork_in_child(bool was_held)
{
	n_making = 0;
	if (was_held) {
		guard_unlock(&limit_lock);
		return;
	}
	if (is_raised())
		REAL(setrlimit)(RLIMIT_NOFILE, &own_limit);
	/* Otherwise a handler has forked; it returns to the code that restores the limit again. */
	if (guard_lock_is_own(&limit_lock))
		return;
	n_changes = 0;
	limit_lock.owner = 0;
}

bool fdlimit_begin_change(void)
{
	return guard_is_home() && guard_lock_try(&limit_lock);
}

void fdlimit_end_change(void)
{
	guard_unlock(&limit_lock);
}

void fdlimit_note_change(const struct rlimit *limit)
{
	if (guard_lock_is_own(&limit_lock) && is_raised())
		own_limit = *limit;
}
