/* Flags and options of receiving: peeking, waiting for all, truncating, timeouts, and the number of waiting bytes. */
#include "tests/lib/probe.h"

#include <limits.h>
#include <linux/sockios.h>
#include <pthread.h>
#include <sys/time.h>
#include <time.h>

static char bytes[8192];

static int answered(const char *path)
{
	int fd = probe_dial();

	probe_ask(fd, path);
	probe_settle();
	return fd;
}

static void print_waiting(const char *when, int fd)
{
	int in = -1, out = -1;
	int r1 = ioctl(fd, FIONREAD, &in), e1 = r1 ? errno : 0;
	int r2 = ioctl(fd, SIOCOUTQ, &out), e2 = r2 ? errno : 0;

	say("%s: FIONREAD %d %d %s, SIOCOUTQ %d %d %s", when, r1, in, error_name(e1), r2, out, error_name(e2));
}

static void run_peek(void)
{
	int fd = answered("/bytes/100");

	CALL(recv(fd, bytes, 20, MSG_PEEK));
	say("%.20s", bytes);
	CALL(recv(fd, bytes, 8000, MSG_PEEK));
	CALL(recv(fd, bytes, 8000, MSG_PEEK | MSG_DONTWAIT));
	probe_read(fd, 50);
	CALL(recv(fd, bytes, 8000, MSG_PEEK));
	probe_read(fd, 8000);
	CALL(recv(fd, bytes, 8000, MSG_PEEK));
	CALL(recv(fd, bytes, 8000, 0));
	CALL(recv(fd, bytes, 8000, MSG_PEEK));
	CALL(close(fd));
}

static void run_wait_all(void)
{
	int fd = probe_dial();

	probe_ask(fd, "/slow-two-pieces/20");
	CALL(recv(fd, bytes, 80, MSG_WAITALL));
	CALL(recv(fd, bytes, 8000, MSG_WAITALL));
	CALL(recv(fd, bytes, 8000, MSG_WAITALL));
	CALL(close(fd));
}

/* One call to the very end, with room left over: it returns at the end of file, not before. */
static void run_wait_all_at_once(void)
{
	int fd = probe_dial();

	probe_ask(fd, "/slow-two-pieces/20");
	CALL(recv(fd, bytes, 8000, MSG_WAITALL));
	CALL(recv(fd, bytes, 8000, MSG_WAITALL));
	CALL(close(fd));
}

static void run_wait_all_exact(void)
{
	int fd = probe_dial();

	probe_ask(fd, "/slow-two-pieces/20");
	CALL(recv(fd, bytes, 164, MSG_WAITALL));
	CALL(recv(fd, bytes, 8000, MSG_WAITALL));
	CALL(close(fd));
}

/* Into several buffers, from a server that does not end its answer if the client seems to be gone. */
static void run_wait_all_vector(void)
{
	static char rest[200000];
	struct iovec pieces[3] = {{bytes, 50}, {bytes + 100, 1}, {rest, sizeof rest}};
	struct sockaddr_storage name;
	struct msghdr message = {.msg_name = &name, .msg_namelen = sizeof name, .msg_iov = pieces, .msg_iovlen = 3};
	int fd = probe_dial();

	probe_ask(fd, "/attended-chunk/300000");
	probe_read(fd, 20);
	CALL(recvmsg(fd, &message, MSG_WAITALL));
	say("%.50s %.1s %.20s", bytes, bytes + 100, rest + sizeof rest - 20);
	say("name %u flags %x control %zu", message.msg_namelen, message.msg_flags, (size_t)message.msg_controllen);
	CALL(recvmsg(fd, &message, MSG_WAITALL));
	CALL(recvmsg(fd, &message, MSG_WAITALL));
	CALL(close(fd));
}

/* More buffers than allowed, on a socket that is at its end or was never connected. */
static void run_wait_all_ended(void)
{
	struct iovec pieces[300];
	struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 300};
	int fd = probe_socket();

	for (size_t i = 0; i < 300; i++)
		pieces[i] = (struct iovec){bytes + i * 8, 8};
	CALL(recvmsg(fd, &message, MSG_WAITALL));
	CALL(close(fd));
	fd = answered("/bytes/100");
	CALL(recv(fd, bytes, 8000, MSG_WAITALL));
	CALL(recvmsg(fd, &message, MSG_WAITALL));
	CALL(close(fd));
	fd = answered("/bytes/100");
	CALL(recvmsg(fd, &message, MSG_WAITALL));
	CALL(recvmsg(fd, &message, MSG_WAITALL));
	CALL(close(fd));
}

/* The error behind the bytes is for the next call. */
static void run_wait_all_reset(void)
{
	int flags[] = {MSG_WAITALL, MSG_TRUNC, MSG_TRUNC | MSG_WAITALL};

	for (size_t i = 0; i < 3; i++) {
		int fd = answered("/cut/40/rst");

		CALL(recv(fd, bytes, 100, flags[i]));
		CALL(recv(fd, bytes, 100, 0));
		CALL(recv(fd, bytes, 100, 0));
		CALL(close(fd));
	}
}

static void do_nothing(int signal_number)
{
	(void)signal_number;
}

/* Neither a handler nor the timeout starts anew with each piece. */
static void run_wait_all_interrupted(void)
{
	struct timeval limit = {0, 400000};
	int fd = probe_dial();

	signal(SIGALRM, do_nothing); /* SA_RESTART */
	probe_ask(fd, "/slow-two-pieces/2000");
	ualarm(300000, 0);
	CALL(recv(fd, bytes, 8000, MSG_WAITALL));
	CALL(recv(fd, bytes, 8000, MSG_WAITALL));
	CALL(close(fd));
	signal(SIGALRM, SIG_DFL);
	fd = probe_dial();
	CALL(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit));
	probe_ask(fd, "/drip/1500");
	CALL(recv(fd, bytes, 1400, MSG_WAITALL) < 1400);
	CALL(close(fd));
}

static int taken;

static void *take_number(void *argument)
{
	int ends[2];

	usleep(100000);
	close(taken);
	socketpair(AF_UNIX, SOCK_STREAM, 0, ends);
	say("the same number: %d, written %zd", ends[0] == taken, write(ends[1], "of another", 10));
	return argument;
}

/* A descriptor that another thread has opened under the same number is not ours. */
static void run_wait_all_taken(void)
{
	pthread_t thread;
	long n;

	taken = probe_dial();
	memset(bytes, 0, sizeof bytes);
	probe_ask(taken, "/drip/500");
	pthread_create(&thread, NULL, take_number, NULL);
	n = recv(taken, bytes, 8000, MSG_WAITALL);
	pthread_join(thread, NULL);
	say("something: %d, of another: %d", n > 0, memmem(bytes, sizeof bytes, "of another", 10) != NULL);
	CALL(recv(taken, bytes, 100, MSG_DONTWAIT));
	CALL(close(taken));
	CALL(close(taken + 1));
}

static void run_peek_all(void)
{
	int fd = probe_dial();

	probe_ask(fd, "/slow-two-pieces/20");
	CALL(recv(fd, bytes, 8000, MSG_PEEK | MSG_WAITALL));
	CALL(recv(fd, bytes, 8000, MSG_WAITALL));
	CALL(close(fd));
}

static void run_low_water_asked(void)
{
	int fd = probe_dial(), wanted = 5000;

	probe_ask(fd, "/slow-two-pieces/20");
	CALL(setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &wanted, sizeof wanted));
	CALL(recv(fd, bytes, 8000, 0));
	CALL(recv(fd, bytes, 8000, 0));
	CALL(close(fd));
}

/* Its timeout is checked when a message has come, and the remaining time is returned. */
static void run_messages_time_limit(void)
{
	static char more[2][100];
	struct iovec pieces[3] = {{bytes, 50}, {more[0], 100}, {more[1], 100}};
	struct mmsghdr messages[3] = {{.msg_hdr = {.msg_iov = &pieces[0], .msg_iovlen = 1}},
				      {.msg_hdr = {.msg_iov = &pieces[1], .msg_iovlen = 1}},
				      {.msg_hdr = {.msg_iov = &pieces[2], .msg_iovlen = 1}}};
	static const struct timespec for_ever = {LONG_MAX, 0};
	struct timespec limit = {0, 1};
	int fd = answered("/bytes/500");

	CALL(recvmmsg(fd, messages, 3, 0, &limit));
	say("left %ld %ld", (long)limit.tv_sec, (long)limit.tv_nsec);
	limit = (struct timespec){0, 2000000000};
	CALL(recvmmsg(fd, messages, 3, 0, &limit));
	limit = (struct timespec){100, 0};
	CALL(recvmmsg(fd, messages, 2, 0, &limit));
	say("left %ld", (long)limit.tv_sec);
	CALL(close(fd));
	fd = answered("/bytes/500");
	CALL(recvmmsg(fd, messages, 1, 0, (struct timespec *)&for_ever));
	limit = for_ever;
	CALL(recvmmsg(fd, messages, 2, 0, &limit));
	say("left %d", limit.tv_sec > 1000000000);
	CALL(close(fd));
}

static void run_wait_all_nonblocking(void)
{
	int fd = probe_dial();

	CALL(recv(fd, bytes, 100, MSG_WAITALL | MSG_DONTWAIT));
	probe_ask(fd, "/bytes/100");
	probe_settle();
	CALL(recv(fd, bytes, 8000, MSG_WAITALL | MSG_DONTWAIT));
	CALL(recv(fd, bytes, 8000, MSG_WAITALL | MSG_DONTWAIT));
	CALL(recv(fd, bytes, 8000, MSG_WAITALL | MSG_PEEK));
	CALL(close(fd));
}

static void run_dont_wait(void)
{
	int fd = probe_dial();

	CALL(recv(fd, bytes, 100, MSG_DONTWAIT));
	probe_ask(fd, "/bytes/100");
	probe_settle();
	CALL(recv(fd, bytes, 100, MSG_DONTWAIT));
	CALL(recv(fd, bytes, 1000, MSG_DONTWAIT));
	probe_settle();
	CALL(recv(fd, bytes, 100, MSG_DONTWAIT));
	CALL(recv(fd, bytes, 100, MSG_DONTWAIT));
	CALL(close(fd));
}

static void run_truncate(void)
{
	int fd = answered("/bytes/100");

	CALL(recv(fd, NULL, 30, MSG_TRUNC));
	probe_read(fd, 20);
	CALL(recv(fd, bytes, 8000, MSG_TRUNC));
	CALL(recv(fd, bytes, 8000, MSG_TRUNC));
	CALL(close(fd));
	fd = answered("/bytes/5000");
	CALL(recv(fd, NULL, 3000, MSG_TRUNC));
	probe_read(fd, 20);
	CALL(recv(fd, NULL, 8000, MSG_TRUNC | MSG_WAITALL));
	CALL(close(fd));
	probe_exchange("/bytes/10");
}

static void run_zero(void)
{
	int fd = probe_dial();

	CALL(recv(fd, bytes, 0, MSG_DONTWAIT));
	CALL(read(fd, bytes, 0));
	CALL(write(fd, bytes, 0));
	CALL(send(fd, bytes, 0, 0));
	probe_ask(fd, "/bytes/10");
	probe_settle();
	CALL(read(fd, bytes, 0));
	CALL(read(fd, NULL, 0));
	probe_drain(fd);
	CALL(read(fd, bytes, 0));
	CALL(write(fd, bytes, 0));
	CALL(close(fd));
}

static void run_out_of_band(void)
{
	int fd = answered("/bytes/10");

	CALL(recv(fd, bytes, 1, MSG_OOB));
	CALL(recv(fd, bytes, 1, MSG_ERRQUEUE));
	CALL(recv(fd, bytes, 1, 0x40000000));
	probe_drain(fd);
	CALL(recv(fd, bytes, 1, MSG_OOB));
	CALL(recv(fd, bytes, 1, MSG_ERRQUEUE));
	CALL(close(fd));
}

static void run_recvfrom(void)
{
	struct sockaddr_in from = {.sin_family = 99};
	socklen_t length = sizeof from;
	int fd = answered("/bytes/100");

	CALL(recvfrom(fd, bytes, 20, 0, (struct sockaddr *)&from, &length));
	say("length %u family %d", length, from.sin_family);
	length = sizeof from;
	CALL(recvfrom(fd, bytes, 8000, 0, (struct sockaddr *)&from, &length));
	length = sizeof from;
	CALL(recvfrom(fd, bytes, 8000, 0, (struct sockaddr *)&from, &length));
	say("length %u family %d", length, from.sin_family);
	CALL(close(fd));
}

static void run_waiting(void)
{
	int fd = probe_socket();

	print_waiting("new", fd);
	CALL(connect(fd, (struct sockaddr *)&probe_server, sizeof probe_server));
	print_waiting("connected", fd);
	probe_ask(fd, "/bytes/100");
	probe_settle();
	print_waiting("answered", fd);
	probe_read(fd, 50);
	print_waiting("half read", fd);
	probe_read(fd, 1000);
	print_waiting("all read", fd);
	probe_read(fd, 1000);
	print_waiting("after EOF", fd);
	CALL(ioctl(fd, FIONREAD, NULL));
	CALL(ioctl(fd, 0x1234, NULL));
	CALL(ioctl(fd, SIOCATMARK, bytes));
	CALL(close(fd));
	print_waiting("closed", fd);
}

static long elapsed_tens_of_ms(struct timespec *begin)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return ((now.tv_sec - begin->tv_sec) * 1000 + (now.tv_nsec - begin->tv_nsec) / 1000000 + 20) / 100;
}

static void run_time_limit(void)
{
	struct timeval limit = {.tv_usec = 100000};
	struct timespec begin;
	int fd = probe_dial();

	CALL(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit));
	clock_gettime(CLOCK_MONOTONIC, &begin);
	probe_read(fd, 10);
	say("after %ld00 ms", elapsed_tens_of_ms(&begin));
	probe_ask(fd, "/sleep/250");
	clock_gettime(CLOCK_MONOTONIC, &begin);
	probe_read(fd, 1000);
	probe_read(fd, 1000);
	say("after %ld00 ms", elapsed_tens_of_ms(&begin));
	probe_read(fd, 1000);
	probe_read(fd, 1000);
	CALL(close(fd));
	fd = probe_dial();
	probe_ask(fd, "/sleep/200");
	probe_drain(fd);
	CALL(close(fd));
}

static void run_time_limit_before_connect(void)
{
	struct timeval limit = {.tv_usec = 100000};
	int fd = probe_socket();

	CALL(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit));
	CALL(connect(fd, (struct sockaddr *)&probe_server, sizeof probe_server));
	probe_read(fd, 10);
	probe_ask(fd, "/bytes/10");
	probe_drain(fd);
	CALL(close(fd));
}

/* A read that waits for many bytes must still end with the answer. */
static void run_low_water(void)
{
	int fd = probe_dial(), mark = 4096;

	CALL(setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &mark, sizeof mark));
	probe_ask(fd, "/slow-two-pieces/10");
	probe_read(fd, 8000);
	probe_read(fd, 8000);
	CALL(close(fd));
	fd = probe_dial();
	probe_ask(fd, "/bytes/10");
	probe_drain(fd);
	CALL(close(fd));
}

static void run_low_water_poll(void)
{
	int fd = probe_dial(), mark = 100;

	CALL(setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &mark, sizeof mark));
	probe_ask(fd, "/bytes/10");
	probe_settle();
	probe_poll("answered", fd, POLLIN, 100);
	probe_read(fd, 90);
	probe_settle();
	probe_poll("below the mark", fd, POLLIN, 300);
	probe_drain(fd);
	probe_poll("after EOF", fd, POLLIN, 100);
	CALL(close(fd));
}

static const struct probe_case cases[] = {
	{"peek", run_peek},
	{"wait-all", run_wait_all},
	{"wait-all-at-once", run_wait_all_at_once},
	{"wait-all-exact", run_wait_all_exact},
	{"wait-all-vector", run_wait_all_vector},
	{"wait-all-ended", run_wait_all_ended},
	{"wait-all-reset", run_wait_all_reset},
	{"wait-all-interrupted", run_wait_all_interrupted},
	{"wait-all-taken", run_wait_all_taken},
	{"peek-all", run_peek_all},
	{"low-water-asked", run_low_water_asked},
	{"messages-time-limit", run_messages_time_limit},
	{"wait-all-nonblocking", run_wait_all_nonblocking},
	{"dont-wait", run_dont_wait},
	{"truncate", run_truncate},
	{"zero", run_zero},
	{"out-of-band", run_out_of_band},
	{"recvfrom", run_recvfrom},
	{"waiting", run_waiting},
	{"time-limit", run_time_limit},
	{"time-limit-before-connect", run_time_limit_before_connect},
	{"low-water", run_low_water},
	{"low-water-poll", run_low_water_poll},
};
PROBE_MAIN(cases)
