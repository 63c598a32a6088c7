/* Closing: once, twice, by ranges and loops; which descriptors are free afterwards; how many fit below the limit. */
#include "tests/lib/probe.h"

#include <dirent.h>
#include <sys/resource.h>
#include <sys/syscall.h>

static void exchange(const char *path)
{
	int fd = probe_dial();

	say("fd %d", fd);
	probe_ask(fd, path);
	probe_drain(fd);
	CALL(close(fd));
}

static void run_numbers(void)
{
	int a, b, c, d;

	a = open("/dev/null", O_RDONLY);
	b = probe_dial();
	c = open("/dev/null", O_RDONLY);
	say("%d %d %d", a, b, c);
	probe_ask(b, "/bytes/10");
	probe_drain(b);
	d = open("/dev/null", O_RDONLY);
	say("%d after the end", d);
	close(d);
	close(b);
	b = probe_socket();
	say("%d for the next socket", b);
	close(a);
	a = probe_dial();
	say("%d for the next connection", a);
	probe_ask(a, "/bytes/10");
	close(a);
	d = dup(c);
	say("%d for a duplicate", d);
	for (int i = 0; i < 5; i++)
		exchange("/bytes/10");
	close(b);
	close(c);
	close(d);
	exchange("/bytes/10");
}

static void run_pipe_numbers(void)
{
	int pipes[2], pair[2], set, fd;

	probe_exchange("/bytes/10");
	CALL(pipe(pipes));
	CALL(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	set = epoll_create1(0);
	fd = probe_dial();
	say("%d %d %d %d %d %d", pipes[0], pipes[1], pair[0], pair[1], set, fd);
	for (int i = pipes[0]; i <= fd; i++)
		CALL(close(i));
}

static void run_loop(void)
{
	probe_exchange("/bytes/10");
	for (int fd = 3; fd < 1024; fd++)
		if (close(fd) == 0 || errno != EBADF)
			say("close(%d) did something: %s", fd, error_name(errno));
	exchange("/bytes/10");
	for (int fd = 3; fd < 1024; fd++)
		close(fd);
	exchange("/bytes/20");
}

static void run_loop_to_limit(void)
{
	struct rlimit limit;
	long closed = 0;

	getrlimit(RLIMIT_NOFILE, &limit);
	probe_exchange("/bytes/10");
	for (int fd = 3; fd < (int)limit.rlim_max + 100 && fd < 300000; fd++)
		closed += close(fd) == 0;
	say("closed %ld", closed);
	exchange("/bytes/10");
}

static void run_loop_raw(void)
{
	probe_exchange("/bytes/10");
	for (int fd = 3; fd < 1024; fd++)
		if (syscall(SYS_close, fd) == 0)
			say("close(%d) did something", fd);
	exchange("/bytes/10");
	exchange("/bytes/20");
}

static void run_close_range(void)
{
	probe_exchange("/bytes/10");
	CALL(close_range(3, ~0U, 0));
	exchange("/bytes/10");
	CALL(close_range(5, 3, 0));
	CALL(close_range(3, 100, 0xff));
	CALL(close_range(3, ~0U, 4));
	exchange("/bytes/20");
}

/* As programs do it for older C libraries. */
static void run_close_range_raw(void)
{
	probe_exchange("/bytes/10");
	CALL(syscall(SYS_close_range, 3, ~0U, 0));
	exchange("/bytes/10");
	CALL(syscall(SYS_close_range, 3, ~0U, 0));
	exchange("/bytes/20");
}

static void run_close_range_open(void)
{
	int fd = probe_dial(), other = probe_dial();

	probe_ask(other, "/bytes/30");
	probe_ask(fd, "/bytes/40");
	CALL(close_range((unsigned)fd, (unsigned)fd, 0));
	CALL(close(fd));
	probe_drain(other);
	CALL(close_range((unsigned)other, ~0U, 0));
	CALL(close(other));
	exchange("/bytes/20");
}

static void run_closefrom(void)
{
	int fd = probe_dial();

	probe_exchange("/bytes/10");
	closefrom(3);
	CALL(close(fd));
	exchange("/bytes/10");
	closefrom(3);
	exchange("/bytes/20");
}

/* Every descriptor that the program doesn't have is EBADF, whatever the shim keeps there. */
static void run_foreign(void)
{
	struct rlimit limit;
	long answers = 0;
	char byte;

	getrlimit(RLIMIT_NOFILE, &limit);
	probe_exchange("/bytes/10");
	for (int fd = 3; fd < (int)limit.rlim_max + 2000 && fd < 100000; fd++) {
		if (fcntl(fd, F_GETFD) >= 0 || fcntl(fd, F_GETFL) >= 0 || recv(fd, &byte, 1, MSG_DONTWAIT) >= 0 ||
		    errno != EBADF)
			answers++;
	}
	say("%ld foreign descriptors answer", answers);
	exchange("/bytes/10");
}

/* A program that walks through /proc/self/fd and closes all descriptors that it doesn't know. */
static void run_close_listed(void)
{
	DIR *directory;
	struct dirent *entry;

	probe_exchange("/bytes/10");
	directory = opendir("/proc/self/fd");
	while ((entry = readdir(directory)) != NULL) {
		int fd = atoi(entry->d_name);

		if (fd > 2 && fd != dirfd(directory))
			close(fd);
	}
	closedir(directory);
	exchange("/bytes/10");
	exchange("/bytes/20");
}

static void run_limit(void)
{
	struct rlimit limit = {.rlim_cur = 64};
	int fds[128], n = 0;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = 64;
	CALL(setrlimit(RLIMIT_NOFILE, &limit));
	for (int i = 0; i < 5; i++)
		probe_exchange("/bytes/10");
	while (n < 128 && (fds[n] = open("/dev/null", O_RDONLY)) >= 0)
		n++;
	say("%d files fit: %s", n, error_name(errno));
	CALL(socket(AF_INET, SOCK_STREAM, 0));
	CALL(dup(0));
	close(fds[--n]);
	exchange("/bytes/10");
	fds[n++] = open("/dev/null", O_RDONLY);
	say("and one more: %d", fds[n - 1]);
	while (n > 0)
		close(fds[--n]);
	while (n < 128 && (fds[n] = socket(AF_INET, SOCK_STREAM, 0)) >= 0)
		n++;
	say("%d sockets fit: %s", n, error_name(errno));
	for (int i = 0; i < n; i++)
		if (connect(fds[i], (struct sockaddr *)&probe_server, sizeof probe_server) == 0)
			probe_ask(fds[i], "/bytes/10");
	for (int i = 0; i < n; i++)
		probe_drain(fds[i]);
	CALL(open("/dev/null", O_RDONLY));
	while (n > 0)
		close(fds[--n]);
	exchange("/bytes/10");
}

/* The hard limit equals the soft one: there is no room above. */
static void run_hard_limit(void)
{
	struct rlimit limit = {.rlim_cur = 32, .rlim_max = 32};
	int fds[64], n = 0;

	probe_exchange("/bytes/10");
	CALL(setrlimit(RLIMIT_NOFILE, &limit));
	for (int i = 0; i < 3; i++)
		exchange("/bytes/10");
	while (n < 64 && (fds[n] = socket(AF_INET, SOCK_STREAM, 0)) >= 0)
		n++;
	say("%d sockets fit: %s", n, error_name(errno));
	for (int i = 0; i < n; i++)
		if (connect(fds[i], (struct sockaddr *)&probe_server, sizeof probe_server) == 0)
			probe_ask(fds[i], "/bytes/10");
	for (int i = 0; i < n; i++)
		probe_drain(fds[i]);
	while (n > 0)
		close(fds[--n]);
	exchange("/bytes/20");
	CALL(getrlimit(RLIMIT_NOFILE, &limit));
	say("limits %ld %ld", (long)limit.rlim_cur, (long)limit.rlim_max);
}

static void run_count(void)
{
	int before = probe_count_fds(), fd;

	for (int i = 0; i < 20; i++)
		probe_exchange("/bytes/10");
	say("%d descriptors more", probe_count_fds() - before);
	fd = probe_dial();
	probe_ask(fd, "/bytes/10");
	probe_drain(fd);
	say("%d descriptors more", probe_count_fds() - before);
	CALL(close(fd));
	say("%d descriptors more", probe_count_fds() - before);
}

static void run_standard_closed(void)
{
	int saved = fcntl(1, F_DUPFD, 50), fd;

	close(0);
	fd = probe_dial();
	probe_ask(fd, "/bytes/10");
	probe_drain(fd);
	say("fd %d", fd);
	CALL(close(fd));
	CALL(open("/dev/null", O_RDONLY));
	exchange("/bytes/10");
	CALL(close(saved));
}

static void run_beyond_the_limit(void)
{
	struct rlimit old, low;
	int high, fd, other, first = -1;
	struct sockaddr_in local, local_other;
	socklen_t length = sizeof local;

	probe_exchange("/bytes/10");
	first = dup(0);
	high = fcntl(0, F_DUPFD, first + 40);
	for (fd = probe_socket(); fd < first + 20; fd = probe_socket())
		fcntl(fd, F_SETFD, FD_CLOEXEC);
	for (int i = first + 1; i < fd; i++)
		close(i);
	close(high);
	getrlimit(RLIMIT_NOFILE, &old);
	low = old;
	low.rlim_cur = (rlim_t)first + 10;
	CALL(setrlimit(RLIMIT_NOFILE, &low));
	CALL(connect(fd, (struct sockaddr *)&probe_server, sizeof probe_server));
	other = probe_socket();
	getsockname(fd, (struct sockaddr *)&local, &length);
	length = sizeof local_other;
	getsockname(other, (struct sockaddr *)&local_other, &length);
	say("two sockets are one: %d", local.sin_port == local_other.sin_port);
	CALL(connect(other, (struct sockaddr *)&probe_server, sizeof probe_server));
	setrlimit(RLIMIT_NOFILE, &old);
	close(fd);
	close(other);
	close(first);
}

/* Sixteen connections at once, then none; all of their descriptors are the program's again. */
static void run_all_numbers(void)
{
	struct rlimit low = {64, 64};
	int fds[64], n;

	setrlimit(RLIMIT_NOFILE, &low);
	closefrom(3);
	for (int i = 0; i < 16; i++)
		fds[i] = probe_dial();
	for (int i = 0; i < 16; i++) {
		char bytes[512];

		probe_ask(fds[i], "/bytes/10");
		while (read(fds[i], bytes, sizeof bytes) > 0)
			;
		close(fds[i]);
	}
	for (n = 0; n < 64; n++)
		if ((fds[n] = open("/dev/null", O_RDONLY)) < 0)
			break;
	say("opened %d", n);
	closefrom(3);
}

static const struct probe_case cases[] = {
	{"numbers", run_numbers},
	{"pipe-numbers", run_pipe_numbers},
	{"loop", run_loop},
	{"loop-to-limit", run_loop_to_limit},
	{"loop-raw", run_loop_raw},
	{"close-range", run_close_range},
	{"close-range-raw", run_close_range_raw},
	{"close-range-open", run_close_range_open},
	{"closefrom", run_closefrom},
	{"foreign", run_foreign},
	{"close-listed", run_close_listed},
	{"limit", run_limit},
	{"hard-limit", run_hard_limit},
	{"count", run_count},
	{"standard-closed", run_standard_closed},
	{"beyond-the-limit", run_beyond_the_limit},
	{"all-numbers", run_all_numbers},
};
PROBE_MAIN(cases)
