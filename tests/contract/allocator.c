/*
 * A program with an allocator of its own that holds a lock while it calls wrapped functions: no wrapped call may ask it
 * for memory, at any time. See early/counted_malloc.h. Allocations by libc's own calls are counted and compared, too.
 */
#include "tests/contract/early/counted_malloc.h"

#include <dlfcn.h>
#include <linux/close_range.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>
#include <sys/uio.h>

extern char **environ;
extern void *volatile early_block;

static const char request[] = "GET /bytes/100 HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
static const char post[] =
	"POST /bytes/100 HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello";
static unsigned before_main;

/* The last of all constructors: the shim's constructor has run. */
__attribute__((constructor)) static void count_before_main(void)
{
	before_main = counted_allocations();
}

static void say_refusals(void)
{
	say("%u refused", counted_refusals());
}

static void run_start(void)
{
	struct counted_setup setup = counted_setup();

	say("%u allocations before main, set up %u times, early block %s", before_main, setup.times,
	    early_block ? "there" : "missing");
	say("page %ld, open files %ld, processors %ld, thread %ld, read %ld, closed %ld, limit %d, poll %d, flags %d",
	    setup.page_size, setup.open_max, setup.processors, setup.thread, setup.bytes_read, setup.closed,
	    setup.limit, setup.poll_result, setup.flags);
	say_refusals();
}

/* Reads until the answer's end. */
static void drain(int fd)
{
	char bytes[64];
	long n, total = 0;

	while ((n = QUIETLY_INSIDE(read(fd, bytes, sizeof bytes))) > 0)
		total += n;
	say("drained %ld, then %ld", total, n);
}

static void exchange(const char *text, size_t length)
{
	struct pollfd pollfd = {.events = POLLIN};
	int fd = QUIETLY_INSIDE(socket(AF_INET, SOCK_STREAM, 0));

	INSIDE(connect(fd, (struct sockaddr *)&probe_server, sizeof probe_server));
	INSIDE(write(fd, text, length));
	pollfd.fd = fd;
	INSIDE(poll(&pollfd, 1, 5000));
	drain(fd);
	INSIDE(close(fd));
}

/* More requests than connections are kept, and one that is never sent on a kept connection. */
static void run_exchange(void)
{
	for (int i = 0; i < 3; i++)
		exchange(request, sizeof request - 1);
	exchange(post, sizeof post - 1);
	exchange(request, sizeof request - 1);
	say_refusals();
}

static void run_nonblocking(void)
{
	int epoll_fd = QUIETLY_INSIDE(epoll_create1(EPOLL_CLOEXEC));

	for (int i = 0; i < 3; i++) {
		int fd = QUIETLY_INSIDE(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
		struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.fd = fd};
		struct pollfd pollfd = {.fd = fd, .events = POLLOUT};
		struct timeval second = {.tv_sec = 1};
		char bytes[1000];
		fd_set set;

		INSIDE(epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event));
		INSIDE(connect(fd, (struct sockaddr *)&probe_server, sizeof probe_server));
		INSIDE(poll(&pollfd, 1, 5000));
		INSIDE(send(fd, request, sizeof request - 1, MSG_NOSIGNAL));
		probe_settle();
		FD_ZERO(&set);
		FD_SET(fd, &set);
		INSIDE(select(fd + 1, &set, NULL, NULL, &second));
		INSIDE(epoll_wait(epoll_fd, &event, 1, 1000) >= 0);
		while (QUIETLY_INSIDE(recv(fd, bytes, sizeof bytes, 0)) > 0)
			;
		INSIDE(epoll_pwait(epoll_fd, &event, 1, 0, NULL) >= 0);
		INSIDE(epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, NULL));
		INSIDE(close(fd));
	}
	INSIDE(close(epoll_fd));
	say_refusals();
}

static void run_vectors(void)
{
	for (int i = 0; i < 2; i++) {
		char bytes[2][50];
		struct iovec out = {(void *)request, sizeof request - 1};
		struct iovec in[] = {{bytes[0], sizeof bytes[0]}, {bytes[1], sizeof bytes[1]}};
		struct mmsghdr message = {.msg_hdr = {.msg_iov = &out, .msg_iovlen = 1}};
		int fd = probe_dial();

		INSIDE(sendmmsg(fd, &message, 1, 0));
		probe_settle();
		INSIDE(recv(fd, bytes, 10, MSG_PEEK));
		INSIDE(readv(fd, in, 2));
		message.msg_hdr.msg_iov = in;
		INSIDE(recvmmsg(fd, &message, 1, 0, NULL));
		INSIDE(recvmsg(fd, &message.msg_hdr, 0));
		INSIDE(recvfrom(fd, bytes, sizeof bytes, MSG_WAITALL, NULL, NULL));
		drain(fd);
		INSIDE(shutdown(fd, SHUT_WR));
		INSIDE(close(fd));
	}
	say_refusals();
}

static void run_transfers(void)
{
	int pipes[2], file = open("/tmp", O_TMPFILE | O_RDWR, 0600), fd = probe_dial();
	off_t from = 0;

	if (pipe(pipes) || write(file, request, sizeof request - 1) < 0)
		say("no pipe or file");
	INSIDE(sendfile(fd, file, &from, sizeof request - 1));
	probe_settle();
	while (INSIDE(splice(fd, NULL, pipes[1], NULL, 64, 0)) > 0)
		;
	INSIDE(close(fd));
	INSIDE(close(pipes[0]));
	INSIDE(close(pipes[1]));
	INSIDE(close(file));
	say_refusals();
}

static void run_numbers(void)
{
	int fd = probe_dial(), other;

	other = QUIETLY_INSIDE(dup(fd));
	INSIDE(dup2(fd, other) == other);
	INSIDE(dup3(fd, other, O_CLOEXEC) == other);
	INSIDE(fcntl(fd, F_SETFD, FD_CLOEXEC));
	INSIDE(fcntl(fd, F_GETFL));
	INSIDE(close(other));
	other = QUIETLY_INSIDE(fcntl(fd, F_DUPFD_CLOEXEC, 100));
	INSIDE(close_range((unsigned)other, (unsigned)other, 0));
	INSIDE(syscall(SYS_dup3, fd, 200, 0));
	INSIDE(syscall(SYS_close, 200));
	INSIDE((closefrom(100), 0));
	INSIDE(write(fd, request, sizeof request - 1));
	drain(fd);
	INSIDE(close(fd));
	say_refusals();
}

static void run_options(void)
{
	int fd = QUIETLY_INSIDE(socket(AF_INET, SOCK_STREAM, 0)), value = 1;
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t length = sizeof value, address_length = sizeof address;

	INSIDE(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, sizeof value));
	INSIDE(bind(fd, (struct sockaddr *)&address, sizeof address));
	INSIDE(connect(fd, (struct sockaddr *)&probe_server, sizeof probe_server));
	INSIDE(getsockopt(fd, SOL_SOCKET, SO_ERROR, &value, &length));
	INSIDE(getsockname(fd, (struct sockaddr *)&address, &address_length));
	INSIDE(getpeername(fd, (struct sockaddr *)&address, &address_length));
	INSIDE(write(fd, request, sizeof request - 1));
	probe_settle();
	INSIDE(ioctl(fd, FIONREAD, &value));
	drain(fd);
	INSIDE(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &length));
	INSIDE(close(fd));
	fd = QUIETLY_INSIDE(socket(AF_INET, SOCK_STREAM, 0));
	INSIDE(listen(fd, 1));
	INSIDE(close(fd));
	say_refusals();
}

static void run_limits(void)
{
	struct rlimit limit;

	probe_exchange("/bytes/10");
	INSIDE(getrlimit(RLIMIT_NOFILE, &limit));
	INSIDE(setrlimit(RLIMIT_NOFILE, &limit));
	INSIDE(prlimit(0, RLIMIT_NOFILE, NULL, &limit));
	INSIDE(sysconf(_SC_OPEN_MAX));
	INSIDE(sysconf(_SC_PAGESIZE));
	INSIDE(getdtablesize());
	INSIDE(prctl(PR_GET_DUMPABLE));
	INSIDE(syscall(SYS_getppid) == getppid());
	say_refusals();
}

static void run_processes(void)
{
	char *arguments[] = {(char *)"true", NULL};
	int fd = probe_dial(), status;
	pid_t pid;

	exchange(request, sizeof request - 1);
	pid = QUIETLY_INSIDE(fork());
	if (pid == 0) {
		exchange(request, sizeof request - 1);
		counted_inside = "_exit in a child";
		_exit((int)counted_refusals());
	}
	INSIDE(waitpid(pid, &status, 0) == pid);
	say("child ended with %x", (unsigned)status);
	INSIDE(posix_spawn(&pid, "/bin/true", NULL, NULL, arguments, environ));
	waitpid(pid, &status, 0);
	INSIDE(posix_spawnp(&pid, "true", NULL, NULL, arguments, environ));
	waitpid(pid, &status, 0);
	counted_inside = "vfork and execve";
	pid = vfork();
	if (pid == 0) {
		close(fd);
		execve("/bin/true", arguments, environ);
		_exit(127);
	}
	counted_inside = NULL;
	INSIDE(waitpid(pid, &status, 0) == pid);
	INSIDE(system("exit 3"));
	INSIDE(execv("/nowhere", arguments));
	INSIDE(execl("/nowhere", "nowhere", (char *)NULL));
	INSIDE(close(fd));
	say_refusals();
}

/* These calls allocate by themselves: as often as bare. */
static void run_allocating(void)
{
	unsigned before = counted_allocations();
	FILE *file = fdopen(probe_dial(), "r+");

	say("fdopen: %u allocations", counted_allocations() - before);
	INSIDE(dprintf(fileno(file), "%s", request));
	probe_settle();
	before = counted_allocations();
	INSIDE(fgetc(file));
	fclose(file);
	say("stdio: %u allocations", counted_allocations() - before);
	before = counted_allocations();
	pclose(popen("true", "r"));
	say("popen: %u allocations", counted_allocations() - before);
	before = counted_allocations();
	CALL(dlopen("libm.so.6", RTLD_NOW) != NULL);
	CALL(dlopen("nothing.so", RTLD_NOW) != NULL);
	say("dlopen: %u allocations", counted_allocations() - before);
}

#define N_THREADS 8

static void *exchange_in_thread(void *unused)
{
	char bytes[100];

	for (int i = 0; i < 20; i++) {
		int fd = QUIETLY_INSIDE(socket(AF_INET, SOCK_STREAM, 0));

		free(malloc((size_t)i));
		if (QUIETLY_INSIDE(connect(fd, (struct sockaddr *)&probe_server, sizeof probe_server)) ||
		    QUIETLY_INSIDE(send(fd, request, sizeof request - 1, MSG_NOSIGNAL)) < 0)
			say("no exchange: %s", error_name(errno));
		while (QUIETLY_INSIDE(read(fd, bytes, sizeof bytes)) > 0)
			;
		QUIETLY_INSIDE(close(fd));
	}
	return unused;
}

static void run_threads(void)
{
	pthread_t threads[N_THREADS];

	for (int i = 0; i < N_THREADS; i++)
		pthread_create(&threads[i], NULL, exchange_in_thread, NULL);
	for (int i = 0; i < N_THREADS; i++)
		pthread_join(threads[i], NULL);
	say_refusals();
}

/* Until the process's last moment. */
static void refuse_from_now_on(void)
{
	counted_inside = "exit";
}

static void run_exit(void)
{
	exchange(request, sizeof request - 1);
	exchange(request, sizeof request - 1);
	atexit(refuse_from_now_on);
}

static const struct probe_case cases[] = {
	{"start", run_start},		{"exchange", run_exchange},   {"nonblocking", run_nonblocking},
	{"vectors", run_vectors},	{"transfers", run_transfers}, {"numbers", run_numbers},
	{"options", run_options},	{"limits", run_limits},	      {"processes", run_processes},
	{"allocating", run_allocating}, {"threads", run_threads},     {"exit", run_exit},
};
PROBE_MAIN(cases)
