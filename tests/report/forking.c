/*
 * A thread makes six requests to 127.0.0.1:PORT, and the main thread forks meanwhile, again and again.
 *
 * usage: forking PORT
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define N_REQUESTS 6
/* From here on children are made. */
#define N_ALONE 3

static const char request[] = "GET /bytes/10 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
static int port;
static _Atomic int n_made;

static void fetch(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	char buffer[4096];

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 && write(fd, request, strlen(request)) > 0)
		while (read(fd, buffer, sizeof(buffer)) > 0)
			;
	close(fd);
}

static void *fetch_all(void *unused)
{
	for (; n_made < N_REQUESTS; n_made++)
		fetch();
	return unused;
}

int main(int argc, char **argv)
{
	pthread_t thread;
	int status, n_failed = 0;

	port = argc > 1 ? atoi(argv[1]) : 0;
	pthread_create(&thread, NULL, fetch_all, NULL);
	while (n_made < N_ALONE)
		;
	while (n_made < N_REQUESTS) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(0);
		waitpid(pid, &status, 0);
		n_failed += status != 0;
	}
	pthread_join(thread, NULL);
	return n_failed != 0;
}
