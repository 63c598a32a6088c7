/* epoll sets known by several descriptors, sets within sets, the rarer kinds of registration, and signal masks while
 * waiting. */
#include "tests/lib/probe.h"

#include <sys/select.h>
#include <sys/time.h>

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

/* Registered via one descriptor of the set, awaited via another, as mio does. */
static void run_two_numbers(void)
{
	int set = epoll_create1(0), other = dup(set), fd = probe_dial_nonblocking();

	add(other, fd, EPOLLIN | EPOLLET, 0x11);
	probe_ask(fd, "/bytes/10");
	probe_settle();
	probe_print_epoll("answered", set, 500);
	probe_drain(fd);
	probe_settle();
	epoll_wait(set, &(struct epoll_event){0}, 1, 50); /* one edge or two, depending on the FIN */
	mod(set, fd, EPOLLIN | EPOLLOUT, 0x22);
	probe_print_epoll("modified by the other number", other, 100);
	CALL(epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL));
	CALL(epoll_ctl(other, EPOLL_CTL_DEL, fd, NULL));
	probe_print_epoll("deleted", set, 20);
	CALL(close(fd));
	CALL(close(set));
	CALL(close(other));
}

/* Changes via either descriptor count, also at the end. */
static void run_two_numbers_changed(void)
{
	int set = epoll_create1(0), other = dup(set), fd = probe_dial_nonblocking(), last;

	add(set, fd, EPOLLIN, 0x11);
	probe_ask(fd, "/bytes/10");
	mod(other, fd, EPOLLIN | EPOLLOUT, 0x22);
	probe_settle();
	probe_print_epoll("answered", set, 500);
	probe_drain(fd);
	probe_print_epoll("ended", set, 500);
	mod(set, fd, EPOLLIN, 0x33);
	probe_print_epoll("ended", other, 500);
	CALL(close(fd));
	last = probe_dial_nonblocking();
	add(set, last, EPOLLIN, 0x44);
	CALL(epoll_ctl(other, EPOLL_CTL_DEL, last, NULL));
	add(other, last, EPOLLIN | EPOLLOUT, 0x55);
	probe_ask(last, "/bytes/10");
	probe_settle();
	probe_print_epoll("answered", set, 500);
	probe_drain(last);
	probe_print_epoll("ended", set, 500);
	CALL(epoll_ctl(set, EPOLL_CTL_DEL, last, NULL));
	probe_print_epoll("deleted", set, 20);
	CALL(close(last));
	CALL(close(set));
	CALL(close(other));
}

/* The descriptor used for registering is closed; the set lives on by another one. */
static void number_gone(bool before_end, bool reads_end)
{
	int set = epoll_create1(0), other = dup(set), fd = probe_dial_nonblocking();

	add(set, fd, EPOLLIN, 0x11);
	if (before_end)
		CALL(close(set));
	probe_ask(fd, "/bytes/10");
	probe_settle();
	probe_print_epoll("answered", other, 500);
	if (reads_end)
		probe_drain(fd);
	else
		probe_read_answer(fd);
	if (!before_end)
		CALL(close(set));
	probe_print_epoll("ended", other, 500);
	probe_print_epoll("ended, again", other, 50);
	CALL(close(fd));
	probe_exchange("/bytes/10");
	probe_exchange("/bytes/10");
	probe_print_epoll("closed, others have come and gone", other, 20);
	CALL(close(other));
}

static void run_number_gone(void)
{
	number_gone(true, true);
}
static void run_number_gone_later(void)
{
	number_gone(false, true);
}
static void run_number_gone_unread(void)
{
	number_gone(true, false);
}

/* The socket is closed and kept after its set's first descriptor was closed: later events of the kept connection are
 * not for this set. */
static void run_number_gone_kept(void)
{
	int set = epoll_create1(0), other = dup(set), fd = probe_dial();

	add(set, fd, EPOLLIN, 0x11);
	CALL(close(set));
	probe_ask_keep(fd, "/bytes/10");
	probe_read_answer(fd);
	CALL(close(fd));
	probe_print_epoll("closed", other, 20);
	fd = probe_dial();
	probe_ask(fd, "/bytes/10");
	probe_settle();
	probe_print_epoll("another's answer", other, 20);
	probe_drain(fd);
	CALL(close(fd));
	probe_print_epoll("another's end", other, 20);
	CALL(close(other));
}

/* The descriptor of a closed set now belongs to another set, or to another file. */
static void run_number_reused(void)
{
	int set = epoll_create1(0), again, fd = probe_dial_nonblocking();

	add(set, fd, EPOLLIN, 0x11);
	CALL(close(set));
	again = epoll_create1(0);
	say("the same number %d", again == set);
	probe_ask(fd, "/bytes/10");
	probe_drain(fd);
	probe_print_epoll("a stranger's set", again, 20);
	add(again, fd, EPOLLIN, 0x22);
	probe_print_epoll("added", again, 100);
	CALL(close(fd));
	probe_print_epoll("closed", again, 20);
	CALL(close(again));
}

static void run_exclusive(void)
{
	int set = epoll_create1(0), fd = probe_dial();

	add(set, fd, EPOLLIN | EPOLLEXCLUSIVE, 1);
	mod(set, fd, EPOLLIN, 2);
	probe_ask(fd, "/bytes/10");
	probe_settle();
	probe_print_epoll("answered", set, 100);
	probe_drain(fd);
	probe_print_epoll("ended", set, 100);
	CALL(close(fd));
	probe_print_epoll("closed", set, 20);
	fd = probe_dial();
	add(set, fd, EPOLLIN | EPOLLWAKEUP, 3);
	probe_ask(fd, "/bytes/10");
	probe_drain(fd);
	probe_print_epoll("ended", set, 100);
	CALL(close(fd));
	CALL(close(set));
}

static void run_oneshot_edge(void)
{
	int set = epoll_create1(0), fd = probe_dial_nonblocking();

	add(set, fd, EPOLLOUT | EPOLLET | EPOLLONESHOT, 1);
	probe_print_epoll("connected", set, 100);
	probe_ask(fd, "/slow-two-pieces/30");
	mod(set, fd, EPOLLIN | EPOLLET | EPOLLONESHOT, 2);
	probe_print_epoll("first piece", set, 1000);
	probe_print_epoll("fired", set, 20);
	probe_read(fd, 4096);
	mod(set, fd, EPOLLIN | EPOLLET | EPOLLONESHOT, 3);
	epoll_wait(set, &(struct epoll_event){0}, 1, 1000);
	probe_drain(fd);
	probe_print_epoll("fired, ended", set, 20);
	mod(set, fd, EPOLLIN | EPOLLET | EPOLLONESHOT, 4);
	probe_print_epoll("armed at the end", set, 100);
	CALL(close(fd));
	CALL(close(set));
}

/* More sets than any real program has: all of them see the end. */
static void run_six_sets(void)
{
	int sets[6], fd = probe_dial();

	for (int i = 0; i < 6; i++) {
		sets[i] = epoll_create1(0);
		add(sets[i], fd, EPOLLIN, (unsigned)i);
	}
	probe_ask(fd, "/bytes/10");
	probe_drain(fd);
	for (int i = 0; i < 6; i++)
		probe_print_epoll("ended", sets[i], 100);
	CALL(close(fd));
	for (int i = 0; i < 6; i++) {
		probe_print_epoll("closed", sets[i], 0);
		close(sets[i]);
	}
}

/* Sets within sets; the inner one is awaited by poll. */
static void run_three_deep(void)
{
	int one = epoll_create1(0), two = epoll_create1(0), three = epoll_create1(0), fd = probe_dial();

	add(one, fd, EPOLLIN, 1);
	add(two, one, EPOLLIN, 2);
	add(three, two, EPOLLIN, 3);
	probe_poll("quiet", three, POLLIN, 20);
	probe_ask(fd, "/bytes/10");
	probe_poll("answered", three, POLLIN, 1000);
	probe_drain(fd);
	probe_poll("ended", three, POLLIN, 1000);
	CALL(close(fd));
	probe_poll("closed", three, POLLIN, 20);
	close(one);
	close(two);
	close(three);
}

/* ---- Signals while waiting ---- */

static volatile sig_atomic_t n_signals;

static void count(int number)
{
	(void)number;
	n_signals++;
}

enum how { PPOLL, PSELECT, PWAIT, PWAIT2, LAST };

static long wait_with(enum how how, int set, int fd, const sigset_t *mask)
{
	struct timespec patience = {2, 0};
	struct epoll_event event;
	fd_set in;

	FD_ZERO(&in);
	FD_SET(fd, &in);
	switch (how) {
	case PPOLL:
		return ppoll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, &patience, mask);
	case PSELECT:
		return pselect(fd + 1, &in, NULL, NULL, &patience, mask);
	case PWAIT:
		return epoll_pwait(set, &event, 1, 2000, mask);
	case PWAIT2:
		return epoll_pwait2(set, &event, 1, &patience, mask);
	case LAST:
		break;
	}
	return -1;
}

/* A set that is closed before the sockets in it. */
static void run_set_gone(void)
{
	for (int i = 0; i < 3; i++) {
		int set = epoll_create1(0), fd = probe_dial(), other;
		struct epoll_event event;

		add(set, fd, EPOLLIN, 1);
		probe_ask(fd, "/bytes/10");
		probe_drain(fd);
		close(set);
		other = epoll_create1(0);
		CALL(close(fd));
		CALL(epoll_wait(other, &event, 1, 0));
		close(other);
	}
}

/* ... by one of its numbers. */
static void run_set_known_twice(void)
{
	for (int i = 0; i < 3; i++) {
		int set = epoll_create1(0), other = dup(set), fd = probe_dial();
		struct epoll_event event;

		add(set, fd, EPOLLIN, 1);
		close(set);
		probe_ask(fd, "/bytes/10");
		CALL(epoll_wait(other, &event, 1, 2000));
		probe_drain(fd);
		CALL(close(fd));
		CALL(epoll_wait(other, &event, 1, 20));
		close(other);
	}
}

/* A signal that is unblocked only during the wait ends the wait, and is handled by then. */
static void run_masks(void)
{
	struct sigaction action = {.sa_handler = count};
	sigset_t blocked, none;
	int set = epoll_create1(0), fd = probe_dial();

	sigemptyset(&none);
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGUSR1);
	sigaction(SIGUSR1, &action, NULL);
	sigprocmask(SIG_BLOCK, &blocked, NULL);
	add(set, fd, EPOLLIN, 1);
	for (enum how how = PPOLL; how < LAST; how++) {
		n_signals = 0;
		raise(SIGUSR1);
		say("pending: %d handled", (int)n_signals);
		CALL(wait_with(how, set, fd, &none));
		say("%d handled", (int)n_signals);
		if (how == PPOLL)
			CALL(ppoll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, NULL, &none));
	}
	probe_ask(fd, "/bytes/10");
	probe_drain(fd);
	for (enum how how = PPOLL; how < LAST; how++) {
		raise(SIGUSR1);
		CALL(wait_with(how, set, fd, &blocked));
		say("still %d handled", (int)n_signals);
		wait_with(how, set, fd, &none);
	}
	sigprocmask(SIG_UNBLOCK, &blocked, NULL);
	say("at last %d handled", (int)n_signals);
	CALL(close(fd));
	CALL(close(set));
}

/* Linux writes the remaining time into select()'s timeout, and not into the others'. */
static void run_time_left(void)
{
	struct timeval limit = {2, 500000};
	struct timespec patience = {2, 500000000};
	int fd = probe_dial();
	fd_set in;

	probe_ask(fd, "/bytes/10");
	probe_drain(fd);
	FD_ZERO(&in);
	FD_SET(fd, &in);
	CALL(select(fd + 1, &in, NULL, NULL, &limit));
	say("left %ld", (long)limit.tv_sec);
	CALL(pselect(fd + 1, &in, NULL, NULL, &patience, NULL));
	CALL(ppoll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, &patience, NULL));
	say("left %ld %ld", (long)patience.tv_sec, patience.tv_nsec);
	patience.tv_nsec = 2000000000;
	CALL(ppoll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, &patience, NULL));
	CALL(ppoll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, (struct timespec *)8, NULL));
	CALL(pselect(fd + 1, &in, NULL, NULL, &patience, NULL));
	CALL(poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, -5));
	CALL(close(fd));
}

/* The same descriptor several times, with different events, among closed and negative ones. */
static void run_same_twice(void)
{
	struct pollfd entries[6] = {{.events = POLLIN},	   {.events = POLLOUT},		  {.fd = -1, .events = POLLIN},
				    {.events = POLLRDHUP}, {.fd = 999, .events = POLLIN}, {.events = POLLPRI}};
	int fd = probe_dial();

	entries[0].fd = entries[1].fd = entries[3].fd = entries[5].fd = fd;
	for (int i = 0; i < 2; i++) {
		CALL(poll(entries, 6, 50));
		for (int j = 0; j < 6; j++)
			say("%d: %x", j, (unsigned)entries[j].revents);
		probe_ask(fd, "/bytes/10");
		if (i == 0)
			probe_drain(fd);
	}
	CALL(close(fd));
}

static const struct probe_case cases[] = {
	{"two-numbers", run_two_numbers},
	{"two-numbers-changed", run_two_numbers_changed},
	{"number-gone", run_number_gone},
	{"number-gone-later", run_number_gone_later},
	{"number-gone-unread", run_number_gone_unread},
	{"number-gone-kept", run_number_gone_kept},
	{"number-reused", run_number_reused},
	{"exclusive", run_exclusive},
	{"oneshot-edge", run_oneshot_edge},
	{"six-sets", run_six_sets},
	{"three-deep", run_three_deep},
	{"masks", run_masks},
	{"time-left", run_time_left},
	{"same-twice", run_same_twice},
	{"set-gone", run_set_gone},
	{"set-known-twice", run_set_known_twice},
};
PROBE_MAIN(cases)
