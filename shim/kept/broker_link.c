/* See broker_link.h. */
#include "shim/kept/broker_link.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "pool/base/clock.h"
#include "shim/base/clock.h"
#include "shim/base/executable.h"
#include "shim/base/cookie.h"
#include "shim/base/fdtable.h"
#include "shim/base/home.h"
#include "shim/base/large.h"
#include "shim/base/lock.h"
#include "shim/base/real.h"
#include "shim/kept/board.h"
#include "shim/kept/pool.h"
#include "shim/kept/reach.h"

/* How long a broker that was no use is marked down. */
#define DOWN_NS (10 * SECOND_NS)
#define CONNECT_PAUSE_NS MILLISECOND_NS

/* One question at a time. Taken outside of the pool's lock, which covers the client but for its receiving. */
static struct guard_lock question_lock;
struct broker_client broker_link_client;
static LARGE struct slots_entry entries[SLOTS_PER_REGION], pending_entries[SLOTS_PER_REGION];
static struct broker_client pending_client; /* a broker that has our introduction and has not answered */
static uint64_t client_cookie;		    /* proves that the descriptor is still ours */
static _Atomic(uint64_t) down_until_ns;	    /* also looked at without a lock */
static _Atomic(int) down_for_ms;	    /* for who would wait no longer than this */
static _Atomic(uint32_t) client_euid;

static void *mapped_last; /* stays when it is unmapped */

static void *map_shared(int fd, uint64_t length)
{
	void *memory = libc.mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (memory == MAP_FAILED)
		return NULL;
	mapped_last = memory; /* before a fork can leave it out */
	/* A fork's child has no business there, whatever made it. */
	if (libc.madvise(memory, length, MADV_DONTFORK) == 0)
		return memory;
	libc.munmap(memory, length);
	return NULL;
}

/* broker_link_share() looks at it without a lock: it stays for as long as it takes to establish another broker. */
static void *left_memory;

static void unmap(void *memory, uint64_t length)
{
	if (left_memory)
		libc.munmap(left_memory, length);
	left_memory = memory;
}

/* A program that closes descriptors by raw system calls may have got the number for something of its own. (A ticket's
 * is not kept for long.) */
static bool is_still_ours(int fd)
{
	return (fd != broker_link_client.fd && fd != pending_client.fd) || cookie_of(fd) == client_cookie;
}

static ssize_t send_message(int fd, const struct msghdr *message, int flags)
{
	if (is_still_ours(fd))
		return REAL(sendmsg)(fd, message, flags);
	errno = EBADF;
	return -1;
}

static ssize_t receive_message(int fd, struct msghdr *message, int flags)
{
	if (is_still_ours(fd))
		return REAL(recvmsg)(fd, message, flags);
	errno = EBADF;
	return -1;
}

static int close_received(int fd)
{
	return real.close(fd);
}

static int wait_for(struct pollfd *fds, nfds_t n, int timeout_ms)
{
	return REAL(poll)(fds, n, timeout_ms);
}

void broker_link_ring(void)
{
	reach_ring(board_shelf());
}

static const struct pool_sys client_sys = {
	.close = close_received,
	.now_ns = guard_now_ns,
	.unmap = unmap,
	.sendmsg = send_message,
	.recvmsg = receive_message,
	.poll = wait_for,
	.ring = broker_link_ring,
	.map_shared = map_shared,
};

struct broker_client *broker_link_init(const struct config *config)
{
	broker_client_init(&broker_link_client, &client_sys, entries);
	broker_client_init(&pending_client, &client_sys, pending_entries);
	return config->broker_path[0] ? &broker_link_client : NULL;
}

uint32_t broker_link_euid(void)
{
	return client_euid;
}

bool broker_link_is_connected(void)
{
	return broker_link_client.fd >= 0;
}

/* Connected, and still among the program's numbers; or -errno. */
static int dial(const char *path, uint32_t euid)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	fd = REAL(socket)(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (real.connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    !broker_client_trusts(&sock_pool_sys, fd, euid)) {
		real.close(fd);
		return -ECONNREFUSED;
	}
	return fd;
}

int broker_link_dial(void)
{
	int fd = dial(sock_config->broker_path, libc.geteuid());

	return fd < 0 ? fd : fdtable_move_high(fd);
}

static void close_client(int fd)
{
	if (cookie_of(fd) == client_cookie)
		fdtable_close_internal(fd);
	else
		fdtable_set(fd, NULL);
}

static void mark_down(uint64_t now_ns, int patience_ms)
{
	down_for_ms = patience_ms;
	down_until_ns = now_ns + DOWN_NS;
}

static bool is_marked_down(uint64_t now_ns, int patience_ms)
{
	return broker_link_client.fd < 0 && now_ns < down_until_ns && patience_ms <= down_for_ms;
}

void broker_link_disconnect(struct idle_pool *pool, uint64_t now_ns)
{
	int fd = broker_link_client.fd;

	mark_down(now_ns, BROKER_PATIENCE_MS);
	if (fd < 0)
		return;
	idle_pool_disconnect(pool);
	close_client(fd);
}

/* Nobody waits for the answer yet. Marked down meanwhile, in case that a handler leaves us by longjmp. */
static void introduce(uint64_t now_ns, const struct destination_key *key, uint32_t euid)
{
	int fd;

	mark_down(now_ns, INT_MAX);
	fd = dial(sock_config->broker_path, euid);
	if (fd < 0)
		return;
	client_cookie = cookie_of(fd);
	client_euid = euid;
	if (broker_client_introduce(&pending_client, fd, sock_config, program_invocation_short_name,
				    executable_name_number(), key)) {
		real.close(fd);
		return;
	}
	/* While the broker is at work on it. */
	fd = fdtable_move_high(fd);
	if (fd < 0) {
		broker_client_end(&pending_client);
		return;
	}
	pending_client.fd = fd;
	down_until_ns = 0;
}

/* Without the pool's lock: it waits for the broker, and every other thread would wait for us. */
static void establish(uint64_t now_ns, const struct destination_key *key, int patience_ms)
{
	struct idle_pool *pool;
	uint32_t euid;
	int fd, error;

	if (broker_link_client.fd >= 0 || is_marked_down(now_ns, patience_ms))
		return;
	if (pending_client.fd < 0) {
		euid = libc.geteuid();
		introduce(now_ns, key && key->euid == euid ? key : NULL, euid);
	}
	fd = pending_client.fd;
	if (fd < 0)
		return;
	mark_down(now_ns, patience_ms);
	error = broker_client_await_welcome(&pending_client, patience_ms);
	pool = error ? NULL : pool_enter(now_ns);
	if (pool) {
		/* The descriptor comes last: others look at it without the lock. */
		fd = pending_client.fd;
		pending_client.fd = -1;
		broker_client_move(&broker_link_client, &pending_client);
		broker_link_client.fd = fd;
		pool_leave();
		return;
	}
	broker_client_end(&pending_client);
	close_client(fd);
	if (error == -EPROTONOSUPPORT) {
		down_for_ms = INT_MAX;
		down_until_ns = UINT64_MAX;
	}
}

static bool begin_question(uint64_t now_ns, const struct destination_key *key, int patience_ms)
{
	if (!sock_config->broker_path[0] || is_marked_down(now_ns, patience_ms) || !guard_lock_try(&question_lock))
		return false;
	establish(now_ns, key, patience_ms);
	return true;
}

bool broker_link_begin_question(uint64_t now_ns, const struct destination_key *key)
{
	return begin_question(now_ns, key, BROKER_PATIENCE_MS);
}

void broker_link_introduce(void)
{
	uint64_t now_ns;

	if (broker_link_client.fd >= 0 || pending_client.fd >= 0 || !sock_config->broker_path[0])
		return;
	now_ns = guard_now_ns();
	if (is_marked_down(now_ns, BROKER_PATIENCE_MS) || !guard_is_home() || !guard_lock_try(&question_lock))
		return;
	if (broker_link_client.fd < 0 && pending_client.fd < 0)
		introduce(now_ns, NULL, libc.geteuid());
	guard_unlock(&question_lock);
}

void broker_link_connect(uint64_t now_ns)
{
	if (broker_link_client.fd < 0 && begin_question(now_ns, NULL, BROKER_PATIENCE_MS))
		broker_link_end_question();
}

bool broker_link_may_be_connected(void)
{
	return broker_link_is_connected() ||
	       (sock_config->broker_path[0] && !is_marked_down(guard_now_ns(), BROKER_PATIENCE_MS));
}

void broker_link_await_connection(int patience_ms)
{
	uint64_t now_ns = guard_now_ns();

	for (int i = 0; i < patience_ms && broker_link_client.fd < 0; i++) {
		if (begin_question(now_ns, NULL, patience_ms))
			broker_link_end_question();
		else if (guard_lock_is_own(&question_lock))
			return; /* a handler in the midst of its thread's own */
		else if (is_marked_down(now_ns, patience_ms) && !question_lock.owner)
			return;
		else
			clock_nap(CONNECT_PAUSE_NS);
	}
}

void broker_link_end_question(void)
{
	guard_unlock(&question_lock);
}

void broker_link_mark_down(void)
{
	uint64_t now_ns = guard_now_ns();
	struct idle_pool *pool = pool_enter(now_ns);

	if (!pool)
		return;
	broker_link_disconnect(pool, now_ns);
	down_for_ms = INT_MAX;
	pool_leave();
}

void broker_link_share(const struct conn *conn)
{
	/* The region is not mapped in a child of a fork that ran no handlers. */
	if (conn && conn->slot >= 0 && (guard_is_home() || vfork_is_child))
		if (slots_share(&broker_link_client.slots, conn->slot, conn->slot_generation))
			broker_link_ring();
}

/* Anything: one on which nothing was said tells by its end that the process is another program. */
static void say_something(int fd)
{
	struct broker_head idle = broker_wire_head(BROKER_IDLE, 0, 0);

	REAL(send)(fd, &idle, sizeof(idle), MSG_DONTWAIT | MSG_NOSIGNAL);
}

int broker_link_before_exec(void)
{
	struct slots *slots = &broker_link_client.slots;
	bool is_needed = false;
	int fd;

	if (!slots->n_on_shelf)
		return -1;
	/* Closed when the program is executed. */
	fd = broker_link_dial();
	if (fd >= 0 && pool_enter(guard_now_ns())) {
		is_needed = slots_end_used(slots);
		pool_leave();
	}
	if (fd >= 0 && !is_needed)
		fdtable_close_internal(fd);
	return is_needed ? fd : -1;
}

void broker_link_after_exec(int fd)
{
	if (fd < 0)
		return;
	if (pool_enter(guard_now_ns())) {
		slots_use_again(&broker_link_client.slots);
		pool_leave();
	}
	say_something(fd);
	fdtable_close_internal(fd);
}

bool broker_link_move(int from)
{
	struct broker_client *client = pending_client.fd == from ? &pending_client : &broker_link_client;
	struct idle_pool *pool;
	int to;

	if (client->fd != from)
		return false;
	to = fdtable_dup_high(from);
	if (to >= 0 || client == &pending_client) {
		client->fd = to < 0 ? -1 : to;
		return true;
	}
	pool = pool_enter(guard_now_ns());
	if (!pool)
		return false;
	idle_pool_disconnect(pool);
	pool_leave();
	return true;
}

/* Nothing where something else is by now. */
static void map_empty(void *place)
{
	void *memory;

	if (!place)
		return;
	memory = libc.mmap(place, sizeof(struct slots_region), PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	/* An old kernel takes the place for a wish (mmap(2)). */
	if (memory != MAP_FAILED && memory != place)
		libc.munmap(memory, sizeof(struct slots_region));
}

void broker_link_after_fork_amid(void)
{
	int saved = errno;

	map_empty(mapped_last);
	map_empty(broker_link_client.slots.region);
	map_empty(left_memory);
	errno = saved;
}

void broker_link_after_fork(void)
{
	/* The memory was not inherited, and the descriptor is closed with all of ours. */
	broker_link_client.slots.region = NULL;
	slots_leave_shelf(&broker_link_client.slots);
	broker_client_end(&broker_link_client);
	pending_client.slots.region = NULL;
	broker_client_end(&pending_client);
	left_memory = NULL;
	board_after_fork();
	down_until_ns = 0;
}
