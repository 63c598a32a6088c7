/*
 * Runs one of the demo's client programs: fork, exec, collect both outputs, never wait without a timeout.
 */
#include "tools/demo/client.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tools/base/clock.h"

struct collector {
	int fd;
	char *buffer;
	size_t size, length;
};

static int64_t now_ms(void)
{
	return (int64_t)(clock_now_ns(CLOCK_MONOTONIC) / MILLISECOND_NS);
}

__attribute__((noreturn)) static void become_client(char *const argv[], int output_fd, int error_fd)
{
	/* The demo's server is on this machine: a proxy could not reach it. */
	static const char *const proxies[] = {"http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"};
	int null_fd = open("/dev/null", O_RDONLY);

	for (size_t i = 0; i < sizeof(proxies) / sizeof(proxies[0]); i++)
		unsetenv(proxies[i]);
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(null_fd, 0);
	dup2(output_fd, 1);
	dup2(error_fd, 2);
	execvp(argv[0], argv);
	_exit(127);
}

/* Reads once; closes the pipe at its end of file. Bytes that don't fit are dropped, so that the program never
 * stalls. */
static void collect(struct collector *collector)
{
	char scratch[4096];
	ssize_t n = read(collector->fd, scratch, sizeof(scratch));

	if (n <= 0) {
		close(collector->fd);
		collector->fd = -1;
		return;
	}
	for (ssize_t i = 0; i < n && collector->length + 1 < collector->size; i++)
		collector->buffer[collector->length++] = scratch[i];
	collector->buffer[collector->length] = '\0';
}

/* Collects from both pipes until both have ended. False if the timeout came first. */
static bool collect_all(struct collector collectors[2], int64_t deadline_ms)
{
	while (collectors[0].fd >= 0 || collectors[1].fd >= 0) {
		struct pollfd fds[2] = {{collectors[0].fd, POLLIN, 0}, {collectors[1].fd, POLLIN, 0}};
		int64_t left_ms = deadline_ms - now_ms();

		if (left_ms <= 0)
			return false;
		if (poll(fds, 2, (int)left_ms) < 0 && errno != EINTR)
			return false;
		for (int i = 0; i < 2; i++)
			if (collectors[i].fd >= 0 && fds[i].revents)
				collect(&collectors[i]);
	}
	return true;
}

/* Waits for the process, and kills its group if the deadline passes. False if it had to. */
static bool reap(pid_t pid, bool has_ended, int64_t deadline_ms)
{
	static const struct timespec pause = {.tv_nsec = 1000 * 1000};

	while (has_ended && waitpid(pid, NULL, WNOHANG) == 0) {
		has_ended = now_ms() < deadline_ms;
		nanosleep(&pause, NULL);
	}
	if (!has_ended) {
		kill(-pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	return has_ended;
}

int demo_client_run(char *const argv[], int limit_s, struct demo_result *result)
{
	int output[2], errors[2];
	int64_t begin_ms = now_ms(), deadline_ms = begin_ms + limit_s * 1000LL;
	pid_t pid;

	if (pipe2(output, O_CLOEXEC) != 0)
		return -errno;
	if (pipe2(errors, O_CLOEXEC) != 0) {
		close(output[0]);
		close(output[1]);
		return -EMFILE;
	}
	pid = fork();
	if (pid == 0)
		become_client(argv, output[1], errors[1]);
	close(output[1]);
	close(errors[1]);
	result->output[0] = result->errors[0] = '\0';
	if (pid > 0) {
		struct collector collectors[2] = {{output[0], result->output, sizeof(result->output), 0},
						  {errors[0], result->errors, sizeof(result->errors), 0}};

		setpgid(pid, pid); /* both processes call it: kill() below must find the group */
		result->timed_out = !reap(pid, collect_all(collectors, deadline_ms), deadline_ms);
		result->seconds = (double)(now_ms() - begin_ms) / 1000;
		output[0] = collectors[0].fd;
		errors[0] = collectors[1].fd;
	}
	if (output[0] >= 0)
		close(output[0]);
	if (errors[0] >= 0)
		close(errors[0]);
	return pid > 0 ? 0 : -EAGAIN;
}
