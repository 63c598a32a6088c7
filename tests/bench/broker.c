/*
 * The cost of the broker: a lease (question, answer with a descriptor) against a bare round trip over a socketpair with
 * a descriptor passed, and how the lease and the first park scale with the number of held connections.
 *
 * usage: broker SOCKET N_HELD N_DESTINATIONS; prints microseconds: BARE LEASE PARK (best of several rounds)
 */
#include "pool/base/uthash_arena.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "pool/base/fdpass.h"
#include "pool/config/config.h"
#include "pool/share/client.h"

#define ROUNDS 9
#define TRIPS 1000

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static double now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static void *map_shared(int fd, uint64_t length)
{
	void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

static void unmap(void *memory, uint64_t length)
{
	munmap(memory, length);
}

static const struct pool_sys sys = {
	.close = close,
	.now_ns = now_ns,
	.unmap = unmap,
	.sendmsg = sendmsg,
	.recvmsg = recvmsg,
	.poll = poll,
	.map_shared = map_shared,
};

static void check(int result, const char *what)
{
	if (result >= 0)
		return;
	perror(what);
	exit(1);
}

static void pass_back_and_forth(int fd)
{
	union broker_packet packet;
	while (recv(fd, &packet, sizeof(struct broker_request), 0) > 0)
		check(fdpass_send(&sys, fd, &packet, sizeof(struct broker_reply), 0), "send");
}

static int bare_pair[2];
static pid_t bare_child;

static void start_bare(void)
{
	check(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, bare_pair), "socketpair");
	bare_child = fork();
	if (bare_child == 0) {
		close(bare_pair[0]);
		pass_back_and_forth(bare_pair[1]);
		_exit(0);
	}
	close(bare_pair[1]);
}

static double bare_round(void)
{
	union broker_packet packet = {0};
	double begin = now_us();

	for (int i = 0; i < TRIPS; i++) {
		struct pollfd entry = {.fd = bare_pair[0], .events = POLLIN};
		unsigned n;
		int passed;

		check((int)send(bare_pair[0], &packet, sizeof(struct broker_request), 0), "send");
		poll(&entry, 1, 1000);
		check((int)fdpass_receive(&sys, bare_pair[0], &packet, sizeof(packet), &passed, &n), "receive");
		close(passed);
	}
	return (now_us() - begin) / TRIPS;
}

static void keep_best(double *best, double us)
{
	if (us < *best)
		*best = us;
}

static void meet(struct broker_client *client, const char *path)
{
	static struct config config;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0);

	config_init(&config);
	config.max_idle_conns = config.policy.max_idle_conns_per_host = 0;
	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	check(connect(fd, (struct sockaddr *)&address, sizeof(address)), "connect to the broker");
	broker_client_init(client, &sys, calloc(SLOTS_PER_REGION, sizeof(struct slots_entry)));
	check(broker_client_introduce(client, fd, &config, "bench", 1, NULL), "introduce");
	check(broker_client_await_welcome(client, BROKER_PATIENCE_MS), "welcome");
}

static int listener;
static struct sockaddr_in address = {.sin_family = AF_INET};

static void listen_here(void)
{
	socklen_t length = sizeof(address);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	listener = socket(AF_INET, SOCK_STREAM, 0);
	check(bind(listener, (struct sockaddr *)&address, sizeof(address)), "bind");
	check(listen(listener, 4096), "listen");
	check(getsockname(listener, (struct sockaddr *)&address, &length), "getsockname");
}

static void set_key(struct destination *destination, unsigned number)
{
	uint64_t cookie = 0;
	socklen_t length = sizeof(cookie);

	memset(destination, 0, sizeof(*destination));
	check(getsockopt(listener, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &length), "SO_NETNS_COOKIE");
	check(destination_key_set_peer(&destination->key, (struct sockaddr *)&address, sizeof(address)), "key");
	destination->key.netns_cookie = cookie;
	destination->key.euid = geteuid();
	/* Any option makes it another destination. */
	check(destination_key_add_option(&destination->key, 1, 1, &number, sizeof(number)), "option");
}

static void park_new(struct broker_client *client, struct conn *conn, struct destination *destination)
{
	socklen_t length = sizeof(conn->cookie);

	memset(conn, 0, sizeof(*conn));
	conn->slot = -1;
	conn->destination = destination;
	conn->fd = socket(AF_INET, SOCK_STREAM, 0);
	check(connect(conn->fd, (struct sockaddr *)&address, sizeof(address)), "connect");
	check(accept(listener, NULL, NULL), "accept");
	check(getsockopt(conn->fd, SOL_SOCKET, SO_COOKIE, &conn->cookie, &length), "SO_COOKIE");
	conn->idle_since_ns = now_ns();
	conn->expires_ns = conn->idle_since_ns + 600 * 1000000000ull;
	/* The socket's buffer holds some dozens of descriptors in flight. */
	while (conn->slot < 0) {
		broker_client_offer(client, conn, false);
		if (conn->slot < 0)
			usleep(100);
	}
	slots_leave(&client->slots, conn);
	close(conn->fd);
}

/* Waits for the answer to a last question: by then the broker has read everything before it. */
static void wait_for_broker(struct broker_client *client)
{
	struct destination nowhere;
	struct conn conn = {.slot = -1, .destination = &nowhere};
	int answer, fd;

	set_key(&nowhere, ~0u);
	if (!slots_reserve(&client->slots, &conn))
		return;
	while ((answer = broker_client_lease(client, &conn, false, &fd)) == -ETIMEDOUT)
		;
	check(answer == BROKER_NONE ? 0 : -1, "the broker's answer");
	slots_free(&client->slots, &conn);
}

static double fill(const char *path, unsigned n, unsigned n_destinations)
{
	static struct broker_client client;
	double spent = 0;

	for (unsigned i = 0; i < n; i++) {
		struct destination destination;
		struct conn conn;
		double begin;

		if (i % (SLOTS_PER_REGION - 8) == 0)
			meet(&client, path);
		set_key(&destination, i % n_destinations);
		begin = now_us();
		park_new(&client, &conn, &destination);
		if (i % 32 == 31)
			wait_for_broker(&client);
		spent += now_us() - begin;
	}
	return spent / n;
}

/* Two processes that take turns in getting a connection from each other. */
static double lease_round(struct broker_client clients[2], unsigned n_destinations)
{
	struct destination destination;
	double begin = now_us();

	for (int i = 0; i < TRIPS; i++) {
		struct broker_client *client = &clients[i & 1];
		struct conn conn = {.slot = -1, .destination = &destination};
		int answer;

		set_key(&destination, (unsigned)i / 2 * 7919u % n_destinations);
		while (slots_next_taken(&client->slots))
			;
		if (!slots_reserve(&client->slots, &conn))
			exit(2);
		answer = broker_client_lease(client, &conn, false, &conn.fd);
		if (answer != BROKER_GIVEN) {
			fprintf(stderr, "lease %d: answer %d\n", i, answer);
			exit(1);
		}
		slots_read(&client->slots, &conn);
		slots_publish(&client->slots, &conn);
		slots_leave(&client->slots, &conn);
		close(conn.fd);
	}
	return (now_us() - begin) / TRIPS;
}

int main(int argc, char **argv)
{
	static struct broker_client clients[2];
	struct rlimit limit;
	double bare = 1e9, lease = 1e9, park;

	if (argc != 4)
		return 2;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	start_bare();
	listen_here();
	park = fill(argv[1], (unsigned)atoi(argv[2]), (unsigned)atoi(argv[3]));
	meet(&clients[0], argv[1]);
	meet(&clients[1], argv[1]);
	for (int round = 0; round < ROUNDS; round++) {
		keep_best(&bare, bare_round());
		keep_best(&lease, lease_round(clients, (unsigned)atoi(argv[3])));
	}
	close(bare_pair[0]);
	waitpid(bare_child, NULL, 0);
	printf("%.1f %.1f %.1f\n", bare, lease, park);
	return 0;
}
