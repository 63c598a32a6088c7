/*
 * fork, exec and posix_spawn: who may use a connection after there are two processes, or another program.
 *
 * fork is met by handlers (pthread_atfork), which also run where libc forks inside itself. vfork: see home.h; its child
 * changes nothing of ours, and only marks what it hands to an exec.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>

#include "shim/base/clock.h"
#include "shim/base/fdlimit.h"
#include "shim/base/home.h"
#include "shim/base/lock.h"
#include "shim/base/log.h"
#include "shim/base/real.h"
#include "shim/base/stats_page.h"
#include "shim/base/usermem.h"
#include "shim/exchange/eof.h"
#include "shim/exchange/handoff.h"
#include "shim/kept/broker_link.h"
#include "shim/kept/reach.h"
#include "shim/process/exec_relay.h"
#include "shim/process/fork.h"
#include "shim/process/init.h"
#include "shim/sock/identity.h"
#include "shim/sock/sock.h"

/* State passed from the prepare handler to the parent and child handlers; a small stack, since a signal handler may
 * fork inside a fork. */
enum { FORK_IS_FIT = 1, FORK_HAS_POOL = 2, FORK_HAS_LIMIT = 4, FORK_BITS = 3 };
static __thread unsigned long forks __attribute__((tls_model("initial-exec")));

static void begin_fork(bool is_home, bool wants_pool, bool wants_limit)
{
	/* A child that returns to the midst of what we were doing, with half of a change in its memory, goes on
	 * without us. */
	bool is_fit = is_home && !guard_is_interrupted();
	unsigned bits = is_fit ? FORK_IS_FIT : 0;

	if (is_fit && wants_pool && pool_lock_for_fork())
		bits |= FORK_HAS_POOL;
	if (is_home && wants_limit && fdlimit_hold())
		bits |= FORK_HAS_LIMIT;
	forks = forks << FORK_BITS | bits;
}

static unsigned long end_fork(void)
{
	unsigned long bits = forks & ((1u << FORK_BITS) - 1);

	forks >>= FORK_BITS;
	return bits;
}

static void before_fork(void)
{
	bool is_home = init_is_settled() && guard_is_home();

	if (is_home) {
		handoff_settle_fences(false);
		sock_share_all(false);
	}
	begin_fork(is_home, true, true);
}

static void after_fork_in_parent(void)
{
	unsigned long bits = end_fork();

	if (bits & FORK_HAS_LIMIT)
		fdlimit_release();
	if (bits & FORK_HAS_POOL)
		pool_unlock_after_fork();
}

/* The program has a filter of system calls, which may end it for one of ours: nothing is followed any more. */
static _Atomic(bool) is_filtered;

static void after_fork_in_child(void)
{
	unsigned long bits = end_fork();

	init_after_fork();
	guard_forget_sleepers();
	fdlimit_after_fork_in_child(bits & FORK_HAS_LIMIT);
	if (is_filtered) {
		guard_expect_nobody();
		return;
	}
	if (!(bits & FORK_IS_FIT)) {
		guard_expect_nobody();
		broker_link_after_fork_amid();
		return;
	}
	if (bits & FORK_HAS_POOL)
		pool_unlock_after_fork();
	sock_after_fork_in_child(bits & FORK_HAS_POOL);
	/* A handler that comes before this finds the parent's state, and leaves it alone. */
	guard_set_home();
}

void fork_init(void)
{
	pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

void fork_before_clone(unsigned long flags)
{
	bool is_thread = flags & CLONE_THREAD, is_home = init_is_settled() && guard_is_home();

	/* Its child must not be taken for us. */
	if ((flags & CLONE_VM) && !is_thread && !init_is_off())
		guard_expect_pid();
	/* The child's close() closes our descriptor, too, without a notice. */
	if ((flags & CLONE_FILES) && !is_thread && guard_is_home_to_be())
		sock_retire_all();
	else if (!(flags & CLONE_VM) && is_home) {
		handoff_settle_fences(false);
		sock_share_all(false);
	} else if (!is_thread && is_home) {
		eof_make();
		handoff_settle_fences(false);
	}
	begin_fork(is_home, false, !is_thread);
	/* A child that shares our memory without being a thread, as vfork's does. */
	if ((flags & CLONE_VM) && !is_thread)
		guard_distrust_memory();
}

void fork_after_clone(unsigned long flags, bool is_child)
{
	if (!is_child)
		after_fork_in_parent();
	else if (!(flags & (CLONE_VM | CLONE_FILES)) && !guard_is_home())
		after_fork_in_child();
	/* The child's are others than those that the parent has found. */
	if (is_child && (flags & (CLONE_NEWNET | CLONE_NEWUSER)))
		identity_forget();
}

/* The new program will have the same sockets. */
static void hand_over(bool only_inheritable)
{
	int saved = errno;

	if (atomic_load_explicit(&sock_n_tracked, memory_order_relaxed)) {
		handoff_waiting();
		if (guard_is_home()) {
			handoff_settle_fences(only_inheritable);
			handoff_unused_inheritable();
		}
		sock_share_all(only_inheritable);
	}
	errno = saved;
}

int fork_before_exec(void)
{
	int saved = errno, begun = -1;

	hand_over(true);
	if (guard_is_home()) {
		begun = broker_link_before_exec();
		stats_page_keep();
	}
	errno = saved;
	return begun;
}

void fork_after_exec(int begun)
{
	int saved = errno;

	broker_link_after_exec(begun);
	errno = saved;
}

void fork_before_spawn(bool has_actions)
{
	/* File actions may duplicate any descriptor, close-on-exec or not, and can't be looked into. */
	hand_over(!has_actions);
}

/* Programs look whether there are filters by setting one that can't be read. */
void fork_before_seccomp(long mode, const void *filter)
{
	bool is_tried = mode == SECCOMP_MODE_FILTER ? guard_readable(filter, sizeof(struct sock_fprog))
						    : mode == SECCOMP_MODE_STRICT;

	if (is_tried) {
		is_filtered = true;
		exec_relay_note_filter(mode == SECCOMP_MODE_FILTER ? filter : NULL);
		log_leave_alone();
		clock_leave_slack_alone();
		reach_leave_alone();
	}
	if (is_tried && guard_is_home())
		guard_settle_home();
	if (is_tried && guard_is_home_to_be()) {
		sock_retire_all();
		stats_page_leave_alone();
	}
}
