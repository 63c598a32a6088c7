/*
 * N processes at once, each of which connects to EACH of M destinations, 127.1.0.1:PORT and the addresses behind it,
 * and holds the first HELD of these connections. Says how many connects have failed when all are done, and ends with
 * its standard input.
 *
 * usage: many PORT N M EACH HELD
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

struct plan {
	int port, n, n_destinations, n_each, n_held;
};

static int connect_all(const struct plan *plan, int number)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)plan->port)};
	int n_failed = 0;

	for (int i = 0; i < plan->n_each; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		address.sin_addr.s_addr =
			htonl(0x7f010001u + (uint32_t)((number * plan->n_each + i) % plan->n_destinations));
		n_failed += connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0;
		if (i >= plan->n_held)
			close(fd);
	}
	return n_failed;
}

static void be_one(const struct plan *plan, int number, int done, int end)
{
	int n_failed = connect_all(plan, number);
	char byte;

	if (write(done, &n_failed, sizeof(n_failed)) == sizeof(n_failed))
		while (read(end, &byte, 1) > 0)
			;
	exit(0);
}

int main(int argc, char **argv)
{
	struct plan plan;
	int done[2], end[2], n_failed = 0;
	char byte;

	if (argc < 6 || pipe(done) != 0 || pipe(end) != 0)
		return 2;
	plan = (struct plan){atoi(argv[1]), atoi(argv[2]), atoi(argv[3]), atoi(argv[4]), atoi(argv[5])};
	for (int i = 0; i < plan.n; i++) {
		if (fork() == 0) {
			close(end[1]);
			be_one(&plan, i, done[1], end[0]);
		}
	}
	for (int i = 0, n; i < plan.n && read(done[0], &n, sizeof(n)) == sizeof(n); i++)
		n_failed += n;
	printf("%d failed\n", n_failed);
	fflush(stdout);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	close(end[1]);
	while (wait(NULL) > 0)
		;
	return 0;
}
