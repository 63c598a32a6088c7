/* See parent.h. */
#include "tools/run/parent.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tools/base/clock.h"
#include "tools/run/witness.h"

/* The signals as they were at our start; immutable once the child runs. */
static sigset_t mask_before;
static struct sigaction child_action_before;
static sigset_t waited; /* the signals for run_parent_wait() */

static void block_signals(void)
{
	static const int of_our_own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS};
	struct sigaction default_action = {.sa_handler = SIG_DFL};

	sigfillset(&waited);
	for (size_t i = 0; i < sizeof(of_our_own) / sizeof(of_our_own[0]); i++)
		sigdelset(&waited, of_our_own[i]);
	sigprocmask(SIG_BLOCK, &waited, &mask_before);
	/* If the caller ignored SIGCHLD, nobody could be waited for; we wait. */
	sigaction(SIGCHLD, &default_action, &child_action_before);
}

static void restore_signals(void)
{
	sigaction(SIGCHLD, &child_action_before, NULL);
	sigprocmask(SIG_SETMASK, &mask_before, NULL);
}

/* The caller's part in the child, before its exec. */
struct preparation {
	void (*prepare)(const void *context);
	const void *context;
};

/* In the child. An error is written to `failure`; without one, exec closes that. */
static void become(char **argv, const struct preparation *preparation, int failure, pid_t parent)
{
	int error;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		raise(SIGKILL);
	restore_signals();
	preparation->prepare(preparation->context);
	execvp(argv[0], argv);
	error = errno;
	_exit(write(failure, &error, sizeof(error)) != sizeof(error));
}

static int read_failure(int fd)
{
	int error = 0;
	ssize_t n;

	do
		n = read(fd, &error, sizeof(error));
	while (n < 0 && errno == EINTR);
	return n == sizeof(error) ? error : 0;
}

/* A reader of the program's output waits for its end of file, not for ours: we drop our copies. Our own descriptors are
 * close-on-exec; other inherited ones were meant for the program. */
static void let_go_of_descriptors(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	DIR *directory = opendir("/proc/self/fd");
	struct dirent *entry;

	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
	}
	if (null > STDERR_FILENO)
		close(null);
	while (directory && (entry = readdir(directory))) {
		int fd = atoi(entry->d_name);

		if (fd > STDERR_FILENO && !(fcntl(fd, F_GETFD) & FD_CLOEXEC))
			close(fd);
	}
	if (directory)
		closedir(directory);
}

pid_t run_parent_start(char **argv, void (*prepare)(const void *context), const void *context)
{
	const struct preparation preparation = {prepare, context};
	pid_t parent = getpid(), child;
	int failure[2], error;

	if (pipe2(failure, O_CLOEXEC) < 0)
		return -errno;
	block_signals();
	child = fork();
	if (child == 0)
		become(argv, &preparation, failure[1], parent);
	error = child < 0 ? errno : 0;
	close(failure[1]);
	if (child > 0)
		error = read_failure(failure[0]);
	close(failure[0]);
	if (!error) {
		let_go_of_descriptors();
		run_witness_start();
		return child;
	}
	if (child > 0)
		waitpid(child, NULL, 0);
	restore_signals();
	return -error;
}

/* The terminal stopped us as it stopped the child. A stop signal of the whole group is pending here already, and counts
 * once. */
static void stop_like(int signal_number)
{
	sigset_t one;

	sigemptyset(&one);
	sigaddset(&one, signal_number);
	raise(signal_number);
	sigprocmask(SIG_UNBLOCK, &one, NULL);
	sigprocmask(SIG_BLOCK, &one, NULL);
}

/* True once the program has ended. As the first process of a container we also reap orphans. */
static bool look_after(pid_t child, int *child_status)
{
	pid_t pid;
	int status;

	while ((pid = waitpid(-1, &status, WNOHANG | WUNTRACED | WCONTINUED)) > 0) {
		bool has_ended = WIFEXITED(status) || WIFSIGNALED(status);

		if (pid != child) {
			if (has_ended)
				run_witness_forget(pid);
			continue;
		}
		if (has_ended) {
			*child_status = status;
			return true;
		}
		if (WIFSTOPPED(status) && WSTOPSIG(status) != SIGSTOP) {
			stop_like(WSTOPSIG(status));
			kill(child, SIGCONT);
		}
	}
	return false;
}

static void pass_on(pid_t child, const siginfo_t *info)
{
	if (info->si_signo == SIGCHLD || info->si_pid == getpid())
		return;
	/* Signals from the kernel are the terminal's, and go to the whole group. */
	if (run_witness_saw(info->si_signo) || info->si_code > 0)
		return;
	if (info->si_code == SI_QUEUE)
		sigqueue(child, info->si_signo, info->si_value);
	else
		kill(child, info->si_signo);
}

int run_parent_wait(pid_t child, unsigned (*tick)(void *context), void *context)
{
	int64_t next_ns = (int64_t)clock_now_ns(CLOCK_MONOTONIC), left_ns;
	int status = 0;

	while (!look_after(child, &status)) {
		struct timespec timeout;
		siginfo_t info;

		left_ns = next_ns - (int64_t)clock_now_ns(CLOCK_MONOTONIC);
		if (left_ns <= 0) {
			next_ns = (int64_t)clock_now_ns(CLOCK_MONOTONIC) + (int64_t)(tick(context) * MILLISECOND_NS);
			left_ns = next_ns - (int64_t)clock_now_ns(CLOCK_MONOTONIC);
		}
		if (left_ns < 0)
			left_ns = 0;
		timeout = (struct timespec){.tv_sec = left_ns / (int64_t)SECOND_NS,
					    .tv_nsec = left_ns % (int64_t)SECOND_NS};
		if (sigtimedwait(&waited, &info, &timeout) > 0)
			pass_on(child, &info);
	}
	run_witness_end();
	return status;
}

int run_parent_end_like(int status)
{
	struct rlimit no_core = {0, 0};
	struct sigaction default_action = {.sa_handler = SIG_DFL};
	sigset_t one;

	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	setrlimit(RLIMIT_CORE, &no_core);
	sigemptyset(&one);
	sigaddset(&one, WTERMSIG(status));
	sigaction(WTERMSIG(status), &default_action, NULL);
	raise(WTERMSIG(status));
	sigprocmask(SIG_UNBLOCK, &one, NULL);
	return 128 + WTERMSIG(status);
}
