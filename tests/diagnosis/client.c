/*
 * Makes requests over a connection each, at a steady pace; closes first, so that its ports end up in TIME_WAIT. Waits
 * for the end of its standard input when it is done.
 *
 * usage: client ADDRESS PORT REQUESTS PAUSE_MS
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

__attribute__((noinline)) static int dial_once(const struct sockaddr_in *address)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	int failed =
		connect(fd, (const struct sockaddr *)address, sizeof(*address)); /* here: a test looks for this line */

	if (!failed)
		return fd;
	close(fd);
	return -1;
}

static void request(const struct sockaddr_in *address)
{
	static const char text[] = "GET /bytes/10 HTTP/1.1\r\nHost: x\r\n\r\n";
	char answer[4096];
	size_t length = 0;
	int fd = dial_once(address);

	if (fd < 0)
		return;
	if (write(fd, text, sizeof(text) - 1) == sizeof(text) - 1) {
		while (length < sizeof(answer) - 1) {
			ssize_t n = read(fd, answer + length, sizeof(answer) - 1 - length);
			const char *body;

			if (n <= 0)
				break;
			length += (size_t)n;
			answer[length] = '\0';
			body = strstr(answer, "\r\n\r\n");
			if (body && strlen(body + 4) >= 10)
				break;
		}
	}
	close(fd);
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	struct timespec pause = {0};

	if (argc != 5 || inet_pton(AF_INET, argv[1], &address.sin_addr) != 1)
		return 2;
	address.sin_port = htons((uint16_t)atoi(argv[2]));
	pause.tv_nsec = atoi(argv[4]) * 1000000L;
	for (int i = 0; i < atoi(argv[3]); i++) {
		request(&address);
		nanosleep(&pause, NULL);
	}
	puts("done");
	fflush(stdout);
	while (getchar() != EOF)
		;
	return 0;
}
