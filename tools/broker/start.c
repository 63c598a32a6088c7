/* See start.h. */
#include "tools/broker/start.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pool/base/fdpass.h"
#include "pool/share/wire.h"
#include "tools/broker/path.h"

/* The broker closes this descriptor when it is ready. */
#define READY_FD 3
#define READY_TIMEOUT_MS 2000

/* The broker keeps nothing of the caller's: a pipe that it held open would keep a `$(...)` waiting. */
static void become_broker(const char *path, int ready)
{
	struct sigaction ignore = {.sa_handler = SIG_DFL};
	int null = open("/dev/null", O_RDWR);
	sigset_t none;

	/* The caller may have closed its standard streams: then these two descriptors are 0 to 2, or READY_FD. */
	ready = fcntl(ready, F_DUPFD, READY_FD + 1);
	null = fcntl(null, F_DUPFD, READY_FD + 1);
	if (ready < 0 || null < 0)
		_exit(127);
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
	dup2(ready, READY_FD);
	close_range(READY_FD + 1, ~0u, 0);
	for (int signal_number = 1; signal_number < NSIG; signal_number++)
		sigaction(signal_number, &ignore, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	unsetenv("LD_PRELOAD");
	if (chdir("/") == 0)
		execl("/proc/self/exe", "holdline", "broker", "--detached", path, NULL);
	_exit(127);
}

/* A grandchild, so that the program that we become never finds the broker among its children. */
static void be_middle(const char *path, int ready)
{
	pid_t child;

	setsid();
	child = fork();
	if (child == 0)
		become_broker(path, ready);
	_exit(child < 0);
}

static int wait_until_ready(int ready)
{
	struct pollfd entry = {.fd = ready, .events = POLLIN};

	return poll(&entry, 1, READY_TIMEOUT_MS) > 0 ? 0 : -ETIMEDOUT;
}

/* Without a pidfd (Linux 5.3) the broker learns of us by the connections that we share, and lingers. */
static void tell_of_run(int broker)
{
	static const struct pool_sys sys = {.sendmsg = sendmsg};
	struct broker_head run = broker_wire_head(BROKER_RUN, 0, 0);
	int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	if (pidfd < 0)
		return;
	(void)!fdpass_send(&sys, broker, &run, sizeof(run), pidfd);
	close(pidfd);
}

int broker_join(const char *path)
{
	int fd = broker_path_connect(path);

	if (fd < 0)
		return fd;
	tell_of_run(fd);
	close(fd);
	return 0;
}

int broker_start(const char *path)
{
	int ready[2], error = broker_join(path);
	pid_t middle;

	if (error != -ENOENT && error != -ECONNREFUSED)
		return error;
	if (pipe2(ready, O_CLOEXEC) < 0)
		return -errno;
	middle = fork();
	if (middle == 0)
		be_middle(path, ready[1]);
	close(ready[1]);
	if (middle > 0)
		while (waitpid(middle, NULL, 0) < 0 && errno == EINTR)
			;
	error = middle > 0 ? wait_until_ready(ready[0]) : -EAGAIN;
	close(ready[0]);
	return error ? error : broker_join(path);
}
