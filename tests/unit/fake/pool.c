/* See pool.h. */
#include "tests/unit/fake/pool.h"

#include <arpa/inet.h>
#include <check.h>
#include <string.h>

struct idle_pool fake_pool;
struct config fake_pool_config;

static const uint32_t room[STATS_N_ARRAYS] = STATS_PAGE_ROOM;
static union {
	struct stats_page page;
	char memory[STATS_PAGE_SIZE];
} stats;

uint64_t fake_pool_counted(enum stats_counter counter)
{
	struct stats_counts sum;

	stats_sum(&stats.page, &sum);
	return sum.counter[counter];
}

uint64_t fake_pool_refused(enum refusal why)
{
	struct stats_counts sum;

	stats_sum(&stats.page, &sum);
	return sum.refused[why];
}

void fake_pool_start(void)
{
	fake_sys_start();
	config_init(&fake_pool_config);
	fake_pool_config.max_idle_conns = 0;
	fake_pool_config.policy.max_idle_conns_per_host = 0;
	fake_pool_config.policy.max_conn_age_ns = 0;
	fake_pool_config.policy.max_conn_requests = 0;
	memset(&stats, 0, sizeof(stats));
	stats_init(&stats.page, room);
	idle_pool_init(&fake_pool, &fake_sys, &fake_pool_config, &stats.page);
}

void fake_pool_clear_leaving(unsigned n_open)
{
	idle_pool_clear(&fake_pool);
	ck_assert_uint_eq(fake_pool.n_idle, 0);
	ck_assert_ptr_null(fake_pool.oldest);
	for (unsigned i = 0; i < IDLE_WHEEL_SLOTS; i++)
		ck_assert_ptr_null(fake_pool.wheel[i]);
	ck_assert_uint_eq(fake_kernel.n_open, n_open);
	ck_assert_uint_eq(fake_pool.conn_arena.n_used, n_open);
}

struct destination_key fake_pool_key(unsigned number)
{
	struct destination_key key = {.family = AF_INET, .port = htons(80), .address = {10}};

	key.address[1] = (uint8_t)(number >> 16);
	key.address[2] = (uint8_t)(number >> 8);
	key.address[3] = (uint8_t)number;
	return key;
}

struct destination *fake_pool_find(unsigned number)
{
	struct destination_key key = fake_pool_key(number);

	return idle_pool_find(&fake_pool, &key);
}

struct conn *fake_pool_dial(struct destination *destination)
{
	struct conn *conn = idle_pool_open(&fake_pool, destination, fake_kernel.now_ns);

	ck_assert_ptr_nonnull(conn);
	conn->fd = fake_socket_new();
	conn->cookie = (uint64_t)conn->fd;
	return conn;
}

void fake_pool_exchange(struct conn *conn)
{
	fake_socket(conn->fd)->bytes_sent += 100;
	fake_socket(conn->fd)->bytes_received += 1000;
	conn->ledger.sent += 100;
	conn->ledger.received += 1000;
	conn->n_requests++;
}

void fake_pool_park(struct conn *conn)
{
	ck_assert_int_eq(idle_pool_park(&fake_pool, conn, fake_kernel.now_ns), REFUSAL_NONE);
	ck_assert_int_eq(conn->state, CONN_IDLE);
}

void fake_pool_park_new(struct destination *destination, unsigned n, struct conn **conns)
{
	for (unsigned i = 0; i < n; i++)
		conns[i] = fake_pool_dial(destination);
	for (unsigned i = 0; i < n; i++)
		fake_pool_park(conns[i]);
}

struct conn *fake_pool_lease(struct destination *destination)
{
	enum refusal why;

	return idle_pool_lease(&fake_pool, destination, 0, fake_kernel.now_ns, &why);
}

void fake_pool_expire(void)
{
	idle_pool_expire(&fake_pool, fake_kernel.now_ns);
}

void fake_pool_hang_up(struct conn *conn, uint32_t ago_ms)
{
	fake_socket(conn->fd)->state = FAKE_CLOSE_WAIT;
	fake_socket(conn->fd)->bytes_received++; /* Linux counts a FIN as one byte */
	fake_socket(conn->fd)->last_ack_ms = ago_ms;
}

void fake_pool_surprise(struct conn *conn)
{
	fake_socket_original(conn->fd)->bytes_received++;
}
