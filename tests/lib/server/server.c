/*
 * The test server's process: options, listening sockets, counters. See server.h.
 *
 * Prints `PORT CONTROL_PORT` on its first line of output and serves until its standard input ends, so that it never
 * outlives the test that started it.
 */
#include "server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define N_IDS (1 << 20)

struct server_options server_options;
struct server_stats server_stats;
static unsigned char executed[N_IDS];
static unsigned random_state;

void server_count(long *counter, long by)
{
	__atomic_add_fetch(counter, by, __ATOMIC_SEQ_CST);
}

void server_execute(long id)
{
	if (id < 0 || id >= N_IDS)
		return;
	if (__atomic_fetch_add(&executed[id], 1, __ATOMIC_SEQ_CST) > 0)
		server_count(&server_stats.duplicates, 1);
}

/* A linear congruential generator: the same seed drops the same draws on every machine. */
bool server_draws_drop(void)
{
	unsigned old = __atomic_load_n(&random_state, __ATOMIC_SEQ_CST), new;

	do
		new = old * 1103515245u + 12345u;
	while (!__atomic_compare_exchange_n(&random_state, &old, new, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
	return (int)((new >> 16) % 100) < server_options.drop_percent;
}

static int listen_on(int *port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)*port)};
	socklen_t length = sizeof address;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	address.sin_addr.s_addr = htonl(server_options.any_address ? INADDR_ANY : INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 4096)) {
		perror("test server");
		exit(2);
	}
	getsockname(fd, (struct sockaddr *)&address, &length);
	*port = ntohs(address.sin_port);
	return fd;
}

/* The same port on ::1; -1 if there is no IPv6. */
static int listen_on_six(int port)
{
	struct sockaddr_in6 address = {
		.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(fd, (struct sockaddr *)&address, sizeof address) == 0 && listen(fd, 4096) == 0)
		return fd;
	close(fd);
	return -1;
}

static void *serve_client(void *fd)
{
	server_serve((int)(intptr_t)fd, false);
	return NULL;
}

static void *serve_control(void *fd)
{
	server_serve((int)(intptr_t)fd, true);
	return NULL;
}

static void accept_loop(int listener, void *(*serve)(void *), bool threads)
{
	pthread_attr_t attributes;
	pthread_t thread;

	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, 128 * 1024);
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0 && (errno == EMFILE || errno == ENFILE))
			usleep(1000);
		if (fd < 0)
			continue;
		if (!threads)
			serve((void *)(intptr_t)fd);
		else if (pthread_create(&thread, &attributes, serve, (void *)(intptr_t)fd))
			close(fd);
	}
}

static void *control_loop(void *listener)
{
	accept_loop((int)(intptr_t)listener, serve_control, true);
	return NULL;
}

static void *client_loop(void *listener)
{
	accept_loop((int)(intptr_t)listener, serve_client, !server_options.single_threaded);
	return NULL;
}

static void wait_for_end_of_input(void)
{
	char byte;

	while (read(0, &byte, 1) > 0)
		;
}

static const struct option long_options[] = {
	{"port", required_argument, NULL, 'p'},
	{"drop", required_argument, NULL, 'd'},
	{"drop-kind", required_argument, NULL, 'k'},
	{"seed", required_argument, NULL, 's'},
	{"idle-timeout", required_argument, NULL, 'i'},
	{"single-threaded", no_argument, NULL, '1'},
	{"client-closes-first", no_argument, NULL, 'c'},
	{"no-keep-alive", no_argument, NULL, 'n'},
	{"any", no_argument, NULL, 'a'},
	{"silent-keep", no_argument, NULL, 'q'},
	{0},
};

int main(int argc, char **argv)
{
	struct rlimit limit;
	pthread_t thread;
	int option, listener, six, control, control_port = 0;

	server_options.seed = 1;
	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (option) {
		case 'p':
			server_options.port = atoi(optarg);
			break;
		case 'd':
			server_options.drop_percent = atoi(optarg);
			break;
		case 'k':
			server_options.drop_by_rst = strcmp(optarg, "rst") == 0;
			break;
		case 's':
			server_options.seed = (unsigned)atoi(optarg);
			break;
		case 'i':
			server_options.idle_timeout_ms = atoi(optarg);
			break;
		case '1':
			server_options.single_threaded = true;
			break;
		case 'c':
			server_options.client_closes_first = true;
			break;
		case 'n':
			server_options.no_keep_alive = true;
			break;
		case 'a':
			server_options.any_address = true;
			break;
		case 'q':
			server_options.silent_keep = true;
			break;
		default:
			return 2;
		}
	}
	random_state = server_options.seed;
	signal(SIGPIPE, SIG_IGN);
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	listener = listen_on(&server_options.port);
	six = listen_on_six(server_options.port);
	control = listen_on(&control_port);
	printf("%d %d\n", server_options.port, control_port);
	fflush(stdout);
	pthread_create(&thread, NULL, control_loop, (void *)(intptr_t)control);
	pthread_create(&thread, NULL, client_loop, (void *)(intptr_t)listener);
	if (six >= 0)
		pthread_create(&thread, NULL, client_loop, (void *)(intptr_t)six);
	wait_for_end_of_input();
	return 0;
}
