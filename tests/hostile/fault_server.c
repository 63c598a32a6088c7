/*
 * A server that follows the plan: fault_server PLAN. Prints its port; ends with its standard input. It keeps a
 * connection if the request as it came allows that, and else hangs up behind the answer.
 */
#include "tests/hostile/faults.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PAUSE_NS 1000000

static struct plan *plan;

static void pause_a_little(void)
{
	nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
}

static void hang_up(int fd, bool by_rst)
{
	char rest[512];

	if (by_rst) {
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
		return;
	}
	/* Unread bytes would turn the close into a reset. */
	shutdown(fd, SHUT_WR);
	while (recv(fd, rest, sizeof(rest), 0) > 0)
		;
}

static bool send_all(int fd, const char *bytes, size_t length)
{
	return !length || send(fd, bytes, length, MSG_NOSIGNAL) == (ssize_t)length;
}

static bool send_answer(int fd, const char *answer, size_t length, int fault, size_t position)
{
	size_t head = fault < FAULT_ANSWER_FIN ? length : position;

	if (fault == FAULT_ANSWER_DRIP) {
		for (size_t i = 0; i < length; i++)
			if (!send_all(fd, answer + i, 1))
				return false;
		return true;
	}
	if (!send_all(fd, answer, head))
		return false;
	if (fault == FAULT_ANSWER_FIN || fault == FAULT_ANSWER_RST) {
		hang_up(fd, fault == FAULT_ANSWER_RST);
		return false;
	}
	if (fault == FAULT_ANSWER_PAUSE)
		pause_a_little();
	return send_all(fd, answer + head, length - head);
}

/* The length of the first request in `bytes`, 0 while it is incomplete. It knows how its client frames requests. */
static size_t request_end(const char *bytes)
{
	const char *end = strstr(bytes, "\r\n\r\n"), *body;

	if (!end)
		return 0;
	body = end + 4;
	if (strstr(bytes, "Content-Length: 4"))
		return strlen(body) >= 4 ? (size_t)(body - bytes) + 4 : 0;
	if (strstr(bytes, "chunked")) {
		end = strstr(body, "0\r\n\r\n");
		return end ? (size_t)(end - bytes) + 5 : 0;
	}
	return (size_t)(body - bytes);
}

static bool are_two(const struct framing *framing)
{
	return framing && strcmp(framing->name, "two-requests") == 0;
}

/* The second one alone, sent again after the answer to the first. */
static bool is_second(const struct framing *framing, const char *request)
{
	return are_two(framing) && strstr(request, "Connection:") &&
	       strstr(request, "Connection:") < strstr(request, "\r\n\r\n");
}

static const struct framing *framing_of_plan(void)
{
	return plan->framing >= 0 ? &faults_framings[plan->framing] : NULL;
}

/* Reads one request (two of them, if they come together). False: the connection is over. */
static bool read_request(int fd, char *request, size_t size)
{
	size_t length = 0, end;

	do {
		size_t most;
		bool is_cut;
		ssize_t n;

		/* The connection may have been kept for long: the plan is read when bytes arrive. */
		if (recv(fd, request + length, 1, MSG_PEEK) <= 0)
			return false;
		is_cut = plan->fault == FAULT_REQUEST_FIN || plan->fault == FAULT_REQUEST_RST;
		if (is_cut && plan->position <= length) {
			hang_up(fd, plan->fault == FAULT_REQUEST_RST);
			return false;
		}
		most = is_cut && plan->position < size - 1 ? plan->position - length : size - 1 - length;
		n = recv(fd, request + length, most, 0);
		if (n <= 0 || length + (size_t)n >= size - 1)
			return false;
		length += (size_t)n;
		request[length] = 0;
		end = request_end(request);
	} while (!end ||
		 (are_two(framing_of_plan()) && !is_second(framing_of_plan(), request) && !request_end(request + end)));
	return true;
}

static void *serve(void *argument)
{
	int fd = (int)(long)argument;
	char request[1024];

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	while (read_request(fd, request, sizeof(request))) {
		static const char plain[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nplain";
		const struct framing *framing = framing_of_plan();
		const char *answer = framing ? framing->answer : plain;
		size_t answer_length = framing ? framing->answer_length : sizeof(plain) - 1, position = plan->position;
		int fault = plan->fault;
		bool closes = strstr(request, "Connection: close") ||
			      (strstr(request, "HTTP/1.0") && !strcasestr(request, "keep-alive"));

		plan->n_executed++;
		if (fault == FAULT_REQUEST_FIN || fault == FAULT_REQUEST_RST) {
			hang_up(fd, fault == FAULT_REQUEST_RST);
			break;
		}
		/* Of the two answers, which are equally long, the second half. */
		if (is_second(framing, request)) {
			answer_length /= 2;
			answer += answer_length;
			position = position > answer_length ? position - answer_length : 0;
		}
		if (!send_answer(fd, answer, answer_length, fault, position))
			break;
		if (closes || (framing && framing->server_closes)) {
			hang_up(fd, false);
			break;
		}
	}
	close(fd);
	return NULL;
}

static void *watch_input(void *argument)
{
	char byte;

	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	_exit(0);
	return argument;
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0), fd;
	pthread_attr_t detached;
	pthread_t thread;

	plan = argc > 1 ? faults_map(argv[1]) : NULL;
	if (!plan || bind(listener, (struct sockaddr *)&address, length) || listen(listener, 512))
		return 1;
	getsockname(listener, (struct sockaddr *)&address, &length);
	printf("%d\n", ntohs(address.sin_port));
	fflush(stdout);
	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&detached, 65536);
	pthread_create(&thread, &detached, watch_input, NULL);
	while ((fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0)
		if (pthread_create(&thread, &detached, serve, (void *)(long)fd))
			close(fd);
	return 1;
}
