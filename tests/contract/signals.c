/* Signals amid calls: interrupted, restarted, left by longjmp, and handlers that use the socket themselves. */
#include "tests/lib/probe.h"

#include <pthread.h>
#include <setjmp.h>
#include <sys/time.h>
#include <sys/wait.h>

static int socket_of_handler;
static volatile sig_atomic_t n_signals;
static sigjmp_buf out;

static void count(int signal_number)
{
	(void)signal_number;
	n_signals++;
}

static void jump(int signal_number)
{
	(void)signal_number;
	siglongjmp(out, 1);
}

static void ask_in_handler(int signal_number)
{
	static const char request[] = "GET /bytes/50 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

	(void)signal_number;
	if (write(socket_of_handler, request, sizeof request - 1) > 0)
		n_signals++;
}

static void exchange_in_handler(int signal_number)
{
	(void)signal_number;
	probe_exchange("/bytes/30");
	n_signals++;
}

static void close_in_handler(int signal_number)
{
	(void)signal_number;
	shutdown(socket_of_handler, SHUT_RDWR);
	n_signals++;
}

static void alarm_in(int milliseconds, void (*handler)(int), int flags)
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
	struct itimerval timer = {.it_value = {.tv_sec = milliseconds / 1000, .tv_usec = milliseconds % 1000 * 1000}};

	n_signals = 0;
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
}

static void run_interrupted(void)
{
	int fd = probe_dial();

	alarm_in(50, count, 0);
	probe_read(fd, 10);
	probe_ask(fd, "/sleep/100");
	alarm_in(50, count, 0);
	probe_read(fd, 1000);
	probe_drain(fd);
	alarm_in(50, count, 0);
	probe_poll("end", fd, 0, 200);
	say("%d signals", (int)n_signals);
	CALL(close(fd));
}

static void run_restarted(void)
{
	int fd = probe_dial();

	probe_ask(fd, "/sleep/150");
	alarm_in(50, count, SA_RESTART);
	probe_drain(fd);
	say("%d signals", (int)n_signals);
	CALL(close(fd));
}

static void run_interrupted_wait_all(void)
{
	char bytes[1000];
	int fd = probe_dial();

	probe_ask(fd, "/slow-two-pieces/100");
	alarm_in(50, count, 0);
	CALL(recv(fd, bytes, 1000, MSG_WAITALL));
	probe_drain(fd);
	CALL(close(fd));
}

static void run_interrupted_poll(void)
{
	int fd = probe_dial(), set = epoll_create1(0);
	struct epoll_event event = {.events = EPOLLIN};

	probe_ask(fd, "/sleep/200");
	alarm_in(40, count, SA_RESTART);
	probe_poll("interrupted", fd, POLLIN, 1000);
	CALL(epoll_ctl(set, EPOLL_CTL_ADD, fd, &event));
	alarm_in(40, count, 0);
	CALL(epoll_wait(set, &event, 1, 1000));
	probe_drain(fd);
	CALL(close(fd));
	CALL(close(set));
}

static void run_jump_out_of_read(void)
{
	int fd = probe_dial();

	for (int i = 0; i < 3; i++) {
		if (sigsetjmp(out, 1) == 0) {
			alarm_in(40, jump, 0);
			probe_read(fd, 10);
			say("not reached");
		}
		say("jumped");
	}
	probe_ask(fd, "/bytes/10");
	probe_drain(fd);
	CALL(close(fd));
	probe_exchange("/bytes/10");
	probe_exchange("/bytes/20");
}

/* A server that never answers the handshake: a listener whose queue is full. */
static void run_jump_out_of_connect(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = probe_server.sin_addr};
	socklen_t length = sizeof address;
	int listener = probe_socket(), fillers[3], fd;

	bind(listener, (struct sockaddr *)&address, sizeof address);
	listen(listener, 0);
	getsockname(listener, (struct sockaddr *)&address, &length);
	for (int i = 0; i < 3; i++) {
		fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		if (connect(fillers[i], (struct sockaddr *)&address, sizeof address) == 0)
			say("connected at once");
	}
	fd = probe_socket();
	if (sigsetjmp(out, 1) == 0) {
		alarm_in(60, jump, 0);
		CALL(connect(fd, (struct sockaddr *)&address, sizeof address));
	}
	say("jumped");
	CALL(close(fd));
	fd = probe_socket();
	alarm_in(60, count, 0);
	CALL(connect(fd, (struct sockaddr *)&address, sizeof address));
	alarm_in(60, count, 0);
	CALL(connect(fd, (struct sockaddr *)&address, sizeof address));
	CALL(close(fd));
	for (int i = 0; i < 3; i++)
		close(fillers[i]);
	close(listener);
	fd = probe_dial();
	probe_ask(fd, "/bytes/10");
	probe_drain(fd);
	CALL(close(fd));
}

static void run_write_in_handler(void)
{
	int fd = probe_dial();

	socket_of_handler = fd;
	alarm_in(40, ask_in_handler, SA_RESTART);
	probe_drain(fd);
	say("%d signals", (int)n_signals);
	CALL(close(fd));
}

static void run_exchange_in_handler(void)
{
	int fd = probe_dial();

	probe_ask(fd, "/sleep/100");
	alarm_in(40, exchange_in_handler, SA_RESTART);
	probe_drain(fd);
	say("%d signals", (int)n_signals);
	CALL(close(fd));
}

static void run_shutdown_in_handler(void)
{
	int fd = probe_dial();

	socket_of_handler = fd;
	probe_ask(fd, "/sleep/100");
	alarm_in(40, close_in_handler, SA_RESTART);
	probe_drain(fd);
	CALL(close(fd));
}

/* A timer that fires all the time, its handler making exchanges: no deadlock, no wrong byte. */
static void run_storm(void)
{
	struct itimerval timer = {.it_value = {.tv_usec = 700}, .it_interval = {.tv_usec = 700}}, none = {0};
	struct sigaction action = {.sa_handler = exchange_in_handler, .sa_flags = SA_RESTART};
	char bytes[4096];
	long wrong = 0;

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	for (int i = 0; i < 100; i++) {
		int fd = probe_dial();
		long n, total = 0;

		probe_ask(fd, "/bytes/777");
		while ((n = read(fd, bytes, sizeof bytes)) > 0)
			total += n;
		if (n < 0 || total != 867)
			wrong++;
		close(fd);
	}
	setitimer(ITIMER_REAL, &none, NULL);
	say("%ld wrong answers", wrong);
}

/* Time-outs by alarm and longjmp, at any moment: close() closes all the same, and the thread can be cancelled. */
static void run_jump_anywhere(void)
{
	struct itimerval off = {0};
	volatile int fd, kept = 0;
	int old = -1;

	signal(SIGALRM, jump);
	for (volatile int i = 0; i < 8000; i++) {
		struct itimerval soon = {.it_value.tv_usec = 1 + i * 7 % 300};
		char bytes[1024];

		fd = -1;
		if (!sigsetjmp(out, 1)) {
			fd = probe_dial();
			setitimer(ITIMER_REAL, &soon, NULL);
			probe_ask(fd, "/bytes/10");
			while (read(fd, bytes, sizeof bytes) > 0)
				;
			setitimer(ITIMER_REAL, &off, NULL);
		}
		setitimer(ITIMER_REAL, &off, NULL);
		if (fd >= 0) {
			close(fd);
			kept += fcntl(fd, F_GETFD) >= 0;
		}
	}
	pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &old);
	say("still open after close: %d, cancel state %d", kept, old);
}

/* The same in many processes, each of which is no longer young when it is interrupted for the first time. */
static void run_jump_once(void)
{
	struct itimerval off = {0};
	volatile int n = 0;

	for (volatile int i = 0; i < 30; i++) {
		struct itimerval soon = {.it_value.tv_usec = 1 + i * 7 % 200};
		int status = -1, old = -1;
		pid_t child = fork();

		if (child == 0) {
			int fd = probe_dial();
			char bytes[1024];

			signal(SIGALRM, jump);
			probe_ask(fd, "/bytes/10");
			usleep(25000);
			if (!sigsetjmp(out, 1)) {
				setitimer(ITIMER_REAL, &soon, NULL);
				while (read(fd, bytes, sizeof bytes) > 0)
					;
			}
			setitimer(ITIMER_REAL, &off, NULL);
			pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &old);
			_exit(old);
		}
		waitpid(child, &status, 0);
		n += status != 0;
	}
	say("processes left with another cancel state: %d", n);
}

static const struct probe_case cases[] = {
	{"interrupted", run_interrupted},
	{"restarted", run_restarted},
	{"interrupted-wait-all", run_interrupted_wait_all},
	{"interrupted-poll", run_interrupted_poll},
	{"jump-out-of-read", run_jump_out_of_read},
	{"jump-out-of-connect", run_jump_out_of_connect},
	{"write-in-handler", run_write_in_handler},
	{"exchange-in-handler", run_exchange_in_handler},
	{"shutdown-in-handler", run_shutdown_in_handler},
	{"storm", run_storm},
	{"jump-anywhere", run_jump_anywhere},
	{"jump-once", run_jump_once},
};
PROBE_MAIN(cases)
