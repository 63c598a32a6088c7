/*
 * The cost of the idle pool itself: nanoseconds per request (find the destination, lease, park), with system calls that
 * do nothing, by the number of idle connections and of destinations. Goal: 300 ns, and flat.
 *
 * Prints a line each: IDLE DESTINATIONS NANOSECONDS (the best of several rounds: other load only adds).
 */
#include "pool/base/uthash_arena.h"

#include <linux/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "pool/idle.h"

#define ROUNDS 9
#define PAIRS 200000

static const struct tcp_info clean = {.tcpi_state = 1};

static int no_getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
	(void)fd, (void)level, (void)name;
	memcpy(value, &clean, *length);
	return 0;
}

static int no_setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
	(void)fd, (void)level, (void)name, (void)value, (void)length;
	return 0;
}

static int no_close(int fd)
{
	(void)fd;
	return 0;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void *map(uint64_t length)
{
	void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

static void unmap(void *memory, uint64_t length)
{
	munmap(memory, length);
}

static const struct pool_sys sys = {.getsockopt = no_getsockopt,
				    .setsockopt = no_setsockopt,
				    .close = no_close,
				    .now_ns = now_ns,
				    .map = map,
				    .unmap = unmap};
static struct idle_pool pool;
static struct config config;

static struct destination_key key_of(unsigned number)
{
	struct destination_key key = {.family = AF_INET, .port = 80, .address = {10}};

	memcpy(key.address + 1, &number, 3);
	return key;
}

static void need(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "pool: %s\n", what);
	exit(1);
}

/* Opens all of a destination's at once, parks them in an order that mixes destinations. */
static void fill(unsigned n_idle, unsigned n_destinations)
{
	struct conn **conns = calloc(n_idle, sizeof(*conns));

	need(conns != NULL, "no memory");
	for (unsigned i = 0; i < n_idle; i++) {
		struct destination_key key = key_of(i % n_destinations);
		struct destination *destination = idle_pool_find(&pool, &key);

		need(destination != NULL, "no memory");
		conns[i] = idle_pool_open(&pool, destination, 0);
		need(conns[i] != NULL, "no memory");
		conns[i]->fd = (int)i + 3;
		conns[i]->cookie = i;
	}
	for (unsigned i = 0; i < n_idle; i++)
		need(idle_pool_park(&pool, conns[i], i * 1000) == REFUSAL_NONE, "not parked");
	free(conns);
}

static const uint32_t room[STATS_N_ARRAYS] = STATS_PAGE_ROOM;
static union {
	struct stats_page page;
	char memory[STATS_PAGE_SIZE];
} stats;

/* A program's requests, 10 us apart, each to any destination. */
static double round_of_pairs(unsigned n_destinations, uint64_t *program_ns)
{
	uint64_t start = now_ns();
	unsigned random = 12345;

	for (unsigned i = 0; i < PAIRS; i++) {
		struct destination_key key;
		enum refusal why;
		struct conn *conn;

		random = random * 1103515245 + 12345;
		key = key_of((random >> 8) % n_destinations);
		*program_ns += 10000;
		idle_pool_expire(&pool, *program_ns);
		conn = idle_pool_lease(&pool, idle_pool_find(&pool, &key), 0, *program_ns, &why);
		need(conn != NULL, "nothing to lease");
		need(idle_pool_park(&pool, conn, *program_ns) == REFUSAL_NONE, "not parked");
	}
	return (double)(now_ns() - start) / PAIRS;
}

static void measure(unsigned n_idle, unsigned n_destinations)
{
	uint64_t program_ns = 1000000000;
	double best = 0;

	stats_init(&stats.page, room);
	idle_pool_init(&pool, &sys, &config, &stats.page);
	fill(n_idle, n_destinations);
	for (int i = 0; i < ROUNDS; i++) {
		double ns = round_of_pairs(n_destinations, &program_ns);

		if (i == 0 || ns < best)
			best = ns;
	}
	need(pool.n_idle == n_idle, "some were lost");
	idle_pool_clear(&pool);
	printf("%u %u %.0f\n", n_idle, n_destinations, best);
	fflush(stdout);
}

int main(void)
{
	config_init(&config);
	config.max_idle_conns = 0;
	config.policy.max_idle_conns_per_host = 0;
	config.policy.max_conn_age_ns = 0;
	config.policy.max_conn_requests = 0;
	for (unsigned n_idle = 1; n_idle <= 100000; n_idle *= n_idle == 1 ? 1000 : 100)
		for (unsigned n_destinations = 1; n_destinations <= n_idle && n_destinations <= 10000;
		     n_destinations *= 10)
			measure(n_idle, n_destinations);
	return 0;
}
