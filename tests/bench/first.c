/* The first exchange of a process: first PORT makes one GET of /bytes/10 at 127.0.0.1 and prints its microseconds. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void must(int is_true, const char *what)
{
	if (is_true)
		return;
	perror(what);
	exit(1);
}

static void exchange(const struct sockaddr_in *server)
{
	static const char request[] = "GET /bytes/10 HTTP/1.1\r\nHost: x\r\n\r\n";
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char answer[4096];

	must(connect(fd, (const struct sockaddr *)server, sizeof(*server)) == 0, "connect");
	must(send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) > 0, "send");
	must(recv(fd, answer, sizeof(answer), 0) > 0, "recv");
	close(fd);
}

int main(int argc, char **argv)
{
	struct sockaddr_in server = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct timespec begin, end;

	if (argc != 2)
		return 2;
	server.sin_port = htons((unsigned short)atoi(argv[1]));
	clock_gettime(CLOCK_MONOTONIC, &begin);
	exchange(&server);
	clock_gettime(CLOCK_MONOTONIC, &end);
	printf("%.3f\n", (double)(end.tv_sec - begin.tv_sec) * 1e6 + (double)(end.tv_nsec - begin.tv_nsec) / 1e3);
	return 0;
}
