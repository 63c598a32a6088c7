/* Processes created in every way and at every moment: amid threads, in signal handlers, without handlers. They inherit
 * the same as bare. */
#include "tests/lib/probe.h"

#include <linux/close_range.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>

extern char **environ;

static void reap(const char *what, pid_t pid)
{
	int status = -1;

	if (waitpid(pid, &status, 0) != pid)
		say("%s: no such child: %s", what, error_name(errno));
	else if (WIFSIGNALED(status))
		say("%s was killed by %d", what, WTERMSIG(status));
	else
		say("%s ended with %d", what, WEXITSTATUS(status));
}

/* A restarted connect() finds itself connected. */
static int dial(void)
{
	int fd = probe_socket();

	if (connect(fd, (struct sockaddr *)&probe_server, sizeof probe_server) && errno != EISCONN && errno != EINTR)
		say("connect: %s", error_name(errno));
	return fd;
}

/* Reads to the end, with a long timeout. 0: the end came and the size is right. */
static int take_answer(int fd, long expected)
{
	struct timeval limit = {3, 0};
	char bytes[4096];
	long n, total = 0;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	while ((n = read(fd, bytes, sizeof bytes)) > 0 || (n < 0 && errno == EINTR))
		total += n > 0 ? n : 0;
	return n == 0 && total == expected ? 0 : 1;
}

/* 90 bytes of head, for a body of two digits. */
static volatile sig_atomic_t is_twice;

static int exchange(void)
{
	static const char request[] = "GET /bytes/50 HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
	int fd = dial(), result;

	/* If a handler has forked, both processes go on to send the request, and only one can. */
	if (send(fd, request, sizeof request - 1, MSG_NOSIGNAL) < 0 && !is_twice)
		say("not sent: %s", error_name(errno));
	result = take_answer(fd, 139);
	close(fd);
	return result;
}

static pid_t fork_as_usual(void)
{
	return fork();
}
static pid_t fork_bare(void)
{
	return _Fork();
}
static pid_t fork_by_number(void)
{
	return (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
}

static struct {
	const char *name;
	pid_t (*make)(void);
} makers[] = {{"fork", fork_as_usual}, {"_Fork", fork_bare}, {"clone by number", fork_by_number}};

/* The child keeps the parent's socket. The exchange ends in the parent, which then makes others: the child must neither
 * see their bytes nor wait for ever. */
static void run_keeper(void)
{
	for (size_t i = 0; i < sizeof makers / sizeof *makers; i++) {
		int fd = dial(), wrong = 0;
		pid_t pid;

		probe_ask(fd, "/bytes/50");
		pid = makers[i].make();
		if (pid == 0) {
			usleep(50000);
			_exit(take_answer(fd, 0));
		}
		wrong += take_answer(fd, 139);
		close(fd);
		for (int j = 0; j < 5; j++) {
			wrong += exchange();
			usleep(15000);
		}
		say("%s: %d wrong", makers[i].name, wrong);
		reap("keeper", pid);
	}
}

/* The child goes on with sockets of its own. */
static void run_child_goes_on(void)
{
	for (size_t i = 0; i < sizeof makers / sizeof *makers; i++) {
		int fd = dial();
		pid_t pid;

		exchange();
		probe_ask(fd, "/bytes/50");
		pid = makers[i].make();
		if (pid == 0) {
			int wrong = take_answer(fd, 139);

			for (int j = 0; j < 5; j++)
				wrong += exchange();
			_exit(wrong);
		}
		reap(makers[i].name, pid);
		close(fd);
		say("parent %d", exchange());
	}
}

/* ---- Amid threads ---- */

static _Atomic(bool) stop;
static _Atomic(int) n_wrong;

static void *exchanges(void *unused)
{
	(void)unused;
	while (!stop)
		n_wrong += exchange();
	return NULL;
}

static pthread_t threads[4];

static void begin_threads(void)
{
	stop = false;
	n_wrong = 0;
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, exchanges, NULL);
}

static void end_threads(void)
{
	stop = true;
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	say("%d wrong in threads", n_wrong);
}

static void run_amid_threads(void)
{
	int n_bad = 0;

	begin_threads();
	for (int i = 0; i < 60; i++) {
		int status = -1;
		pid_t pid = makers[i % 3].make();

		if (pid == 0) {
			int wrong = i % 3 < 1 ? exchange() : 0;

			alarm(10);
			if (i % 2)
				closefrom(3);
			_exit(wrong + (i % 3 < 1 ? exchange() : 0));
		}
		waitpid(pid, &status, 0);
		n_bad += status != 0;
	}
	end_threads();
	say("%d bad children", n_bad);
}

static int run_in_clone(void *unused)
{
	(void)unused;
	_exit(3);
}

static void run_vfork_amid_threads(void)
{
	static char stack[65536];
	char *arguments[] = {(char *)"true", NULL};
	volatile int n_bad = 0;

	begin_threads();
	for (volatile int i = 0; i < 60; i++) {
		int status = -1;
		pid_t pid;

		if (i % 3 == 0) {
			pid = vfork();
			if (pid == 0) {
				close_range(3, ~0U, 0);
				execv("/bin/true", arguments);
				_exit(127);
			}
		} else if (i % 3 == 1) {
			pid = vfork();
			if (pid == 0)
				_exit(0);
		} else {
			pid = clone(run_in_clone, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
		}
		waitpid(pid, &status, 0);
		n_bad += WEXITSTATUS(status) != (i % 3 == 2 ? 3 : 0);
	}
	end_threads();
	say("%d bad children", n_bad);
}

/* ---- In handlers ---- */

static volatile sig_atomic_t n_children, n_bad_children;

/* One that POSIX allows in a handler, and the one that most programs call. */
static pid_t fork_either_way(void)
{
	return n_children % 2 ? _Fork() : fork();
}

static void fork_in_handler(int number)
{
	int status = -1, saved = errno;
	pid_t pid;

	/* If a fork takes longer than the timer's period, no exchange would end. */
	if (n_children >= 100)
		return;
	(void)number;
	pid = fork_either_way();
	if (pid == 0)
		_exit(0);
	n_children++;
	if (waitpid(pid, &status, 0) == pid && status != 0)
		n_bad_children++;
	errno = saved;
}

static void run_in_handler(void)
{
	struct itimerval often = {{0, 900}, {0, 900}}, never = {0};
	struct sigaction action = {.sa_handler = fork_in_handler, .sa_flags = SA_RESTART};
	int wrong = 0;

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	while (n_children < 100)
		wrong += exchange();
	setitimer(ITIMER_REAL, &never, NULL);
	say("%d wrong, %d bad children", wrong, (int)n_bad_children);
	n_children = n_bad_children = 0;
}

/* The child of a handler's fork goes on where the parent was interrupted. */
static int *n_returned;

static void fork_and_return(int number)
{
	static const struct itimerval never;

	(void)number;
	if (fork_either_way() == 0) {
		setitimer(ITIMER_REAL, &never, NULL);
		*n_returned = 1;
	}
	n_children++;
}

static void run_handler_returns_twice(void)
{
	struct sigaction action = {.sa_handler = fork_and_return, .sa_flags = SA_RESTART};
	int n_bad = 0, n = probe_is_heavy() ? 1000 : 40;

	n_returned = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	sigaction(SIGALRM, &action, NULL);
	is_twice = 1;
	for (int i = 0; i < n; i++) {
		struct itimerval soon = {.it_value.tv_usec = 20 + i * 37 % 400};
		int before = n_children, status;

		setitimer(ITIMER_REAL, &soon, NULL);
		while (n_children == before)
			exchange();
		if (*n_returned) {
			alarm(10);
			for (int j = 0; j < 3; j++)
				exchange();
			_exit(exchange());
		}
		if (wait(&status) < 0 || status != 0)
			n_bad++;
	}
	say("%d bad children", n_bad);
	n_children = is_twice = 0;
}

/* ---- What is inherited ---- */

static void *ask_limits(void *unused)
{
	struct rlimit limit;
	long wrong = 0;

	(void)unused;
	while (!stop) {
		getrlimit(RLIMIT_NOFILE, &limit);
		wrong += limit.rlim_cur != 512;
	}
	return (void *)wrong;
}

/* The limit of descriptors is the program's own at any time, for it and for its children. */
static void run_limit(void)
{
	struct rlimit limit;
	volatile int n_bad = 0, n = probe_is_heavy() ? 60 : 9;
	void *wrong;
	pthread_t asker;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = 512;
	setrlimit(RLIMIT_NOFILE, &limit);
	begin_threads();
	pthread_create(&asker, NULL, ask_limits, NULL);
	for (volatile int i = 0; i < n; i++) {
		char *arguments[] = {(char *)"sh", (char *)"-c", (char *)"test `ulimit -n` = 512", NULL};
		int status = -1;
		pid_t pid = -1;

		if (i % 3 == 0 && (pid = fork()) == 0) {
			getrlimit(RLIMIT_NOFILE, &limit);
			_exit(limit.rlim_cur != 512);
		} else if (i % 3 == 1 && (pid = vfork()) == 0) {
			execv("/bin/sh", arguments);
			_exit(127);
		} else if (i % 3 == 2) {
			posix_spawn(&pid, "/bin/sh", NULL, NULL, arguments, environ);
		}
		waitpid(pid, &status, 0);
		n_bad += status != 0;
	}
	end_threads();
	pthread_join(asker, &wrong);
	say("%d children with another limit, %s", n_bad, wrong ? "seen raised" : "never seen raised");
	getrlimit(RLIMIT_NOFILE, &limit);
	say("at the end %lu", (unsigned long)limit.rlim_cur);
}

static void *run_long_commands(void *unused)
{
	(void)unused;
	while (!stop)
		if (system("test `ulimit -n` = 512 && sleep 0.15"))
			say("another limit");
	return NULL;
}

/* Commands at once, short and long, while other threads make requests. */
static void run_limit_of_commands(void)
{
	volatile int n_bad = 0, n = probe_is_heavy() ? 60 : 12;
	struct rlimit limit;
	pthread_t other;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = 512;
	setrlimit(RLIMIT_NOFILE, &limit);
	begin_threads();
	pthread_create(&other, NULL, run_long_commands, NULL);
	for (volatile int i = 0; i < n; i++)
		n_bad += system("test `ulimit -n` = 512") != 0;
	end_threads();
	pthread_join(other, NULL);
	getrlimit(RLIMIT_NOFILE, &limit);
	say("%d commands with another limit, at the end %lu", n_bad, (unsigned long)limit.rlim_cur);
}

static int read_what_comes(void *argument)
{
	const int *pipes = argument;
	int fd;

	if (read(pipes[0], &fd, sizeof fd) != sizeof fd)
		return 1;
	probe_drain(fd);
	return 0;
}

/* A process with the same descriptors but its own memory, made before the first socket. */
static void run_cloned_files(void)
{
	static char stack[65536] __attribute__((aligned(16)));
	int pipes[2], fd;
	pid_t pid;

	if (pipe(pipes))
		say("no pipe");
	pid = clone(read_what_comes, stack + sizeof stack, CLONE_FILES | SIGCHLD, pipes);
	fd = probe_dial();
	probe_ask(fd, "/bytes/100");
	if (write(pipes[1], &fd, sizeof fd) != sizeof fd)
		say("not told");
	reap("child", pid);
	CALL(close(fd));
	close(pipes[0]);
	close(pipes[1]);
}

static bool unshares_by_range;

static void *exchange_with_own_files(void *barrier)
{
	int fd;

	if (unshares_by_range)
		CALL(close_range(5000, 5001, CLOSE_RANGE_UNSHARE));
	else
		CALL(unshare(CLONE_FILES));
	pthread_barrier_wait(barrier);
	fd = probe_dial();
	probe_ask(fd, "/bytes/200");
	pthread_barrier_wait(barrier);
	pthread_barrier_wait(barrier);
	probe_drain(fd);
	close(fd);
	return NULL;
}

/* Two threads with separate descriptor tables, made before the first socket: one descriptor stands for two
 * connections. */
static void run_unshared_files(void)
{
	pthread_barrier_t barrier;
	pthread_t other;
	int fd;

	pthread_barrier_init(&barrier, NULL, 2);
	pthread_create(&other, NULL, exchange_with_own_files, &barrier);
	pthread_barrier_wait(&barrier);
	fd = probe_dial();
	probe_ask(fd, "/bytes/100");
	pthread_barrier_wait(&barrier);
	probe_drain(fd);
	CALL(close(fd));
	pthread_barrier_wait(&barrier);
	pthread_join(other, NULL);
}

static void run_range_unshared(void)
{
	unshares_by_range = true;
	run_unshared_files();
}

/* ---- While a thread of the parent's makes the process's first socket ---- */

static _Atomic bool is_begun, is_held;

static void hold_thread(int number)
{
	(void)number;
	is_held = true;
	usleep(3000);
}

static void *make_first_socket(void *unused)
{
	is_begun = true;
	close(probe_socket());
	return unused;
}

static void wait_ns(long ns)
{
	struct timespec begin, now;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	do
		clock_gettime(CLOCK_MONOTONIC, &now);
	while ((now.tv_sec - begin.tv_sec) * 1000000000 + now.tv_nsec - begin.tv_nsec < ns);
}

/* In a process that has made none: 0 if its child ends well, and in time. */
static int fork_amid_first(long after_ns, pid_t (*make)(void))
{
	pthread_t thread;
	int status;
	pid_t pid;

	signal(SIGUSR1, hold_thread);
	pthread_create(&thread, NULL, make_first_socket, NULL);
	while (!is_begun)
		;
	wait_ns(after_ns);
	pthread_kill(thread, SIGUSR1);
	for (int i = 0; i < 1000 && !is_held; i++)
		wait_ns(1000);
	pid = make();
	if (pid == 0) {
		alarm(2);
		for (int i = 0; i < 40; i++)
			close(probe_socket());
		_exit(exchange());
	}
	waitpid(pid, &status, 0);
	pthread_join(thread, NULL);
	return status != 0;
}

static void run_amid_first_socket(void)
{
	int n_failed = 0;

	for (int i = 0; i < 90; i++) {
		int status;
		pid_t pid = fork();

		if (pid == 0)
			_exit(fork_amid_first(i / 3 * 4000, makers[i % 3].make));
		waitpid(pid, &status, 0);
		n_failed += status != 0;
	}
	say("%d failed", n_failed);
}

static const struct probe_case cases[] = {
	{"keeper", run_keeper},
	{"child-goes-on", run_child_goes_on},
	{"amid-threads", run_amid_threads},
	{"vfork-amid-threads", run_vfork_amid_threads},
	{"amid-first-socket", run_amid_first_socket},
	{"in-handler", run_in_handler},
	{"handler-returns-twice", run_handler_returns_twice},
	{"limit", run_limit},
	{"limit-of-commands", run_limit_of_commands},
	{"cloned-files", run_cloned_files},
	{"unshared-files", run_unshared_files},
	{"range-unshared", run_range_unshared},
};
PROBE_MAIN(cases)
