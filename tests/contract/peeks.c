/* Peeking shows the bytes that reading will return, and receiving in parts returns the same as receiving at once: by
 * every name, at every size. */
#include "tests/lib/probe.h"

#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>

static char bytes[8192], again[8192];

static unsigned sum_of(const char *from, long length)
{
	unsigned sum = 0;

	for (long i = 0; i < length; i++)
		sum = sum * 31 + (unsigned char)from[i];
	return sum;
}

static int answered(const char *path)
{
	int fd = probe_dial();

	probe_ask(fd, path);
	probe_settle();
	return fd;
}

static void show(const char *what, long n)
{
	if (n < 0)
		say("%s: %ld %s", what, n, error_name(errno));
	else
		say("%s: %ld checksum %08x", what, n, sum_of(bytes, n));
}

static void run_whole(void)
{
	struct iovec pieces[3] = {{bytes, 40}, {bytes + 40, 60}, {bytes + 100, 4000}};
	struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 3};
	struct mmsghdr two[2] = {{.msg_hdr = message}, {.msg_hdr = message}};
	int fd = answered("/bytes/500");

	show("recv", recv(fd, bytes, sizeof bytes, MSG_PEEK));
	show("recvfrom", recvfrom(fd, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT, NULL, NULL));
	show("recvmsg", recvmsg(fd, &message, MSG_PEEK));
	CALL(recvmmsg(fd, two, 2, MSG_PEEK, NULL));
	show("recvmmsg", two[1].msg_len);
	show("recv all", recv(fd, bytes, 590, MSG_PEEK | MSG_WAITALL));
	show("read", read(fd, bytes, sizeof bytes));
	CALL(recv(fd, bytes, sizeof bytes, MSG_PEEK));
	CALL(read(fd, bytes, sizeof bytes));
	CALL(recv(fd, bytes, sizeof bytes, MSG_PEEK));
	CALL(close(fd));
}

/* wget's way: peeks at everything available, reads the head alone, then the rest. */
static void run_head_first(void)
{
	for (int i = 0; i < 3; i++) {
		int fd = answered("/bytes/500");
		long n = recv(fd, bytes, sizeof bytes - 1, MSG_PEEK);
		char *end;

		bytes[n > 0 ? n : 0] = 0;
		end = strstr(bytes, "\r\n\r\n");
		memcpy(again, bytes, sizeof again);
		n = read(fd, bytes, (size_t)(end + 4 - bytes));
		show("head", n);
		say("as peeked: %d", memcmp(again, bytes, (size_t)n) == 0);
		probe_drain(fd);
		CALL(close(fd));
	}
}

/* Peeks while the answer grows. */
static void run_growing(void)
{
	int fd = probe_dial();
	long n, last = -1;

	probe_ask(fd, "/drip/30");
	for (int i = 0; i < 300 && last < 121; i++) {
		n = recv(fd, bytes, sizeof bytes, MSG_PEEK);
		if (n != last && n >= 119)
			show("peeked", n);
		last = n;
		usleep(1000);
	}
	show("read", read(fd, bytes, sizeof bytes) > 0);
	probe_drain(fd);
	CALL(close(fd));
}

static void run_peek_offset(void)
{
	int fd = answered("/bytes/500"), offset = 0;

	if (setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof offset)) {
		say("not here");
		close(fd);
		return;
	}
	for (int i = 0; i < 4; i++)
		show("peek", recv(fd, bytes, 50, MSG_PEEK));
	show("read", read(fd, bytes, 70));
	show("peek", recv(fd, bytes, 50, MSG_PEEK));
	probe_drain(fd);
	CALL(close(fd));
	fd = answered("/bytes/500");
	show("another's", recv(fd, bytes, 50, MSG_PEEK));
	show("another's", recv(fd, bytes, 50, MSG_PEEK));
	CALL(close(fd));
}

/* The head in pieces of every size: the bytes are the server's, except for a token that is cut (holdline(7), KNOWN
 * LIMITS). */
static void run_sizes(void)
{
	for (size_t size = 89; size < 200; size += 22) {
		int fd = answered("/bytes/100");
		long n, total = 0;

		while ((n = recv(fd, bytes + total, size, 0)) > 0)
			total += n;
		show("all", total);
		CALL(close(fd));
	}
}

/* One call, with the head spread over buffers so that the token falls between two of them. */
static void run_spread(void)
{
	for (size_t cut = 20; cut < 88; cut += 3) {
		struct iovec pieces[2] = {{bytes, cut}, {bytes + cut, sizeof bytes - cut}};
		struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 2};
		int fd = answered("/bytes/100");
		long n = cut % 2 ? readv(fd, pieces, 2) : recvmsg(fd, &message, 0);

		say("cut %zu: %ld checksum %08x", cut, n, sum_of(bytes, n));
		close(fd);
	}
}

/* recvmmsg: as many messages as asked for, or those available. */
static void run_wait_for_one(void)
{
	struct iovec pieces[4];
	struct mmsghdr messages[4];
	int fd = answered("/bytes/500");

	for (int i = 0; i < 4; i++) {
		pieces[i] = (struct iovec){bytes + 100 * i, 100};
		messages[i] = (struct mmsghdr){.msg_hdr = {.msg_iov = &pieces[i], .msg_iovlen = 1}};
	}
	CALL(recvmmsg(fd, messages, 4, MSG_WAITFORONE, NULL));
	show("four", 400);
	CALL(recvmmsg(fd, messages, 4, MSG_WAITFORONE | MSG_PEEK, NULL));
	CALL(recvmmsg(fd, messages, 4, MSG_DONTWAIT, &(struct timespec){1, 0}));
	CALL(recvmmsg(fd, messages, 0, 0, NULL));
	CALL(recvmmsg(fd, (struct mmsghdr *)8, 1, 0, NULL));
	CALL(close(fd));
	fd = probe_dial();
	CALL(recvmmsg(fd, messages, 4, MSG_DONTWAIT, NULL));
	CALL(close(fd));
}

static long tens_of_ms(const struct timespec *begin)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return ((now.tv_sec - begin->tv_sec) * 1000 + (now.tv_nsec - begin->tv_nsec) / 1000000 + 20) / 100;
}

/* A receive timeout in the middle of MSG_WAITALL: the bytes so far are returned. */
static void run_wait_all_in_time(void)
{
	struct timeval limit = {.tv_usec = 150000};
	struct iovec piece = {bytes, 1000};
	struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
	struct timespec begin;

	for (int i = 0; i < 3; i++) {
		int fd = probe_dial();

		CALL(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit));
		probe_ask(fd, "/slow-two-pieces/400");
		clock_gettime(CLOCK_MONOTONIC, &begin);
		if (i == 0)
			CALL(recv(fd, bytes, 1000, MSG_WAITALL));
		if (i == 1)
			CALL(recvmsg(fd, &message, MSG_WAITALL));
		if (i == 2)
			CALL(recv(fd, bytes, 1000, MSG_WAITALL | MSG_PEEK) > 0);
		say("after %ld00 ms", tens_of_ms(&begin));
		CALL(close(fd));
	}
}

/* The server's window is full: a send timeout. */
static void run_send_in_time(void)
{
	struct timeval limit = {.tv_usec = 100000};
	char *body = calloc(1, 4000000);
	static const char head[] = "POST /sleep/10 HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n";
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = probe_server.sin_addr};
	socklen_t length = sizeof address;
	int listener = socket(AF_INET, SOCK_STREAM, 0), fd = probe_socket(), accepted;
	struct timespec begin;
	long n, total = 0;

	bind(listener, (struct sockaddr *)&address, sizeof address);
	listen(listener, 1);
	getsockname(listener, (struct sockaddr *)&address, &length);
	CALL(connect(fd, (struct sockaddr *)&address, sizeof address));
	accepted = accept(listener, NULL, NULL);
	CALL(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit));
	CALL(send(fd, head, sizeof head - 1, 0));
	do {
		clock_gettime(CLOCK_MONOTONIC, &begin);
		n = send(fd, body, 4000000, MSG_NOSIGNAL);
		total += n > 0 ? n : 0;
	} while (n > 0);
	say("%s after %ld00 ms, something was sent: %d", error_name(errno), tens_of_ms(&begin), total > 0);
	CALL(send(fd, body, 10, MSG_NOSIGNAL | MSG_DONTWAIT));
	probe_poll("full", fd, POLLOUT, 0);
	close(accepted);
	CALL(close(fd));
	close(listener);
	free(body);
}

static const struct probe_case cases[] = {
	{"whole", run_whole},
	{"head-first", run_head_first},
	{"growing", run_growing},
	{"peek-offset", run_peek_offset},
	{"sizes", run_sizes},
	{"spread", run_spread},
	{"wait-for-one", run_wait_for_one},
	{"wait-all-in-time", run_wait_all_in_time},
	{"send-in-time", run_send_in_time},
};
PROBE_MAIN(cases)
