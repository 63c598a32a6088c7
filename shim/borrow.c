/* See borrow.h. */
#include "shim/borrow.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "pool/broker_client.h"
#include "pool/ledger.h"
#include "shim/fdtable.h"
#include "shim/local_pool.h"
#include "shim/log.h"
#include "shim/real.h"
#include "shim/sock.h"
#include "shim/swap.h"
#include "shim/vfork.h"

#define SECOND_NS 1000000000ull
/* A broker that was no use is left alone for so long. */
#define LEFT_ALONE_NS (10 * SECOND_NS)
#define MEETING_TRIES 100
#define MEETING_WAIT_NS 1000000

/* One question at a time. Taken outside of the pool's lock, which covers the client but for its receiving. */
static struct guard_lock question_lock;
static struct broker_client client;
static struct broker_client newcomer; /* a broker that is being met: nobody else looks at it */
static uint64_t client_cookie;	      /* proves that the descriptor is still ours */
static uint64_t left_alone_until_ns;
/* A connection to the broker on which nothing was said yet: -1: none. */
static _Atomic(int) greeting = -1;
static uint64_t greeting_cookie;
static uint32_t client_euid;
static uint64_t program_number;

static void *map_shared(int fd, uint64_t length)
{
	void *memory = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (memory == MAP_FAILED)
		return NULL;
	/* A fork's child has no business there, whatever made it. */
	if (madvise(memory, length, MADV_DONTFORK) == 0)
		return memory;
	munmap(memory, length);
	return NULL;
}

/* borrow_share() looks at it without a lock: it stays for as long as it takes to meet another broker. */
static void *left_memory;

static void unmap(void *memory, uint64_t length)
{
	if (left_memory)
		munmap(left_memory, length);
	left_memory = memory;
}

/* A program that closes descriptors by raw system calls may have got the number for something of its own. (A ticket's is
 * not kept for long.) */
static bool is_still_ours(int fd)
{
	return (fd != client.fd && fd != newcomer.fd) || swap_cookie(fd) == client_cookie;
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

static const struct pool_sys client_sys = {
	.close = close_received,
	.now_ns = guard_now_ns,
	.unmap = unmap,
	.sendmsg = send_message,
	.recvmsg = receive_message,
	.poll = wait_for,
	.map_shared = map_shared,
};

/* FNV-1a over the executable's name: to tell programs apart, no more. */
static uint64_t number_of_program(void)
{
	char path[256];
	ssize_t length = readlink("/proc/self/exe", path, sizeof(path));
	uint64_t number = 14695981039346656037ull;

	for (ssize_t i = 0; i < length; i++)
		number = (number ^ (unsigned char)path[i]) * 1099511628211ull;
	return number;
}

struct broker_client *borrow_init(const struct config *config)
{
	broker_client_init(&client, &client_sys);
	broker_client_init(&newcomer, &client_sys);
	return config->broker_path[0] ? &client : NULL;
}

bool borrow_is_met(void)
{
	return client.fd >= 0;
}

/* It gives us memory and connections: only our own user's is to be trusted, or one for whom a service manager listens. */
static bool is_trusted(int fd)
{
	struct ucred peer;
	socklen_t length = sizeof(peer);

	return REAL(getsockopt)(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 &&
	       (peer.uid == geteuid() || peer.uid == 0);
}

/* Connected, high and ours; or -errno. */
static int dial_broker(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	fd = REAL(socket)(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (real.connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || !is_trusted(fd)) {
		real.close(fd);
		return -ECONNREFUSED;
	}
	return fdtable_move_high(fd);
}

static void close_client(int fd)
{
	if (swap_cookie(fd) == client_cookie)
		fdtable_close_internal(fd);
	else
		fdtable_set(fd, NULL);
}

/* Under the pool's lock, as all below that has a pool. */
static void part(struct idle_pool *pool, uint64_t now_ns)
{
	int fd = client.fd;

	left_alone_until_ns = now_ns + LEFT_ALONE_NS;
	if (fd < 0)
		return;
	idle_pool_part(pool);
	close_client(fd);
}

void borrow_greet(void)
{
	int fd = sock_config->broker_path[0] ? dial_broker(sock_config->broker_path) : -1;

	if (fd < 0)
		return;
	greeting_cookie = swap_cookie(fd);
	greeting = fd;
}

/* The greeting, if it still is that and the broker that heard it is still there; else a new connection. */
static int take_connection(void)
{
	int fd = atomic_exchange(&greeting, -1);
	struct pollfd entry = {.fd = fd, .events = POLLRDHUP};

	if (fd >= 0 && swap_cookie(fd) != greeting_cookie)
		fdtable_set(fd, NULL);
	else if (fd >= 0 && REAL(poll)(&entry, 1, 0) == 0)
		return fd;
	else if (fd >= 0)
		fdtable_close_internal(fd);
	return dial_broker(sock_config->broker_path);
}

/* Without the pool's lock: it waits for the broker, and every other thread would wait for us. */
static void meet(uint64_t now_ns)
{
	struct idle_pool *pool;
	int fd, error;

	if (client.fd >= 0 || now_ns < left_alone_until_ns)
		return;
	left_alone_until_ns = now_ns + LEFT_ALONE_NS;
	fd = take_connection();
	if (fd < 0)
		return;
	if (!program_number)
		program_number = number_of_program();
	client_cookie = swap_cookie(fd);
	client_euid = geteuid();
	error = broker_client_begin(&newcomer, fd, sock_config, program_invocation_short_name, program_number);
	pool = error ? NULL : pool_enter(now_ns);
	if (pool) {
		client = newcomer;
		pool_leave();
		broker_client_init(&newcomer, &client_sys);
		return;
	}
	broker_client_end(&newcomer);
	close_client(fd);
	if (error == -EPROTONOSUPPORT)
		left_alone_until_ns = UINT64_MAX;
}

/* A connection object with a slot, to be filled by the answer. */
static struct conn *prepare(const struct destination_key *key, uint64_t now_ns)
{
	struct idle_pool *pool = pool_enter(now_ns);
	struct destination *destination;
	struct conn *conn = NULL;

	if (!pool)
		return NULL;
	if (client.fd >= 0 && key->euid == client_euid && client.slots.n_free) {
		destination = idle_pool_find(pool, key);
		conn = destination ? idle_pool_open(pool, destination, now_ns) : NULL;
		if (conn && !slots_reserve(&client.slots, conn)) {
			idle_pool_discard(pool, conn);
			conn = NULL;
		}
	}
	pool_leave();
	return conn;
}

/* The broker may be wrong, or lie. */
static bool is_as_said(const struct conn *conn)
{
	struct destination_key key = conn->destination->key;
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);

	if (!conn->cookie || swap_cookie(conn->fd) != conn->cookie)
		return false;
	if (real.getpeername(conn->fd, (struct sockaddr *)&address, &length) < 0 ||
	    destination_key_set_peer(&key, (struct sockaddr *)&address, length))
		return false;
	return key.family == conn->destination->key.family && key.port == conn->destination->key.port &&
	       memcmp(key.address, conn->destination->key.address, sizeof(key.address)) == 0 &&
	       ledger_check(&sock_pool_sys, conn->fd, &conn->ledger, NULL) == LEDGER_EXACT;
}

/* `fd` is what the question brought: a descriptor or -errno. */
static struct conn *receive(struct idle_pool *pool, struct conn *conn, int fd, uint64_t now_ns)
{
	if (fd >= 0)
		conn->fd = fd = fdtable_move_high(fd);
	else if (fd != -ENOENT && fd != -ECONNREFUSED && fd != -EMFILE)
		part(pool, now_ns);
	if (conn->fd >= 0 && conn->slot >= 0) {
		conn->is_witnessed = true;
		slots_read(&client.slots, conn);
		if (is_as_said(conn)) {
			pool->stats.leased++;
			pool->stats.borrowed++;
			return conn;
		}
		pool->stats.refused[REFUSAL_STALE]++;
	} else if (conn->slot >= 0 && (fd == -ENOENT || fd == -ECONNREFUSED)) {
		slots_free(&client.slots, conn);
	}
	idle_pool_end(pool, conn);
	return NULL;
}

/* True: the broker may be asked now, and the lock for that is held. */
static bool may_ask(uint64_t now_ns)
{
	if (!sock_config->broker_path[0] || (client.fd < 0 && now_ns < left_alone_until_ns) ||
	    !guard_lock_try(&question_lock))
		return false;
	meet(now_ns);
	return true;
}

struct conn *borrow_take(const struct destination_key *key)
{
	uint64_t now_ns = guard_now_ns();
	struct idle_pool *pool;
	struct conn *conn;
	int fd;

	if (!may_ask(now_ns))
		return NULL;
	conn = prepare(key, now_ns);
	if (conn) {
		fd = broker_client_lease(&client, conn);
		/* Who can't get its lock back leaves things as they are: the object is lost, nothing else. */
		pool = pool_enter(guard_now_ns());
		if (pool) {
			conn = receive(pool, conn, fd, now_ns);
			pool_leave();
		} else {
			if (fd >= 0) {
				sock_pool_sys.disconnect(fd);
				real.close(fd);
			}
			conn = NULL;
		}
	}
	guard_unlock(&question_lock);
	return conn;
}

struct conn *borrow_ask_ticket(const struct destination_key *key, uint32_t max_conns, bool is_forced, int *fd)
{
	uint64_t now_ns = guard_now_ns();
	struct conn *conn;

	/* Whoever is not counted makes one too many: waits for another thread that is just meeting the broker. */
	for (int i = 0; i < MEETING_TRIES && client.fd < 0; i++) {
		if (may_ask(now_ns))
			guard_unlock(&question_lock);
		else if (now_ns < left_alone_until_ns && !question_lock.owner)
			return NULL;
		else
			nanosleep(&(struct timespec){0, MEETING_WAIT_NS}, NULL);
	}
	conn = prepare(key, now_ns);
	if (!conn)
		return NULL;
	*fd = dial_broker(sock_config->broker_path);
	if (*fd >= 0 && broker_client_ask_ticket(&client, *fd, conn, max_conns, is_forced) == 0)
		return conn;
	if (*fd >= 0)
		fdtable_close_internal(*fd);
	*fd = -1;
	borrow_give_up(conn);
	return NULL;
}

int borrow_read_ticket(int fd, uint64_t *number)
{
	return broker_client_read_ticket(&client, fd, number);
}

struct conn *borrow_conclude(struct conn *conn, int answer)
{
	uint64_t now_ns = guard_now_ns();
	struct idle_pool *pool = pool_enter(now_ns);

	if (!pool) {
		if (answer >= 0)
			real.close(answer);
		return NULL;
	}
	/* The ticket's own connection failing says nothing about the other one. */
	conn = receive(pool, conn, answer < 0 ? -ENOENT : answer, now_ns);
	pool_leave();
	return conn;
}

void borrow_doubt(void)
{
	uint64_t now_ns = guard_now_ns();
	struct idle_pool *pool = pool_enter(now_ns);

	if (!pool)
		return;
	part(pool, now_ns);
	pool_leave();
}

void borrow_give_up(struct conn *conn)
{
	borrow_conclude(conn, -ENOENT);
}

void borrow_offer(struct idle_pool *pool, struct conn *conn)
{
	if (pool->broker && conn->slot < 0 && conn->destination->key.euid == client_euid)
		broker_client_offer(pool->broker, conn, conn->destination->dials_directly);
}

void borrow_note_probe(struct idle_pool *pool, const struct destination_key *key)
{
	if (pool->broker)
		broker_client_probed(pool->broker, key);
}

void borrow_share(const struct conn *conn)
{
	struct slots_region *region = __atomic_load_n(&client.slots.region, __ATOMIC_RELAXED);

	/* It is not mapped in a child of a fork that ran no handlers. */
	if (conn && region && (guard_is_home() || vfork_is_child))
		slots_share(region, conn->slot, conn->slot_generation);
}

void borrow_relieve(struct idle_pool *pool, const struct destination_key *key)
{
	if (pool->broker)
		broker_client_relieve(pool->broker, key);
}

void borrow_move(int from)
{
	int to, was_greeting = from;
	struct idle_pool *pool;

	atomic_compare_exchange_strong(&greeting, &was_greeting, -1);
	if (client.fd != from)
		return;
	to = fdtable_dup_high(from);
	if (to >= 0) {
		client.fd = to;
		return;
	}
	pool = pool_enter(guard_now_ns());
	if (!pool)
		return;
	idle_pool_part(pool);
	pool_leave();
}

void borrow_after_fork(void)
{
	/* The memory was not inherited, and the descriptor is closed with all of ours. */
	client.slots.region = NULL;
	broker_client_end(&client);
	newcomer.slots.region = NULL;
	broker_client_end(&newcomer);
	left_memory = NULL;
	greeting = -1;
	left_alone_until_ns = 0;
	question_lock.owner = 0;
	atomic_store(&question_lock.is_lost, false);
}
