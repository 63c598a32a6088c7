/* epoll: registrations survive the whole exchange with their data and their kind, and end with it. */
#include "tests/lib/probe.h"

#include <sys/syscall.h>

static void add(int set, int fd, unsigned events, unsigned long long data)
{
	struct epoll_event event = {.events = events, .data.u64 = data};

	CALL(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event));
}

static void mod(int set, int fd, unsigned events, unsigned long long data)
{
	struct epoll_event event = {.events = events, .data.u64 = data};

	CALL(epoll_ctl(set, EPOLL_CTL_MOD, fd, &event));
}

static void stages(unsigned events, void (*ask)(int, const char *))
{
	int set = epoll_create1(0), fd = probe_dial_nonblocking();

	add(set, fd, events, 0xdeadbeefcafeULL);
	probe_print_epoll("connected", set, 100);
	probe_print_epoll("connected, again", set, 20);
	ask(fd, "/bytes/100");
	probe_settle();
	probe_settle();
	if (!(events & EPOLLRDHUP))
		probe_print_epoll("answered", set, 100);
	probe_read(fd, 1000);
	probe_settle();
	probe_print_epoll("all read", set, 100);
	probe_print_epoll("all read, again", set, 20);
	probe_read(fd, 1000);
	probe_print_epoll("after EOF", set, 20);
	if (events & EPOLLONESHOT) {
		mod(set, fd, events, 0xabcULL);
		probe_print_epoll("armed again", set, 20);
		probe_print_epoll("armed again, again", set, 20);
	}
	CALL(close(fd));
	probe_print_epoll("closed", set, 20);
	CALL(close(set));
}

static void run_level(void)
{
	stages(EPOLLIN, probe_ask);
}
static void run_level_out(void)
{
	stages(EPOLLIN | EPOLLOUT, probe_ask);
}
static void run_level_rdhup(void)
{
	stages(EPOLLIN | EPOLLRDHUP, probe_ask);
}
static void run_level10(void)
{
	stages(EPOLLIN, probe_ask10);
}
static void run_edge(void)
{
	stages(EPOLLIN | EPOLLRDHUP | EPOLLET, probe_ask);
}
static void run_edge10(void)
{
	stages(EPOLLIN | EPOLLRDHUP | EPOLLET, probe_ask10);
}
static void run_oneshot(void)
{
	stages(EPOLLIN | EPOLLONESHOT, probe_ask);
}

/* An edge-triggered event loop: reads until EAGAIN, waits, and so on to the end. */
static void edge_loop(unsigned events, const char *path, size_t size)
{
	int set = epoll_create1(EPOLL_CLOEXEC), fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	long n, total = 0;
	bool asked = false, ended = false;
	char bytes[4096];

	add(set, fd, events, 7);
	if (connect(fd, (struct sockaddr *)&probe_server, sizeof probe_server) && errno != EINPROGRESS)
		say("connect failed");
	while (!ended) {
		struct epoll_event event;

		if (epoll_wait(set, &event, 1, 3000) != 1) {
			say("the loop hangs after %ld bytes", total);
			break;
		}
		if (!asked && (event.events & EPOLLOUT)) {
			probe_ask(fd, path);
			asked = true;
		}
		if (event.data.u64 != 7)
			say("foreign data");
		while ((n = recv(fd, bytes, size, 0)) > 0)
			total += n;
		if (n == 0)
			ended = true;
		if (events & EPOLLONESHOT && !ended)
			epoll_ctl(set, EPOLL_CTL_MOD, fd,
				  &(struct epoll_event){.events = events & (unsigned)~EPOLLOUT, .data.u64 = 7});
	}
	say("loop: %ld bytes, ended %d", total, ended);
	CALL(epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL));
	CALL(close(fd));
	CALL(close(set));
}

static void run_before_connect(void)
{
	edge_loop(EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, "/bytes/100", 4096);
}
static void run_before_connect_small(void)
{
	edge_loop(EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, "/slow-two-pieces/10", 10);
}
static void run_before_connect_level(void)
{
	edge_loop(EPOLLIN | EPOLLOUT, "/slow-two-pieces/10", 4096);
}
static void run_before_connect_oneshot(void)
{
	edge_loop(EPOLLIN | EPOLLOUT | EPOLLONESHOT, "/slow-two-pieces/10", 4096);
}
static void run_chunked(void)
{
	edge_loop(EPOLLIN | EPOLLOUT | EPOLLET, "/chunked/3000", 4096);
}

/* The last byte is read, and the loop sleeps: the end of file itself must wake it. */
static void run_end_wakes(void)
{
	int set = epoll_create1(0), fd = probe_dial_nonblocking();

	add(set, fd, EPOLLIN | EPOLLRDHUP | EPOLLET, 1);
	probe_ask(fd, "/bytes/10");
	probe_read_answer(fd);
	probe_print_epoll("end", set, 2000);
	probe_read(fd, 10);
	probe_print_epoll("nothing more", set, 20);
	CALL(close(fd));
	CALL(close(set));
}

static void run_two_sets(void)
{
	int one = epoll_create1(0), two = epoll_create1(0), fd = probe_dial_nonblocking();

	add(one, fd, EPOLLIN, 0x111);
	add(two, fd, EPOLLIN | EPOLLET, 0x222);
	probe_ask(fd, "/bytes/10");
	probe_settle();
	probe_print_epoll("one", one, 100);
	probe_print_epoll("two", two, 100);
	probe_read(fd, 1000);
	probe_settle();
	probe_print_epoll("one at the end", one, 100);
	epoll_wait(two, &(struct epoll_event){0}, 1,
		   20); /* one edge or two: the FIN may come with the answer or after it */
	CALL(epoll_ctl(one, EPOLL_CTL_DEL, fd, NULL));
	CALL(epoll_ctl(one, EPOLL_CTL_DEL, fd, NULL));
	mod(two, fd, EPOLLOUT, 0x333);
	probe_print_epoll("two, for writing", two, 100);
	CALL(close(fd));
	probe_print_epoll("two, closed", two, 20);
	CALL(close(one));
	CALL(close(two));
}

static void run_after_eof(void)
{
	int set = epoll_create1(0), fd = probe_dial();

	add(set, fd, EPOLLIN, 1);
	probe_ask(fd, "/bytes/10");
	probe_drain(fd);
	mod(set, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP, 2);
	probe_print_epoll("modified", set, 20);
	add(set, fd, EPOLLIN, 3);
	CALL(epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL));
	probe_print_epoll("deleted", set, 20);
	mod(set, fd, EPOLLIN, 4);
	add(set, fd, EPOLLIN | EPOLLRDHUP, 5);
	probe_print_epoll("added", set, 20);
	CALL(close(fd));
	probe_print_epoll("closed", set, 20);
	mod(set, fd, EPOLLIN, 6);
	CALL(close(set));
}

static void run_added_after_eof(void)
{
	int set = epoll_create1(0), fd = probe_dial();

	probe_ask(fd, "/bytes/10");
	probe_drain(fd);
	add(set, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, 5);
	probe_print_epoll("added", set, 20);
	probe_print_epoll("added, again", set, 20);
	CALL(close(fd));
	CALL(close(set));
}

/* The next connection often has the same descriptor: no event of the old one may reach it. */
static void run_same_number(void)
{
	int set = epoll_create1(0);

	for (unsigned i = 1; i <= 4; i++) {
		int fd = probe_dial_nonblocking();

		say("fd %d", fd);
		if (i % 2)
			add(set, fd, EPOLLIN | EPOLLRDHUP, i);
		probe_ask(fd, "/bytes/10");
		probe_drain(fd);
		probe_print_epoll("end", set, 20);
		CALL(close(fd));
		probe_print_epoll("closed", set, 20);
	}
	CALL(close(set));
}

static void run_alias_registered(void)
{
	int set = epoll_create1(0), fd = probe_dial(), alias = dup(fd);

	add(set, fd, EPOLLIN, 1);
	add(set, alias, EPOLLIN, 2);
	probe_ask(fd, "/bytes/10");
	probe_drain(fd);
	CALL(epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL));
	probe_print_epoll("the alias", set, 100);
	probe_read(alias, 10);
	CALL(close(alias));
	CALL(close(fd));
	probe_print_epoll("closed", set, 20);
	CALL(close(set));
}

static void run_nested(void)
{
	int inner = epoll_create1(0), outer = epoll_create1(0), fd = probe_dial();

	add(inner, fd, EPOLLIN, 1);
	add(outer, inner, EPOLLIN, 2);
	probe_ask(fd, "/bytes/10");
	probe_drain(fd);
	probe_print_epoll("outer", outer, 100);
	probe_print_epoll("inner", inner, 100);
	CALL(close(fd));
	probe_print_epoll("outer, closed", outer, 20);
	CALL(close(inner));
	CALL(close(outer));
}

static void run_errors(void)
{
	int set = epoll_create1(0), fd = probe_dial();
	struct epoll_event event = {.events = EPOLLIN};

	CALL(epoll_ctl(set, 99, fd, &event));
	CALL(epoll_ctl(set, EPOLL_CTL_ADD, fd, NULL));
	CALL(epoll_ctl(set, EPOLL_CTL_ADD, fd, (struct epoll_event *)8));
	CALL(epoll_ctl(set, EPOLL_CTL_ADD, set, &event));
	CALL(epoll_ctl(fd, EPOLL_CTL_ADD, set, &event));
	CALL(epoll_ctl(-1, EPOLL_CTL_ADD, fd, &event));
	CALL(epoll_ctl(set, EPOLL_CTL_ADD, -1, &event));
	CALL(epoll_ctl(set, EPOLL_CTL_MOD, fd, &event));
	CALL(epoll_wait(set, &event, 0, 0));
	CALL(epoll_wait(fd, &event, 1, 0));
	CALL(epoll_wait(set, NULL, 1, 0));
	CALL(close(fd));
	CALL(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event));
	CALL(close(set));
}

static void run_oneshot_without_proc(void)
{
	int set, fd, status;
	struct epoll_event event = {.events = EPOLLIN | EPOLLONESHOT};
	char bytes[4096];
	pid_t child = fork();

	if (child == 0) {
		if (geteuid() != 0 || chroot("/var/empty") || chdir("/"))
			if (geteuid() != 0 || chroot("/tmp") || chdir("/"))
				_exit(0);
		set = epoll_create1(0);
		fd = probe_dial();
		epoll_ctl(set, EPOLL_CTL_ADD, fd, &event);
		probe_ask(fd, "/bytes/10");
		say("events %d", epoll_wait(set, &event, 1, 1000));
		CALL(read(fd, bytes, 4096) > 0);
		probe_settle();
		say("events %d", epoll_wait(set, &event, 1, 100));
		_exit(0);
	}
	waitpid(child, &status, 0);
}

static void run_raw_epoll(void)
{
	int set = epoll_create1(0), fd = probe_dial();
	struct epoll_event event = {.events = EPOLLRDHUP | EPOLLET};
	char bytes[4096];

	syscall(SYS_epoll_ctl, set, EPOLL_CTL_ADD, fd, &event);
	probe_ask(fd, "/bytes/10");
	probe_poll("answer", fd, POLLIN, 1000);
	CALL(read(fd, bytes, sizeof bytes) > 0);
	probe_settle();
	say("end %d", epoll_wait(set, &event, 1, 2000));
	close(fd);
	close(set);
}

static const struct probe_case cases[] = {
	{"level", run_level},
	{"level-out", run_level_out},
	{"level-rdhup", run_level_rdhup},
	{"level-1.0", run_level10},
	{"edge", run_edge},
	{"edge-1.0", run_edge10},
	{"oneshot", run_oneshot},
	{"before-connect", run_before_connect},
	{"before-connect-small", run_before_connect_small},
	{"before-connect-level", run_before_connect_level},
	{"before-connect-oneshot", run_before_connect_oneshot},
	{"chunked", run_chunked},
	{"end-wakes", run_end_wakes},
	{"two-sets", run_two_sets},
	{"after-eof", run_after_eof},
	{"added-after-eof", run_added_after_eof},
	{"same-number", run_same_number},
	{"alias-registered", run_alias_registered},
	{"nested", run_nested},
	{"errors", run_errors},
	{"oneshot-without-proc", run_oneshot_without_proc},
	{"raw-epoll", run_raw_epoll},
};
PROBE_MAIN(cases)
