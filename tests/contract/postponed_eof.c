/*
 * An event loop has read an answer to its end, and the end of file is next: how it learns of that by each call, and how
 * others do. Each socket is registered level-triggered, to be read.
 */
#include "tests/lib/probe.h"

#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/uio.h>

static int set;

/* A non-blocking, registered socket whose answer has been read, and whose server has hung up as far as a bare program
 * knows. */
static int begin(unsigned events, unsigned long long data)
{
	struct epoll_event event = {.events = events, .data.u64 = data};
	int fd = probe_dial_nonblocking();

	CALL(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event));
	probe_ask(fd, "/bytes/10");
	probe_settle();
	/* Bare, the end has come already. */
	CALL(epoll_wait(set, &event, 1, 1000));
	probe_read_answer(fd);
	return fd;
}

static int begin_first(unsigned events)
{
	set = epoll_create1(EPOLL_CLOEXEC);
	return begin(events, 0x11);
}

static void end(int fd)
{
	probe_drain(fd);
	CALL(close(fd));
	CALL(close(set));
	probe_exchange("/bytes/10");
}

/* As event loops do. */
static void run_loop(void)
{
	int fd = begin_first(EPOLLIN | EPOLLRDHUP);
	char byte;

	probe_print_epoll("ended", set, 1000);
	CALL(recv(fd, &byte, 1, 0));
	CALL(recv(fd, &byte, 1, MSG_PEEK));
	CALL(epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL));
	probe_print_epoll("deleted", set, 20);
	end(fd);
}

/* Reported, and reported again, without neglecting other sockets. */
static void run_ignored(void)
{
	int fd = begin_first(EPOLLIN), other = probe_dial_nonblocking();
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = 0x22}, events[4];
	unsigned long long seen = 0;

	CALL(epoll_ctl(set, EPOLL_CTL_ADD, other, &event));
	probe_ask(other, "/bytes/10");
	probe_settle();
	for (int i = 0; i < 6; i++)
		for (int n = epoll_wait(set, events, 4, 1000); n > 0; n--)
			seen |= events[n - 1].data.u64;
	say("seen %llx", seen);
	probe_drain(other);
	CALL(close(other));
	end(fd);
}

/* Two events at once, and room for one. */
static void run_two(void)
{
	int fd = begin_first(EPOLLIN), other = begin(EPOLLIN | EPOLLRDHUP, 0x22);
	struct epoll_event events[4];
	int n = epoll_wait(set, events, 1, 1000);

	say("room for one: %d", n);
	n = epoll_wait(set, events, 4, 1000);
	say("room for four: %d", n > 0);
	probe_drain(other);
	CALL(close(other));
	end(fd);
}

static void run_other_ways(void)
{
	int fd = begin_first(EPOLLIN | EPOLLRDHUP);
	fd_set reads;
	int n = -1;

	probe_poll("poll", fd, POLLIN | POLLOUT | POLLRDHUP, 0);
	FD_ZERO(&reads);
	FD_SET(fd, &reads);
	CALL(select(fd + 1, &reads, NULL, NULL, &(struct timeval){0}));
	CALL(ioctl(fd, FIONREAD, &n));
	say("to be read %d", n);
	probe_print_epoll("ended", set, 0);
	end(fd);
}

/* The set itself is awaited. */
static void run_nested(void)
{
	int outer = epoll_create1(0), fd = begin_first(EPOLLIN);
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = 0x33};

	CALL(epoll_ctl(outer, EPOLL_CTL_ADD, set, &event));
	probe_print_epoll("outer", outer, 1000);
	probe_poll("the set", set, POLLIN, 0);
	CALL(close(outer));
	end(fd);
}

static void run_nested_before(void)
{
	int outer = epoll_create1(0), fd;
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = 0x33};

	set = epoll_create1(0);
	CALL(epoll_ctl(outer, EPOLL_CTL_ADD, set, &event));
	fd = begin(EPOLLIN, 0x11);
	probe_poll("the outer set", outer, POLLIN, 1000);
	probe_print_epoll("outer", outer, 1000);
	CALL(close(outer));
	end(fd);
}

static void run_other_number(void)
{
	int fd = begin_first(EPOLLIN | EPOLLRDHUP), other = dup(set);

	probe_print_epoll("by another number", other, 1000);
	CALL(close(other));
	end(fd);
}

/* Another set has the descriptor. */
static void run_replaced(void)
{
	int fd = begin_first(EPOLLIN), other = epoll_create1(0);

	CALL(dup2(other, set));
	probe_print_epoll("replaced", set, 20);
	CALL(close(other));
	end(fd);
}

static void run_closed_set(void)
{
	int fd = begin_first(EPOLLIN), before = set;

	CALL(close(set));
	set = epoll_create1(0);
	say("the same number %d", before == set);
	probe_print_epoll("another set", set, 20);
	end(fd);
}

static void run_closed_by_number(void)
{
	int fd = begin_first(EPOLLIN);

	CALL(syscall(SYS_close, set));
	set = epoll_create1(0);
	probe_print_epoll("another set", set, 20);
	end(fd);
}

static void run_modified(void)
{
	int fd = begin_first(EPOLLIN);
	struct epoll_event event = {.events = EPOLLOUT | EPOLLRDHUP, .data.u64 = 0x22};

	CALL(epoll_ctl(set, EPOLL_CTL_MOD, fd, &event));
	probe_print_epoll("modified", set, 1000);
	event.events = EPOLLIN | EPOLLET | EPOLLONESHOT;
	CALL(epoll_ctl(set, EPOLL_CTL_MOD, fd, &event));
	probe_print_epoll("one shot", set, 1000);
	probe_print_epoll("spent", set, 20);
	CALL(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event));
	end(fd);
}

/* Arguments that epoll_wait() rejects. */
static void run_bad_arguments(void)
{
	int fd = begin_first(EPOLLIN);
	struct epoll_event *nowhere = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), event;

	CALL(epoll_wait(set, nowhere, 4, 0));
	CALL(epoll_wait(set, NULL, 4, 0));
	CALL(epoll_wait(set, &event, 0, 0));
	CALL(epoll_wait(set, &event, -1, 0));
	CALL(epoll_wait(fd, &event, 1, 0));
	CALL(epoll_wait(99, &event, 1, 0));
	munmap(nowhere, 4096);
	end(fd);
}

/* At the very end of a writable page. */
static void run_page_end(void)
{
	int fd = begin_first(EPOLLIN);
	char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct epoll_event *last = (struct epoll_event *)(pages + 4096 - sizeof(struct epoll_event));

	mprotect(pages + 4096, 4096, PROT_NONE);
	CALL(epoll_wait(set, last, 1, 1000));
	say("data %llx events %x", (unsigned long long)last->data.u64, last->events);
	munmap(pages, 8192);
	end(fd);
}

static void run_masked(void)
{
	int fd = begin_first(EPOLLIN | EPOLLRDHUP);
	struct epoll_event event;
	sigset_t none;

	sigemptyset(&none);
	CALL(epoll_pwait(set, &event, 1, 1000, &none));
	CALL(epoll_pwait(set, &event, 1, 1000, NULL));
	say("events %x", event.events);
	end(fd);
}

static void run_by_number(void)
{
	int fd = begin_first(EPOLLIN | EPOLLRDHUP);
	struct epoll_event event;

	CALL(syscall(SYS_epoll_pwait, set, &event, 1, 1000, NULL, 8));
	say("events %x", event.events);
	end(fd);
}

/* A child waits in the inherited set. */
static void run_forked(void)
{
	int fd = begin_first(EPOLLIN | EPOLLRDHUP), status;
	pid_t pid = fork();

	if (pid == 0) {
		probe_print_epoll("child", set, 1000);
		probe_drain(fd);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	say("status %d", status);
	probe_print_epoll("parent", set, 1000);
	end(fd);
}

static void *wait_in_thread(void *argument)
{
	probe_print_epoll("thread", set, 1000);
	return argument;
}

static void run_thread(void)
{
	int fd = begin_first(EPOLLIN | EPOLLRDHUP);
	pthread_t thread;

	pthread_create(&thread, NULL, wait_in_thread, NULL);
	pthread_join(thread, NULL);
	end(fd);
}

/* No events are asked for, or there is no room for any. */
static void run_no_room(void)
{
	int fd = begin_first(EPOLLIN);

	CALL(recv(fd, (char[1]){0}, 0, 0));
	end(fd);
	fd = begin_first(EPOLLIN);
	CALL(recv(fd, (void *)8, 8, 0));
	end(fd);
}

static void run_other_calls(void)
{
	int fd = begin_first(EPOLLIN), error = 0;
	socklen_t length = sizeof error;
	struct iovec piece = {(char[8]){0}, 8};
	struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1, .msg_flags = 77};

	CALL(recvmsg(fd, &message, 0));
	say("flags %d", message.msg_flags);
	CALL(readv(fd, &piece, 1));
	CALL(read(fd, NULL, 0));
	CALL(recv(fd, piece.iov_base, 1, MSG_OOB));
	CALL(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length));
	CALL(close(dup(fd)));
	probe_print_epoll("ended", set, 1000);
	CALL(shutdown(fd, SHUT_WR));
	end(fd);
}

/* Its file lives on by another descriptor. */
static void run_alias(void)
{
	int fd = begin_first(EPOLLIN), other = dup(fd);

	CALL(close(fd));
	probe_print_epoll("closed", set, 1000);
	probe_drain(other);
	CALL(close(other));
	CALL(close(set));
}

/* A duplicate is asked, made before anybody had looked. */
static void ask_another(int fd, int other)
{
	probe_poll("the other number", other, POLLIN | POLLRDHUP, 0);
	probe_drain(other);
	CALL(close(other));
	end(fd);
}

static void run_dup(void)
{
	int fd = begin_first(EPOLLIN);

	ask_another(fd, dup(fd));
}

static void run_dupfd(void)
{
	int fd = begin_first(EPOLLIN);

	ask_another(fd, fcntl(fd, F_DUPFD_CLOEXEC, 20));
}

static void run_dup2(void)
{
	int fd = begin_first(EPOLLIN);

	ask_another(fd, dup2(fd, 20));
}

static void run_flags(void)
{
	int fd = begin_first(EPOLLIN);

	CALL(fcntl(fd, F_SETFD, FD_CLOEXEC));
	CALL(fcntl(fd, F_GETFD));
	CALL(fcntl(fd, F_SETFD, 0));
	CALL(fcntl(fd, F_GETFD));
	CALL(fcntl(fd, F_SETFL, O_RDWR));
	CALL(fcntl(fd, F_GETFL));
	end(fd);
}

/* Set before anybody has looked. */
static void run_close_on_exec(void)
{
	int fd = begin_first(EPOLLIN);

	CALL(fcntl(fd, F_SETFD, FD_CLOEXEC));
	probe_print_epoll("ended", set, 1000);
	probe_poll("poll", fd, POLLIN, 0);
	CALL(fcntl(fd, F_GETFD));
	end(fd);
}

/* The program that a vfork() child becomes has the socket, and reads it to its end. */
static void run_vforked(void)
{
	int fd = begin_first(EPOLLIN), status = -1;
	char command[64];
	pid_t pid;

	snprintf(command, sizeof command, "timeout 5 cat <&%d; echo status $?", fd);
	pid = vfork();
	if (pid == 0) {
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	say("status %d", status);
	probe_print_epoll("ended", set, 1000);
	end(fd);
}

/* A second connection to the same server, the first one still open. */
static void run_another(void)
{
	int fd = begin_first(EPOLLIN), other = probe_dial();

	probe_ask(other, "/bytes/10");
	probe_drain(other);
	probe_print_epoll("the first", set, 1000);
	CALL(close(other));
	end(fd);
}

static int become_reader(void *command)
{
	execl("/bin/sh", "sh", "-c", (char *)command, (char *)NULL);
	return 127;
}

/* The same by clone(): with the program's memory, as a vfork() child, but with its own descriptor table. */
static void run_cloned(void)
{
	int fd = begin_first(EPOLLIN), status = -1;
	static char stack[65536] __attribute__((aligned(16)));
	char command[64];
	pid_t pid;

	snprintf(command, sizeof command, "timeout 5 cat <&%d; echo status $?", fd);
	pid = clone(become_reader, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, command);
	waitpid(pid, &status, 0);
	say("status %d", status);
	end(fd);
}

static const struct probe_case cases[] = {
	{"loop", run_loop},
	{"ignored", run_ignored},
	{"two", run_two},
	{"other-ways", run_other_ways},
	{"nested", run_nested},
	{"nested-before", run_nested_before},
	{"other-number", run_other_number},
	{"replaced", run_replaced},
	{"closed-set", run_closed_set},
	{"closed-by-number", run_closed_by_number},
	{"modified", run_modified},
	{"bad-arguments", run_bad_arguments},
	{"page-end", run_page_end},
	{"masked", run_masked},
	{"by-number", run_by_number},
	{"forked", run_forked},
	{"thread", run_thread},
	{"no-room", run_no_room},
	{"other-calls", run_other_calls},
	{"alias", run_alias},
	{"another", run_another},
	{"dup", run_dup},
	{"dupfd", run_dupfd},
	{"dup2", run_dup2},
	{"flags", run_flags},
	{"close-on-exec", run_close_on_exec},
	{"vforked", run_vforked},
	{"cloned", run_cloned},
};
PROBE_MAIN(cases)
