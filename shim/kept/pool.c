/* See pool.h. */
#include "shim/kept/pool.h"

#include <errno.h>
#include <sys/mman.h>

#include "shim/base/clock.h"
#include "shim/base/fdtable.h"
#include "shim/base/home.h"
#include "shim/base/large.h"
#include "shim/base/lock.h"
#include "shim/base/log.h"
#include "shim/base/real.h"
#include "shim/base/relayed.h"
#include "shim/base/stats_page.h"
#include "shim/kept/broker_link.h"
#include "shim/kept/sessions.h"

const struct config *sock_config;

static struct guard_lock pool_lock; /* covers the pool, and what says so elsewhere */
static struct idle_pool pool;

/* The first memory is this library's own: it costs no system call, and no page until it is written to. */
#define FIRST_MEMORY (384u * 1024)
static LARGE _Alignas(64) char first_memory[FIRST_MEMORY];
static _Atomic(uint64_t) first_used;

static void *take_first_memory(uint64_t length)
{
	uint64_t rounded = (length + 63) & ~UINT64_C(63), at = first_used;

	do {
		if (rounded > FIRST_MEMORY - at)
			return NULL;
	} while (!atomic_compare_exchange_weak(&first_used, &at, at + rounded));
	return first_memory + at;
}

static void *map_memory(uint64_t length)
{
	void *memory = take_first_memory(length);
	int error = errno;

	if (memory)
		return memory;
	memory = libc.mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	errno = error;
	return memory == MAP_FAILED ? NULL : memory;
}

static void unmap_memory(void *memory, uint64_t length)
{
	if ((char *)memory < first_memory || (char *)memory >= first_memory + FIRST_MEMORY)
		libc.munmap(memory, length);
}

static int pool_getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
	return real.getsockopt(fd, level, name, value, length);
}

static int disconnect(int fd)
{
	static const struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
	int error = errno;
	int result = relayed_connect(fd, &nowhere, sizeof(nowhere));

	errno = error;
	return result;
}

static int pool_shutdown(int fd, int how)
{
	int error = errno;
	int result = real.shutdown(fd, how);

	errno = error;
	return result;
}

static ssize_t pool_sendmsg(int fd, const struct msghdr *message, int flags)
{
	return real.sendmsg(fd, message, flags);
}

static ssize_t pool_recv(int fd, void *buffer, size_t length, int flags)
{
	return real.recv(fd, buffer, length, flags);
}

static int pool_setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
	return real.setsockopt(fd, level, name, value, length);
}

static int pool_getpeername(int fd, struct sockaddr *address, socklen_t *length)
{
	return real.getpeername(fd, address, length);
}

static void end_session(void *session)
{
	if (session_layer)
		session_layer->end(session);
}

static bool take_farewell(void *session, struct pool_farewell *farewell)
{
	return session_layer && session_layer->take_farewell(session, farewell);
}

const struct pool_sys sock_pool_sys = {
	.getsockopt = pool_getsockopt,
	.getpeername = pool_getpeername,
	.recv = pool_recv,
	.end_session = end_session,
	.take_farewell = take_farewell,
	.disconnect = disconnect,
	.shutdown = pool_shutdown,
	.sendmsg = pool_sendmsg,
	.setsockopt = pool_setsockopt,
	.close = fdtable_close_internal,
	.forget = fdtable_forget_internal,
	.now_ns = guard_now_ns,
	.map = map_memory,
	.unmap = unmap_memory,
};

void pool_init(const struct config *config)
{
	sock_config = config;
	first_used = large_page_offset(first_memory);
	idle_pool_init(&pool, &sock_pool_sys, config, page);
	pool.broker = broker_link_init(config);
}

struct idle_pool *pool_enter(uint64_t now_ns)
{
	/* A child whose parent was interrupted in the midst of us goes on with what we were doing. */
	if (!guard_is_home() || !guard_lock_try(&pool_lock))
		return NULL;
	idle_pool_expire(&pool, now_ns);
	return &pool;
}

void pool_leave(void)
{
	guard_unlock(&pool_lock);
}

void pool_log_stats(void)
{
	struct stats_counts sum;

	stats_sum(page, &sum);
	if (sum.counter[STATS_CONNECTS])
		log_stats(&sum);
}

bool pool_lock_for_fork(void)
{
	return guard_lock_try(&pool_lock);
}

void pool_unlock_after_fork(void)
{
	guard_unlock(&pool_lock);
}

bool pool_begin_after_fork(bool is_sound)
{
	bool is_held = guard_lock_try(&pool_lock);

	broker_link_after_fork();
	stats_page_after_fork(is_sound);
	if (is_sound) {
		idle_pool_clear(&pool);
	} else {
		struct broker_client *broker = pool.broker;

		idle_pool_init(&pool, &sock_pool_sys, sock_config, page);
		pool.broker = broker;
	}
	return is_held;
}

void pool_end_after_fork(void)
{
	guard_unlock(&pool_lock);
}
