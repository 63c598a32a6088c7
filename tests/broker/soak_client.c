/*
 * One client of many: makes requests, a connection each, with a token in every one, and checks that each answer is
 * whole and belongs to its own request. Then ends in one of several ways; or is killed from outside before that.
 *
 * usage: soak_client PORT N_REQUESTS SEED; exit status 0, or 1 with a line on stderr.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int fail(const char *what, const char *answer)
{
	fprintf(stderr, "%d: %s: %s: %.300s\n", (int)getpid(), what, strerror(errno), answer);
	return 1;
}

static int send_all(int fd, const char *bytes, size_t length)
{
	while (length) {
		ssize_t n = send(fd, bytes, length, MSG_NOSIGNAL);

		if (n < 0)
			return -1;
		bytes += n;
		length -= (size_t)n;
	}
	return 0;
}

static int ask(int port, unsigned token)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	char request[256], answer[4096], mark[64], *body;
	size_t used = 0;
	ssize_t n;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return fail("connect", "");
	snprintf(mark, sizeof(mark), "X-Token: %08x-%d\r\n", token, (int)getpid());
	snprintf(request, sizeof(request), "GET /echo HTTP/1.1\r\nHost: x\r\n%sConnection: close\r\n\r\n", mark);
	if (send_all(fd, request, strlen(request)) < 0)
		return fail("send", "");
	while ((n = recv(fd, answer + used, sizeof(answer) - 1 - used, 0)) > 0)
		used += (size_t)n;
	answer[used] = '\0';
	if (n < 0)
		return fail("recv", answer);
	close(fd);
	body = strstr(answer, "\r\n\r\n");
	errno = 0;
	if (strncmp(answer, "HTTP/1.1 200 ", 13) != 0 || !body || !strstr(body, mark))
		return fail("not the answer to this request", answer);
	/* One answer and no more. */
	return strstr(answer + 1, "HTTP/1.1 200 ") ? fail("more than the answer", answer) : 0;
}

int main(int argc, char **argv)
{
	unsigned seed = argc == 4 ? (unsigned)atol(argv[3]) : 0;
	int n = argc == 4 ? atoi(argv[2]) : 0;

	for (int i = 0; i < n; i++)
		if (ask(atoi(argv[1]), seed * 1000u + (unsigned)i))
			return 1;
	switch (seed % 3) {
	case 0:
		_exit(0);
	case 1:
		execl("/bin/true", "true", (char *)NULL);
		return 1;
	default:
		return 0;
	}
}
