/* See detach.h. */
#include "tools/base/detach.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "pool/base/kernel.h"

#define ARGUMENTS_MAX 8

static void keep_only(int fd)
{
	int null = open("/dev/null", O_RDWR);

	/* The caller may have closed its standard streams: then these two descriptors are 0 to 2, or DETACH_FD. */
	fd = fcntl(fd, F_DUPFD, DETACH_FD + 1);
	null = fcntl(null, F_DUPFD, DETACH_FD + 1);
	if (fd < 0 || null < 0)
		_exit(127);
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
	dup2(fd, DETACH_FD);
	syscall(SYS_close_range, DETACH_FD + 1, ~0u, 0);
}

static void reset_signals(void)
{
	struct sigaction default_action = {.sa_handler = SIG_DFL};
	sigset_t none;

	for (int signal_number = 1; signal_number < NSIG; signal_number++)
		sigaction(signal_number, &default_action, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void become(int fd, const char *const arguments[])
{
	char *vector[ARGUMENTS_MAX + 2] = {"holdline"};

	for (size_t i = 0; i < ARGUMENTS_MAX && arguments[i]; i++)
		vector[i + 1] = (char *)arguments[i];
	keep_only(fd);
	reset_signals();
	unsetenv("LD_PRELOAD");
	if (chdir("/") == 0)
		execv("/proc/self/exe", vector);
	_exit(127);
}

/* In the grandchild: 0. In the caller, once the child between has gone: 1, or -errno. */
static int fork_twice(void)
{
	pid_t middle = fork();

	if (middle < 0)
		return -errno;
	if (middle == 0) {
		setsid();
		if (fork() == 0)
			return 0;
		_exit(0);
	}
	while (waitpid(middle, NULL, 0) < 0 && errno == EINTR)
		;
	return 1;
}

int detach_start(int fd, const char *const arguments[])
{
	int which = fork_twice();

	if (which == 0)
		become(fd, arguments);
	return which < 0 ? which : 0;
}

void detach_call(void (*run)(int fd), int fd)
{
	if (fork_twice() != 0)
		return;
	run(fd);
	_exit(0);
}
