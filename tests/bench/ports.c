/*
 * The cost of connect() while a share of the ephemeral ports is in use towards one destination. Run it in a network
 * namespace of its own, with a small port range.
 *
 * usage: ports N_PORTS; prints microseconds per connect() at 0, 52 and 84 percent
 */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TRIES 200

static struct sockaddr_in address = {.sin_family = AF_INET};

static double now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void check(int result, const char *what)
{
	if (result >= 0)
		return;
	perror(what);
	exit(1);
}

/* Another process listens, since connections to a process's own ports are left alone. It keeps all accepted
 * connections. */
static pid_t start_server(void)
{
	int ready[2];
	pid_t child;
	char byte;

	check(pipe(ready), "pipe");
	child = fork();
	if (child == 0) {
		int listener = socket(AF_INET, SOCK_STREAM, 0);

		check(bind(listener, (struct sockaddr *)&address, sizeof(address)), "bind");
		check(listen(listener, 4096), "listen");
		check((int)write(ready[1], "", 1), "write");
		while (accept(listener, NULL, NULL) >= 0)
			;
		_exit(0);
	}
	check((int)read(ready[0], &byte, 1), "read");
	return child;
}

/* Uses up ports by plain connects: the kernel fills one half of the range first. */
static void fill(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		check((int)syscall(SYS_connect, fd, &address, sizeof(address)), "filling");
	}
}

static int compare(const void *one, const void *other)
{
	double a = *(const double *)one, b = *(const double *)other;

	return (a > b) - (a < b);
}

/* The median. The connection ends by RST, so that its port is free again. */
static double measure(void)
{
	struct linger reset = {1, 0};
	double times[TRIES];

	for (int i = 0; i < TRIES; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		double begin = now_us();

		check(connect(fd, (struct sockaddr *)&address, sizeof(address)), "connect");
		times[i] = now_us() - begin;
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		close(fd);
	}
	qsort(times, TRIES, sizeof(times[0]), compare);
	return times[TRIES / 2];
}

int main(int argc, char **argv)
{
	unsigned n_ports = argc == 2 ? (unsigned)atoi(argv[1]) : 0, held = 0;
	static const unsigned percents[] = {0, 52, 84};
	struct rlimit limit;
	pid_t child;

	if (!n_ports)
		return 2;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	address.sin_port = htons(8080);
	child = start_server();
	for (unsigned i = 0; i < sizeof(percents) / sizeof(percents[0]); i++) {
		unsigned wanted = n_ports * percents[i] / 100;

		fill(wanted - held);
		held = wanted;
		printf("%.1f ", measure());
	}
	putchar('\n');
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	return 0;
}
