/* Child processes that close what they have inherited, fork amid threads, run helpers, or live in a sandbox. */
#include "tests/lib/probe.h"

#include <pthread.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>

/* A child closes its inherited descriptors; the parent still waits for the end. */
static void child_closes(bool range)
{
	int set = epoll_create1(0), fd = probe_dial(), status;
	struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP};
	char bytes[65536];
	size_t length = 0;
	pid_t child;

	epoll_ctl(set, EPOLL_CTL_ADD, fd, &event);
	probe_ask(fd, "/bytes/10");
	do
		length += (size_t)read(fd, bytes + length, sizeof bytes - length);
	while (bytes[length] = 0, !strstr(bytes, "\r\n\r\n"));
	child = fork();
	if (child == 0) {
		if (range)
			closefrom(3);
		else
			close(fd);
		_exit(0);
	}
	waitpid(child, &status, 0);
	probe_settle();
	probe_print_epoll("after the child", set, 1000);
	probe_wait_end("parent", fd);
	close(fd);
	close(set);
}

static void run_child_closes(void)
{
	child_closes(false);
}

static void run_child_closes_all(void)
{
	child_closes(true);
}

static void run_child_closes_new(void)
{
	int set = epoll_create1(0), fd = probe_socket(), status;
	struct epoll_event event = {.events = EPOLLIN};
	pid_t child;

	epoll_ctl(set, EPOLL_CTL_ADD, fd, &event);
	probe_print_epoll("new", set, 100);
	child = fork();
	if (child == 0) {
		close(fd);
		_exit(0);
	}
	waitpid(child, &status, 0);
	CALL(connect(fd, (struct sockaddr *)&probe_server, sizeof probe_server));
	probe_ask(fd, "/bytes/10");
	say("events %d", epoll_wait(set, &event, 1, 2000));
	probe_wait_end("parent", fd);
	close(fd);
	close(set);
}

static void run_fork_cancel_state(void)
{
	int status, old = -1;
	pid_t child;

	probe_exchange("/bytes/10");
	child = fork();
	if (child == 0) {
		pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &old);
		_exit(old == PTHREAD_CANCEL_ENABLE ? 0 : 1);
	}
	waitpid(child, &status, 0);
	say("child %d", WEXITSTATUS(status));
}

static void *fork_often(void *unused)
{
	int old = -1, n = probe_is_heavy() ? 40 : 15;

	(void)unused;
	for (int i = 0; i < n; i++) {
		pid_t child = fork();

		if (child == 0)
			_exit(0);
		waitpid(child, NULL, 0);
	}
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &old);
	return (void *)(intptr_t)(old != PTHREAD_CANCEL_ENABLE);
}

/* Several threads of a large program fork at the same time. */
static void run_forkers(void)
{
	size_t size = 96u << 20;
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_t threads[6];
	long n_disabled = 0;

	madvise(memory, size, MADV_NOHUGEPAGE);
	for (size_t at = 0; at < size; at += 4096)
		memory[at] = 1;
	probe_exchange("/bytes/10");
	for (int i = 0; i < 6; i++)
		pthread_create(&threads[i], NULL, fork_often, NULL);
	for (int i = 0; i < 6; i++) {
		void *result;

		pthread_join(threads[i], &result);
		n_disabled += (long)result;
	}
	say("threads that can't be cancelled any more: %ld", n_disabled);
	munmap(memory, size);
}

static _Atomic(bool) stop;

static void *exchanges(void *unused)
{
	char bytes[4096];

	(void)unused;
	while (!stop) {
		int fd = probe_dial();

		probe_ask(fd, "/bytes/10");
		while (read(fd, bytes, sizeof bytes) > 0)
			;
		close(fd);
	}
	return NULL;
}

/* Helpers are started while other threads are in the middle of exchanges. */
static void run_spawn_among_exchanges(void)
{
	char *arguments[] = {"true", NULL};
	pthread_t threads[4];
	posix_spawn_file_actions_t actions;

	stop = false;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, exchanges, NULL);
	for (int i = 0; i < 400; i++) {
		int status;
		pid_t child;

		if (posix_spawn(&child, "/nowhere/at/all", &actions, NULL, arguments, environ) == 0)
			waitpid(child, &status, 0);
	}
	stop = true;
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	say("alive");
}

static void run_system_reads(void)
{
	char command[64];
	int fd = probe_dial();

	probe_ask(fd, "/bytes/10");
	snprintf(command, sizeof command, "timeout 4 tail -c 10 <&%d", fd);
	say("status %d", system(command));
	close(fd);
}

static void run_sandbox(void)
{
	int status;
	pid_t child = fork();

	if (child == 0) {
		int fd = probe_dial();
		char bytes[512];
		static const char request[] = "GET /bytes/10 HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";

		prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
		write(fd, request, sizeof request - 1);
		while (read(fd, bytes, sizeof bytes) > 0)
			;
		syscall(SYS_exit, 0);
	}
	waitpid(child, &status, 0);
	say("child signal %d status %d", WTERMSIG(status), WEXITSTATUS(status));
}

/* ---- Behind a filter that kills for every call that the program does not make itself ---- */

#define ALLOW(call) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##call, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static int set_filter(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		ALLOW(socket),
		ALLOW(connect),
		ALLOW(sendto),
		ALLOW(recvfrom),
		ALLOW(read),
		ALLOW(write),
		ALLOW(close),
		ALLOW(clone),
		ALLOW(set_robust_list),
		ALLOW(rt_sigprocmask),
		ALLOW(gettid),
		ALLOW(wait4),
		ALLOW(exit_group),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	struct sock_fprog program = {sizeof filter / sizeof *filter, filter};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static void end_by_number(int status)
{
	syscall(SYS_exit_group, status);
}

static void (*const ends[])(int) = {exit, _exit, quick_exit, end_by_number};
#define N_ENDS (sizeof ends / sizeof *ends)

/* Requests before the filter and behind it, and a child of its own: its end. */
static void live_filtered(int n_before, int n_behind, void (*end)(int))
{
	int status = 1;
	pid_t pid;

	for (int i = 0; i < n_before; i++)
		probe_exchange("/bytes/10");
	if (set_filter())
		end(2);
	for (int i = 0; i < n_behind; i++)
		probe_exchange("/bytes/10");
	pid = fork();
	if (pid == 0)
		end(0);
	wait4(pid, &status, 0, NULL);
	end(status != 0);
}

static void run_filtered(void)
{
	for (int i = 0; i < 3 * 2 * (int)N_ENDS; i++) {
		int n_before = i % 3 * 3, n_behind = i / 3 % 2 * 6, status;
		pid_t pid = fork();

		if (pid == 0)
			live_filtered(n_before, n_behind, ends[i / 6]);
		waitpid(pid, &status, 0);
		say("%d before, %d behind, end %d: signal %d status %d", n_before, n_behind, i / 6, WTERMSIG(status),
		    WEXITSTATUS(status));
	}
}

static const struct probe_case cases[] = {
	{"child-closes", run_child_closes},
	{"child-closes-all", run_child_closes_all},
	{"child-closes-new", run_child_closes_new},
	{"fork-cancel-state", run_fork_cancel_state},
	{"forkers", run_forkers},
	{"spawn-among-exchanges", run_spawn_among_exchanges},
	{"system-reads", run_system_reads},
	{"sandbox", run_sandbox},
	{"filtered", run_filtered},
};
PROBE_MAIN(cases)
