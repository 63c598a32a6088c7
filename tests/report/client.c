/*
 * Connects to 127.0.0.1:PORT the given number of times, from a function whose name and line the tests look for; then
 * ends as told.
 *
 * usage: client PORT N exit|quick|number|execute|kill|wait|fast [MARK]
 *
 * fast: each connect is that of a sendto() with MSG_FASTOPEN.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char request[] = "GET /bytes/10 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

__attribute__((noinline)) int fetch_one(int port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0), failed;
	char buffer[4096];

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	failed = connect(fd, (struct sockaddr *)&address, sizeof(address)); /* this line is looked for */
	if (!failed && write(fd, request, strlen(request)) > 0)
		while (read(fd, buffer, sizeof(buffer)) > 0)
			;
	close(fd);
	return failed;
}

__attribute__((noinline)) int fetch_fast(int port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	ssize_t n;
	char buffer[4096];

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	n = sendto(fd, request, strlen(request), MSG_FASTOPEN, (struct sockaddr *)&address, sizeof(address));
	while (n > 0)
		n = read(fd, buffer, sizeof(buffer));
	close(fd);
	return n < 0;
}

__attribute__((noinline)) int fetch_many(int port, int n)
{
	int n_failed = 0;

	for (int i = 0; i < n; i++)
		n_failed += fetch_one(port) != 0;
	return n_failed;
}

/* Ends that no exit handler sees. */
static void end(const char *how)
{
	char *const arguments[] = {(char *)"true", NULL};

	if (strcmp(how, "kill") == 0)
		raise(SIGKILL);
	if (strcmp(how, "quick") == 0)
		quick_exit(0);
	if (strcmp(how, "number") == 0)
		syscall(SYS_exit_group, 0);
	if (strcmp(how, "execute") == 0)
		syscall(SYS_execve, "/bin/true", arguments, environ);
}

int main(int argc, char **argv)
{
	int n_failed = 0;

	if (argc > 3 && strcmp(argv[3], "fast") == 0)
		n_failed = fetch_fast(atoi(argv[1]));
	else if (argc > 3)
		n_failed = fetch_many(atoi(argv[1]), atoi(argv[2]));

	printf("%d failed\n", n_failed);
	fflush(stdout);
	if (argc > 3)
		end(argv[3]);
	if (argc > 3 && strcmp(argv[3], "wait") == 0)
		while (read(STDIN_FILENO, &n_failed, 1) > 0)
			;
	return argc > 3 ? 0 : 2;
}
