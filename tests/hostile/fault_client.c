/*
 * Asks the fault server for every framing with every fault at every position, and prints its observations, a line each:
 * fault_client PLAN PORT WAY STATE [FRAMING...]. WAY: block, poll (level, by small pieces) or edge (epoll). STATE: hit
 * (there is a kept connection, if connections are kept) or miss (from an address of its own, which has no kept
 * connection).
 */
#include "tests/hostile/faults.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/lib/error_name.h"

#define HANG_MS 2000

static struct plan *plan;
static struct sockaddr_in server = {.sin_family = AF_INET};
static const char *way;
static bool is_miss;
static unsigned n_cases;

static int dial(void)
{
	struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f010000 + n_cases % 0xfff0 + 1)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | (strcmp(way, "block") ? SOCK_NONBLOCK : 0), 0);

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	if (is_miss)
		bind(fd, (struct sockaddr *)&own, sizeof(own));
	if (connect(fd, (struct sockaddr *)&server, sizeof(server)) && errno != EINPROGRESS)
		printf("connect: %s ", error_name(errno));
	else if (strcmp(way, "block"))
		poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, HANG_MS);
	return fd;
}

/* Waits until there is something to read. False: a timeout. */
static bool await(int fd, int set)
{
	struct epoll_event event;

	if (set >= 0)
		return epoll_wait(set, &event, 1, HANG_MS) == 1;
	if (strcmp(way, "poll") == 0)
		return poll(&(struct pollfd){.fd = fd, .events = POLLIN}, 1, HANG_MS) == 1;
	return true;
}

/* Reads until the end of file, an error, or `most` bytes. Returns how many; *end says how it ended. */
static size_t read_answer(int fd, int set, char *bytes, size_t most, const char **end)
{
	size_t piece = strcmp(way, "poll") ? most : 7, length = 0;

	*end = "enough";
	alarm(3);
	while (length < most) {
		ssize_t n = recv(fd, bytes + length, piece < most - length ? piece : most - length, 0);

		if (n < 0 && errno == EAGAIN) {
			if (await(fd, set))
				continue;
			*end = "HANGS";
			break;
		}
		if (n <= 0) {
			*end = !n ? "EOF" : errno == EINTR ? "HANGS" : error_name(errno);
			break;
		}
		length += (size_t)n;
	}
	alarm(0);
	return length;
}

static bool send_request(int fd, const struct framing *framing, int fault, size_t position)
{
	size_t head = fault == FAULT_REQUEST_SPLIT || fault == FAULT_REQUEST_PAUSE ? position : framing->request_length;
	size_t rest = framing->request_length - head;

	if (head && send(fd, framing->request, head, MSG_NOSIGNAL) != (ssize_t)head)
		return false;
	if (fault == FAULT_REQUEST_PAUSE)
		nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
	return !rest || send(fd, framing->request + head, rest, MSG_NOSIGNAL) == (ssize_t)rest;
}

/* A plain request, after which a kept connection is there for the next one. The answer must be its own. */
static void warm(void)
{
	static const char request[] = "GET /plain HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
	const char *end;
	char answer[512];
	size_t length;
	int fd;

	plan->framing = -1;
	plan->fault = FAULT_NONE;
	fd = dial();
	if (send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) < 0)
		printf("the request before: %s ", error_name(errno));
	length = read_answer(fd, -1, answer, sizeof(answer), &end);
	if (length < 5 || memcmp(answer + length - 5, "plain", 5) || memcmp(answer, "HTTP/1.1 200", 12) ||
	    strcmp(end, "EOF"))
		printf("the request before: %zu bytes, %s ", length, end);
	close(fd);
}

static unsigned checksum(const char *bytes, size_t length)
{
	unsigned sum = 5381;

	while (length--)
		sum = sum * 33 + (unsigned char)*bytes++;
	return sum;
}

/* Surplus that arrives later than the answer: a program that reads to the end of file sees it or not, as with another
 * client's keep-alive. It must not be taken for the answer to the next request, so it arrives before that is sent. */
static void await_surplus(const struct framing *framing, int fault, size_t position, size_t *length)
{
	size_t end = framing->answer_length - framing->surplus_length;

	if (!framing->surplus_length || fault < FAULT_ANSWER_SPLIT || (fault != FAULT_ANSWER_DRIP && position < end))
		return;
	nanosleep(&(struct timespec){.tv_nsec = 3000000}, NULL);
	if (*length > end)
		*length = end;
}

static void run_case(int number, int fault, size_t position)
{
	const struct framing *framing = &faults_framings[number];
	int set = strcmp(way, "edge") ? -1 : epoll_create1(EPOLL_CLOEXEC), fd;
	const char *end = "send";
	char answer[1024];
	size_t length = 0;
	unsigned n_executed;

	n_cases++;
	printf("%s %s %zu: ", framing->name, faults_names[fault], position);
	if (!is_miss)
		warm();
	plan->n_executed = 0;
	/* The whole request, which on the wire may be longer than the program wrote it. */
	plan->position = fault < FAULT_ANSWER_FIN && position == framing->request_length ? SIZE_MAX : position;
	plan->framing = number;
	plan->fault = fault;
	fd = dial();
	if (set >= 0)
		epoll_ctl(set, EPOLL_CTL_ADD, fd, &(struct epoll_event){.events = EPOLLIN | EPOLLRDHUP | EPOLLET});
	if (send_request(fd, framing, fault, position))
		length = read_answer(fd, set, answer, framing->is_kept ? framing->answer_length : sizeof(answer), &end);
	await_surplus(framing, fault, position, &length);
	n_executed = plan->n_executed;
	/* An idempotent request may be sent twice. */
	if (n_executed == 2 && framing->is_idempotent)
		n_executed = 1;
	printf("%zu bytes %08x, %s, executed %u\n", length, checksum(answer, length), end, n_executed);
	close(fd);
	if (set >= 0)
		close(set);
}

static void run_framing(int number)
{
	const struct framing *framing = &faults_framings[number];

	for (int fault = FAULT_NONE; fault < N_FAULTS; fault++) {
		size_t last = fault == FAULT_NONE || fault == FAULT_ANSWER_DRIP ? 0
			      : fault < FAULT_ANSWER_FIN			? framing->request_length
										: framing->answer_length;

		for (size_t position = 0; position <= last; position++)
			run_case(number, fault, position);
	}
}

static void interrupt(int number)
{
	(void)number;
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "list") == 0) {
		for (unsigned i = 0; i < faults_n_framings; i++)
			puts(faults_framings[i].name);
		return 0;
	}
	if (argc < 5 || !(plan = faults_map(argv[1])))
		return 2;
	sigaction(SIGALRM, &(struct sigaction){.sa_handler = interrupt}, NULL);
	server.sin_port = htons((unsigned short)atoi(argv[2]));
	server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	way = argv[3];
	is_miss = strcmp(argv[4], "miss") == 0;
	for (int number = 0; number < (int)faults_n_framings; number++) {
		bool wanted = argc <= 5;

		for (int i = 5; i < argc; i++)
			wanted |= strcmp(argv[i], faults_framings[number].name) == 0;
		if (wanted)
			run_framing(number);
	}
	return 0;
}
