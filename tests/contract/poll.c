/* poll and select through whole close-delimited exchanges: exact bits at every stage. */
#include "tests/lib/probe.h"
#include <sys/select.h>

#define ALL (POLLIN | POLLPRI | POLLOUT | POLLRDHUP | POLLRDNORM | POLLWRNORM)

static void print_select(const char *when, int fd)
{
	struct timeval now = {0};
	fd_set in, out, bad;
	int n;

	FD_ZERO(&in);
	FD_ZERO(&out);
	FD_ZERO(&bad);
	FD_SET(fd, &in);
	FD_SET(fd, &out);
	FD_SET(fd, &bad);
	n = select(fd + 1, &in, &out, &bad, &now);
	say("%s: select = %d%s%s%s", when, n, FD_ISSET(fd, &in) ? " in" : "", FD_ISSET(fd, &out) ? " out" : "",
	    FD_ISSET(fd, &bad) ? " except" : "");
}

/* The FIN may come early or late: its bit is not compared before the answer is read. */
static void stages(int fd, void (*ask)(int, const char *))
{
	probe_poll("connected", fd, ALL, 100);
	print_select("connected", fd);
	ask(fd, "/bytes/100");
	probe_settle();
	probe_poll("answered", fd, ALL & ~POLLRDHUP, 100);
	print_select("answered", fd);
	probe_read(fd, 20);
	probe_poll("half read", fd, ALL & ~POLLRDHUP, 100);
	probe_read(fd, 1000);
	probe_settle();
	probe_poll("all read", fd, ALL, 100);
	probe_poll("all read, asked for nothing", fd, 0, 0);
	probe_poll("all read, asked for RDHUP", fd, POLLRDHUP, 1000);
	probe_poll("all read, asked for OUT", fd, POLLOUT, 1000);
	print_select("all read", fd);
	probe_read(fd, 100);
	probe_poll("after EOF", fd, ALL, 100);
	print_select("after EOF", fd);
	CALL(shutdown(fd, SHUT_WR));
	probe_settle();
	probe_poll("after shutdown", fd, ALL, 100);
	print_select("after shutdown", fd);
	CALL(close(fd));
	probe_poll("closed", fd, ALL, 0);
}

static void run_blocking(void)
{
	stages(probe_dial(), probe_ask);
}
static void run_nonblocking(void)
{
	stages(probe_dial_nonblocking(), probe_ask);
}
static void run_blocking10(void)
{
	stages(probe_dial(), probe_ask10);
}
static void run_nonblocking10(void)
{
	stages(probe_dial_nonblocking(), probe_ask10);
}

/* Sleeps in poll until something new happens, as an event loop does, and lists the events. */
static void event_loop(bool with_select)
{
	int fd = probe_dial_nonblocking(), total = 0;

	probe_ask(fd, "/slow-two-pieces/10");
	for (;;) {
		struct pollfd pollfd = {.fd = fd, .events = POLLIN};
		char bytes[50];
		int ready;
		long n;

		if (with_select) {
			struct timeval limit = {.tv_sec = 5};
			fd_set in;

			FD_ZERO(&in);
			FD_SET(fd, &in);
			ready = select(fd + 1, &in, NULL, NULL, &limit);
		} else {
			ready = poll(&pollfd, 1, 5000);
		}
		if (ready != 1) {
			say("the loop hangs after %d bytes", total);
			break;
		}
		n = recv(fd, bytes, sizeof bytes, 0);
		if (n <= 0) {
			say("end: %ld after %d bytes", n, total);
			break;
		}
		total += (int)n;
	}
	CALL(close(fd));
}

static void run_loop_poll(void)
{
	event_loop(false);
}
static void run_loop_select(void)
{
	event_loop(true);
}

/* Waits for the peer's end alone, having read everything. */
static void run_wait_for_rdhup(void)
{
	int fd = probe_dial();

	probe_ask(fd, "/bytes/10");
	probe_read_answer(fd);
	probe_poll("end", fd, POLLRDHUP, 3000);
	probe_read(fd, 10);
	CALL(close(fd));
}

/* Waits for the peer's end without reading: bare, it comes with the FIN. */
static void run_rdhup_unread(void)
{
	int fd = probe_dial();

	probe_ask(fd, "/bytes/10");
	probe_poll("end", fd, POLLRDHUP, 1000);
	probe_drain(fd);
	CALL(close(fd));
}

static void run_ppoll(void)
{
	struct timespec limit = {.tv_nsec = 100000000};
	struct pollfd pollfd = {.events = ALL};
	int fd = probe_dial();

	pollfd.fd = fd;
	probe_ask(fd, "/bytes/10");
	probe_drain(fd);
	CALL(ppoll(&pollfd, 1, &limit, NULL));
	say("revents %x", (unsigned)pollfd.revents);
	CALL(close(fd));
	CALL(ppoll(&pollfd, 1, &limit, NULL));
	say("revents %x", (unsigned)pollfd.revents);
}

static void run_pselect(void)
{
	struct timespec limit = {.tv_nsec = 100000000};
	int fd = probe_dial();
	fd_set in;

	probe_ask(fd, "/bytes/10");
	probe_drain(fd);
	FD_ZERO(&in);
	FD_SET(fd, &in);
	CALL(pselect(fd + 1, &in, NULL, NULL, &limit, NULL));
	CALL(close(fd));
	FD_SET(fd, &in);
	CALL(pselect(fd + 1, &in, NULL, NULL, &limit, NULL));
}

static void run_many(void)
{
	struct pollfd pollfds[6];
	int fds[5];

	for (int i = 0; i < 5; i++) {
		fds[i] = probe_dial_nonblocking();
		probe_ask(fds[i], i < 3 ? "/bytes/10" : "/sleep/200");
		pollfds[i] = (struct pollfd){.fd = fds[i], .events = ALL};
	}
	pollfds[5] = (struct pollfd){.fd = -1, .events = ALL};
	for (int i = 0; i < 3; i++)
		probe_drain(fds[i]);
	CALL(poll(pollfds, 6, 10));
	for (int i = 0; i < 6; i++)
		say("%d: %x", i, (unsigned)pollfds[i].revents);
	for (int i = 0; i < 5; i++)
		CALL(close(fds[i]));
}

static void run_errors(void)
{
	int fd = probe_dial();
	struct pollfd pollfd = {.fd = fd, .events = ALL};

	CALL(poll(NULL, 1, 0));
	CALL(poll(NULL, 0, 0));
	CALL(poll((struct pollfd *)8, 1, 0));
	CALL(poll(&pollfd, 100000000, 0));
	CALL(select(-1, NULL, NULL, NULL, NULL));
	CALL(select(fd + 1, (fd_set *)8, NULL, NULL, NULL));
	CALL(close(fd));
}

static const struct probe_case cases[] = {
	{"blocking", run_blocking},
	{"nonblocking", run_nonblocking},
	{"blocking-1.0", run_blocking10},
	{"nonblocking-1.0", run_nonblocking10},
	{"loop-poll", run_loop_poll},
	{"loop-select", run_loop_select},
	{"wait-for-rdhup", run_wait_for_rdhup},
	{"rdhup-unread", run_rdhup_unread},
	{"ppoll", run_ppoll},
	{"pselect", run_pselect},
	{"many", run_many},
	{"errors", run_errors},
};
PROBE_MAIN(cases)
