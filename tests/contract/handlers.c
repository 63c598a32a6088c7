/* Signals that sockets send, handlers that use tracked sockets at every stage, on ordinary and on small stacks. */
#include "tests/lib/probe.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>

static int the_fd;
static volatile sig_atomic_t n_signals;

static void finish(int fd)
{
	probe_drain(fd);
	probe_settle();
}

/* ---- SIGPIPE ---- */

static siginfo_t seen;

static void take_info(int number, siginfo_t *info, void *context)
{
	(void)context;
	n_signals++;
	seen = *info;
	seen.si_signo = number;
}

static long by_write(void)
{
	return write(the_fd, "x", 1);
}
static long by_send(void)
{
	return send(the_fd, "x", 1, 0);
}
static long by_sendmsg(void)
{
	struct iovec piece = {(void *)"x", 1};

	return sendmsg(the_fd, &(struct msghdr){.msg_iov = &piece, .msg_iovlen = 1}, 0);
}
static long by_sendmmsg(void)
{
	struct iovec piece = {(void *)"x", 1};

	return sendmmsg(the_fd, &(struct mmsghdr){.msg_hdr = {.msg_iov = &piece, .msg_iovlen = 1}}, 1, 0);
}

/* A broken connection, in the thread that writes to it: the signal's sender and code are the same. */
static void run_pipe_signal(void)
{
	long (*const writers[])(void) = {by_write, by_send, by_sendmsg, by_sendmmsg};
	struct sigaction action = {.sa_sigaction = take_info, .sa_flags = SA_SIGINFO};

	sigaction(SIGPIPE, &action, NULL);
	n_signals = 0;
	for (int i = 0; i < 4; i++) {
		the_fd = probe_dial();
		probe_ask(the_fd, "/bytes/10");
		finish(the_fd);
		CALL(writers[i]());
		probe_settle();
		CALL(writers[i]());
		say("%d signals, code %d, own process %d, value %d", (int)n_signals, seen.si_code,
		    seen.si_pid == getpid(), seen.si_uid == getuid());
		CALL(close(the_fd));
	}
}

/* A blocked signal stays pending for the thread, not for the process. */
static void run_pipe_blocked(void)
{
	sigset_t pipe_only, pending;
	struct timespec at_once = {0, 0};
	siginfo_t info = {0};

	sigemptyset(&pipe_only);
	sigaddset(&pipe_only, SIGPIPE);
	sigprocmask(SIG_BLOCK, &pipe_only, NULL);
	the_fd = probe_dial();
	probe_ask(the_fd, "/bytes/10");
	finish(the_fd);
	CALL(by_write());
	probe_settle();
	for (int i = 0; i < 3; i++)
		CALL(by_write());
	sigpending(&pending);
	say("pending %d", sigismember(&pending, SIGPIPE));
	CALL(sigtimedwait(&pipe_only, &info, &at_once));
	say("code %d", info.si_code);
	CALL(sigtimedwait(&pipe_only, &info, &at_once));
	CALL(close(the_fd));
	sigprocmask(SIG_UNBLOCK, &pipe_only, NULL);
}

/* ---- SIGIO ---- */

static void count(int number)
{
	(void)number;
	n_signals++;
}

static void run_io_signal(void)
{
	struct sigaction action = {.sa_handler = count, .sa_flags = SA_RESTART};

	sigaction(SIGIO, &action, NULL);
	sigaction(SIGUSR1, &action, NULL);
	for (int i = 0; i < 4; i++) {
		n_signals = 0;
		the_fd = probe_dial();
		CALL(fcntl(the_fd, F_SETOWN, getpid()));
		if (i & 2)
			CALL(fcntl(the_fd, F_SETSIG, SIGUSR1));
		CALL(fcntl(the_fd, F_SETFL, O_ASYNC | (i & 1 ? O_NONBLOCK : 0)));
		probe_ask(the_fd, "/bytes/10");
		probe_settle();
		say("signals %d", n_signals > 0);
		probe_drain(the_fd);
		CALL(fcntl(the_fd, F_GETOWN) == getpid());
		CALL(fcntl(the_fd, F_GETSIG));
		CALL(fcntl(the_fd, F_GETFL));
		CALL(close(the_fd));
	}
	/* The next connection sends none. */
	n_signals = 0;
	the_fd = probe_dial();
	CALL(fcntl(the_fd, F_GETOWN));
	probe_ask(the_fd, "/bytes/10");
	finish(the_fd);
	say("signals %d", (int)n_signals);
	CALL(close(the_fd));
}

/* Asked for in the middle of an exchange, on a connection that may be a kept one. */
static void run_io_signal_later(void)
{
	struct sigaction action = {.sa_handler = count, .sa_flags = SA_RESTART};

	sigaction(SIGIO, &action, NULL);
	n_signals = 0;
	the_fd = probe_dial();
	probe_ask(the_fd, "/slow-two-pieces/40");
	CALL(fcntl(the_fd, F_SETOWN, getpid()));
	CALL(fcntl(the_fd, F_SETFL, O_ASYNC));
	probe_drain(the_fd);
	probe_settle();
	say("signals %d", n_signals > 0);
	CALL(close(the_fd));
	n_signals = 0;
	probe_exchange("/bytes/10");
	say("signals %d", (int)n_signals);
}

/* ---- Handlers that use the socket ---- */

static const char request[] = "GET /bytes/50 HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";

static void write_in_handler(int number)
{
	int saved = errno;

	(void)number;
	if (write(the_fd, request, sizeof request - 1) == sizeof request - 1)
		n_signals++;
	errno = saved;
}

static void raise_in(int microseconds, void (*handler)(int), int flags)
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
	struct itimerval timer = {.it_value = {.tv_usec = microseconds}};

	n_signals = 0;
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

/* A handler writes the request, whatever wait it interrupts. */
static void run_write_amid_waits(void)
{
	for (int i = 0; i < 5; i++) {
		struct pollfd entry = {.events = POLLIN};
		struct epoll_event event = {.events = EPOLLIN};
		int set = epoll_create1(0);
		fd_set in;

		the_fd = entry.fd = probe_dial();
		epoll_ctl(set, EPOLL_CTL_ADD, the_fd, &event);
		FD_ZERO(&in);
		FD_SET(the_fd, &in);
		raise_in(20000, write_in_handler, SA_RESTART);
		if (i == 0)
			CALL(poll(&entry, 1, 500));
		if (i == 1)
			CALL(select(the_fd + 1, &in, NULL, NULL, NULL));
		if (i == 2)
			CALL(epoll_wait(set, &event, 1, 500));
		if (i == 3)
			CALL(usleep(50000));
		if (i == 4)
			CALL(recv(the_fd, &(char){0}, 1, MSG_PEEK));
		say("written %d", (int)n_signals);
		probe_drain(the_fd);
		CALL(close(the_fd));
		close(set);
	}
}

/* A handler writes the request while the main program is anywhere in calls on other connections, and on this one. */
static void run_write_anywhere(void)
{
	long wrong = 0;

	for (int i = 0; i < 200; i++) {
		char bytes[4096];
		long n, total = 0;

		the_fd = probe_dial();
		raise_in(30 + i * 13 % 700, write_in_handler, SA_RESTART);
		for (int j = 0; !n_signals; j++) {
			int value = j;
			socklen_t length = sizeof value;

			getsockopt(the_fd, SOL_SOCKET, SO_ERROR, &value, &length);
			setsockopt(the_fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
			recv(the_fd, bytes, 1, MSG_PEEK | MSG_DONTWAIT);
			fcntl(the_fd, F_SETFL, fcntl(the_fd, F_GETFL));
			close(dup(the_fd));
			poll(&(struct pollfd){.fd = the_fd, .events = POLLIN}, 1, 0);
		}
		while ((n = read(the_fd, bytes, sizeof bytes)) > 0)
			total += n;
		wrong += n < 0 || total != 139;
		close(the_fd);
	}
	say("%ld wrong", wrong);
}

static void close_and_dial_in_handler(int number)
{
	int saved = errno;

	(void)number;
	close(the_fd);
	the_fd = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(the_fd, (struct sockaddr *)&probe_server, sizeof probe_server) == 0)
		n_signals++;
	errno = saved;
}

/* A handler closes the awaited socket and makes another one with the same descriptor. */
static void run_replaced_by_handler(void)
{
	for (int i = 0; i < 3; i++) {
		struct pollfd entry = {.events = POLLIN};

		the_fd = entry.fd = probe_dial();
		probe_ask(the_fd, "/sleep/60");
		raise_in(20000, close_and_dial_in_handler, 0);
		CALL(poll(&entry, 1, 500));
		say("dialled %d, the same number %d", (int)n_signals, the_fd == entry.fd);
		probe_ask(the_fd, "/bytes/20");
		probe_drain(the_fd);
		CALL(close(the_fd));
	}
}

/* ---- Small stacks ---- */

static void *exchange_on_small_stack(void *unused)
{
	char bytes[512];
	long n, total = 0;

	(void)unused;
	for (int i = 0; i < 4; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		struct pollfd entry = {fd, POLLIN, 0};

		if (connect(fd, (struct sockaddr *)&probe_server, sizeof probe_server))
			return (void *)-1;
		send(fd, request, sizeof request - 1, MSG_NOSIGNAL);
		poll(&entry, 1, 1000);
		while ((n = read(fd, bytes, sizeof bytes)) > 0)
			total += n;
		close(fd);
	}
	return (void *)total;
}

static void run_small_thread(void)
{
	size_t size = (size_t)sysconf(_SC_THREAD_STACK_MIN);
	pthread_attr_t attributes;
	pthread_t thread;
	void *result = NULL;

	pthread_attr_init(&attributes);
	CALL(pthread_attr_setstacksize(&attributes, size));
	CALL(pthread_create(&thread, &attributes, exchange_on_small_stack, NULL));
	CALL(pthread_join(thread, &result));
	say("%ld bytes", (long)result);
}

static void exchange_in_handler(int number)
{
	(void)number;
	n_signals = (int)(long)exchange_on_small_stack(NULL);
}

/* The kernel's minimum for a signal, and eight kilobytes. */
static void run_alternate_stack(void)
{
	size_t size = (size_t)sysconf(_SC_MINSIGSTKSZ) + 8192;
	char *memory = mmap(NULL, size + 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	stack_t stack = {.ss_size = size}, none = {.ss_flags = SS_DISABLE};

	mprotect(memory, 4096, PROT_NONE);
	stack.ss_sp = memory + 4096;
	CALL(sigaltstack(&stack, NULL));
	the_fd = probe_dial();
	probe_ask(the_fd, "/sleep/60");
	raise_in(20000, exchange_in_handler, SA_ONSTACK | SA_RESTART);
	probe_drain(the_fd);
	say("%d bytes in the handler", (int)n_signals);
	CALL(close(the_fd));
	CALL(sigaltstack(&none, NULL));
	munmap(memory, size + 4096);
}

static const struct probe_case cases[] = {
	{"pipe-signal", run_pipe_signal},
	{"pipe-blocked", run_pipe_blocked},
	{"io-signal", run_io_signal},
	{"io-signal-later", run_io_signal_later},
	{"write-amid-waits", run_write_amid_waits},
	{"write-anywhere", run_write_anywhere},
	{"replaced-by-handler", run_replaced_by_handler},
	{"small-thread", run_small_thread},
	{"alternate-stack", run_alternate_stack},
};
PROBE_MAIN(cases)
