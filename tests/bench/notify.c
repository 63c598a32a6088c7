/*
 * What a relay costs beside requests: notify CALL N PORT. CALL: connect (to a port where nobody speaks HTTP; closed by
 * a reset, so that no port is used up), getpid, or filtered-getpid, under the shortest filter there is. Prints
 * nanoseconds a call on stderr.
 */
#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static double now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* The server's greeting is awaited: then a relay knows that this is no HTTP. */
static int dial(const struct sockaddr_in *server)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char byte;

	if (connect(fd, (const struct sockaddr *)server, sizeof *server) || read(fd, &byte, 1) != 1)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
	return close(fd);
}

/* One that allows everything: what any filter costs. */
static int filter_nothing(void)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog filter = {1, &allow};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
}

int main(int argc, char **argv)
{
	struct sockaddr_in server = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int is_connect = argc == 4 && strcmp(argv[1], "connect") == 0;
	long n = argc == 4 ? atol(argv[2]) : 0;
	double begin;

	if (n <= 0)
		return 2;
	if (strcmp(argv[1], "filtered-getpid") == 0 && filter_nothing())
		return 1;
	server.sin_port = htons((unsigned short)atoi(argv[3]));
	/* The first ones tell the relay what is spoken there. */
	for (int i = 0; is_connect && i < 5; i++)
		if (dial(&server))
			return 1;
	begin = now_ns();
	for (long i = 0; i < n; i++)
		if (is_connect ? dial(&server) : syscall(SYS_getpid) < 0)
			return 1;
	fprintf(stderr, "%.1f\n", (now_ns() - begin) / (double)n);
	return 0;
}
