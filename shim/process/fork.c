/*
 * fork, exec and posix_spawn: who may use a connection after there are two processes, or another program.
 *
 * fork is met by handlers (pthread_atfork), which also run where libc forks inside itself. vfork: see vfork.h; its child
 * changes nothing of ours, and only marks what it hands to an exec.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "shim/base/fdlimit.h"
#include "shim/base/real.h"
#include "shim/base/stats_page.h"
#include "shim/exchange/eof.h"
#include "shim/exchange/handoff.h"
#include "shim/kept/broker_link.h"
#include "shim/process/exec_state.h"
#include "shim/process/fork.h"
#include "shim/process/init.h"
#include "shim/sock/sock.h"
#include "shim/wrap/wrap.h"

extern char **environ;

/* What a fork has found and taken, for its other half in the parent and in the child. A handler may fork while its thread does:
 * FORK_BITS of them for each, the last one first. */
enum { FORK_IS_FIT = 1, FORK_HAS_POOL = 2, FORK_HAS_LIMIT = 4, FORK_BITS = 3 };
static __thread unsigned long forks __attribute__((tls_model("initial-exec")));

static void begin_fork(bool is_home, bool wants_pool, bool wants_limit)
{
	/* A child that returns to the midst of what we were doing, with half of a change in its memory, goes on without us. */
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
	bool is_home = guard_is_home();

	if (is_home)
		sock_share_all(false);
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

static void after_fork_in_child(void)
{
	unsigned long bits = end_fork();

	fdlimit_after_fork_in_child(bits & FORK_HAS_LIMIT);
	if (!(bits & FORK_IS_FIT)) {
		guard_expect_nobody();
		broker_link_after_fork_amid();
		return;
	}
	guard_set_home();
	sock_after_fork_in_child();
}

void fork_init(void)
{
	pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child);
}

void fork_before_clone(unsigned long flags)
{
	bool is_thread = flags & CLONE_THREAD, is_home = guard_is_home();

	/* Its child must not be taken for us. */
	if ((flags & CLONE_VM) && !is_thread && !init_is_off())
		guard_expect_pid();
	/* What the child closes is closed here, and nobody says so. */
	if ((flags & CLONE_FILES) && !is_thread && guard_is_home_to_be())
		sock_retire_all();
	else if (!(flags & CLONE_VM) && is_home)
		sock_share_all(false);
	else if (!is_thread && is_home)
		eof_make();
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
}

/* No destructor runs then, and what was counted would be lost with the process. */
EXPORT void _exit(int status)
{
	init_end_at_once();
	REAL(_exit)(status);
	__builtin_unreachable();
}

EXPORT void _Exit(int status)
{
	_exit(status);
}

/* fork() without handlers, for signal handlers. Ours are fit for them. */
EXPORT pid_t _Fork(void)
{
	pid_t pid;

	fork_before_clone(0);
	pid = REAL(_Fork)();
	fork_after_clone(0, pid == 0);
	return pid;
}

int clone(int (*run)(void *), void *stack, int flags, void *argument, ...);
EXPORT int clone(int (*run)(void *), void *stack, int flags, void *argument, ...)
{
	void *further[3];
	va_list arguments;
	int result;

	va_start(arguments, argument);
	for (int i = 0; i < 3; i++)
		further[i] = va_arg(arguments, void *);
	va_end(arguments);
	fork_before_clone((unsigned)flags);
	result = REAL(clone)(run, stack, flags, argument, further[0], further[1], further[2]);
	fork_after_clone((unsigned)flags, false);
	return result;
}

/* The new program will have the same sockets. */
static void hand_over(bool only_inheritable)
{
	int saved = errno;

	if (atomic_load_explicit(&sock_n_tracked, memory_order_relaxed)) {
		handoff_waiting();
		if (guard_is_home())
			handoff_unused_inheritable();
		sock_share_all(only_inheritable);
	}
	errno = saved;
}

static void before_exec(void)
{
	int saved = errno;

	hand_over(true);
	if (guard_is_home())
		stats_page_keep();
	errno = saved;
}

/* The environment for a new program, in the caller's frame; `all` as in exec_state.h. */
#define WITH_INFLIGHT(environment, all)                                                                                \
	({                                                                                                             \
		size_t size_ = exec_state_size(environment, all);                                                      \
		size_ ? exec_state_prepare(__builtin_alloca(size_), size_, environment, all) : (char **)(environment); \
	})

EXPORT int execve(const char *path, char *const arguments[], char *const environment[])
{
	before_exec();
	return REAL(execve)(path, arguments, WITH_INFLIGHT(environment, 0));
}

EXPORT int execv(const char *path, char *const arguments[])
{
	return execve(path, arguments, environ);
}

EXPORT int execvpe(const char *file, char *const arguments[], char *const environment[])
{
	before_exec();
	return REAL(execvpe)(file, arguments, WITH_INFLIGHT(environment, 0));
}

EXPORT int execvp(const char *file, char *const arguments[])
{
	return execvpe(file, arguments, environ);
}

EXPORT int fexecve(int fd, char *const arguments[], char *const environment[])
{
	before_exec();
	return REAL(fexecve)(fd, arguments, WITH_INFLIGHT(environment, 0));
}

int execveat(int directory, const char *path, char *const arguments[], char *const environment[], int flags);
EXPORT int execveat(int directory, const char *path, char *const arguments[], char *const environment[], int flags)
{
	before_exec();
	return REAL(execveat)(directory, path, arguments, WITH_INFLIGHT(environment, 0), flags);
}

static size_t count_arguments(va_list arguments)
{
	size_t n = 1;

	while (va_arg(arguments, char *))
		n++;
	return n;
}

/* The list forms, as vectors. The stack is the only memory that a vfork child may use. */
#define LIST_TO_VECTOR(vector, first)                                \
	va_list list_, counted_;                                     \
	size_t n_;                                                   \
	va_start(list_, first);                                      \
	va_copy(counted_, list_);                                    \
	n_ = count_arguments(counted_);                              \
	va_end(counted_);                                            \
	char **vector = __builtin_alloca((n_ + 1) * sizeof(char *)); \
	vector[0] = (char *)first;                                   \
	for (size_t i_ = 1; i_ <= n_; i_++)                          \
	vector[i_] = va_arg(list_, char *)

EXPORT int execl(const char *path, const char *first, ...)
{
	LIST_TO_VECTOR(arguments, first);
	va_end(list_);
	return execv(path, arguments);
}

EXPORT int execlp(const char *file, const char *first, ...)
{
	LIST_TO_VECTOR(arguments, first);
	va_end(list_);
	return execvp(file, arguments);
}

EXPORT int execle(const char *path, const char *first, ...)
{
	char *const *environment;

	LIST_TO_VECTOR(arguments, first);
	environment = va_arg(list_, char *const *);
	va_end(list_);
	return execve(path, arguments, (char *const *)environment);
}

/* Programs look whether there are filters by setting one that can't be read. */
void fork_before_seccomp(long mode, const void *filter)
{
	bool is_tried = mode == SECCOMP_MODE_FILTER ? guard_readable(filter, sizeof(struct sock_fprog))
						    : mode == SECCOMP_MODE_STRICT;

	if (is_tried && guard_is_home())
		sock_retire_all();
}

EXPORT int prctl(int operation, ...)
{
	unsigned long argument[4];
	va_list arguments;

	va_start(arguments, operation);
	for (int i = 0; i < 4; i++)
		argument[i] = va_arg(arguments, unsigned long);
	va_end(arguments);
	if (operation == PR_SET_SECCOMP)
		fork_before_seccomp((long)argument[0], (const void *)argument[1]);
	return REAL(prctl)(operation, argument[0], argument[1], argument[2], argument[3]);
}

/* File actions may duplicate any descriptor, close-on-exec or not, and can't be looked into. */
static void before_spawn(const posix_spawn_file_actions_t *actions)
{
	hand_over(actions == NULL);
}

EXPORT int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
		       const posix_spawnattr_t *attributes, char *const arguments[], char *const environment[])
{
	char *const *prepared;
	bool is_held;
	int result;

	before_spawn(actions);
	prepared = WITH_INFLIGHT(environment, actions != NULL);
	is_held = guard_is_home() && fdlimit_hold();
	result = REAL(posix_spawn)(pid, path, actions, attributes, arguments, prepared);
	if (is_held)
		fdlimit_release();
	return result;
}

EXPORT int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
			const posix_spawnattr_t *attributes, char *const arguments[], char *const environment[])
{
	char *const *prepared;
	bool is_held;
	int result;

	before_spawn(actions);
	prepared = WITH_INFLIGHT(environment, actions != NULL);
	is_held = guard_is_home() && fdlimit_hold();
	result = REAL(posix_spawnp)(pid, file, actions, attributes, arguments, prepared);
	if (is_held)
		fdlimit_release();
	return result;
}
