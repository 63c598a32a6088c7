/* See spare.h. */
#include "shim/sock/spare.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#include "shim/base/clock.h"
#include "shim/base/real.h"
#include "shim/base/usermem.h"
#include "shim/sock/identity.h"
#include "shim/sock/sock.h"

#define STORE_SIZE 32

struct store {
	struct spare spares[STORE_SIZE];
	unsigned n;
};

static struct store stores[2]; /* IPv4, IPv6 */

static struct store *store_of(int domain)
{
	return &stores[domain == AF_INET6];
}

struct spare spare_take(int domain)
{
	struct store *store = store_of(domain);
	struct spare spare = {.fd = -1};

	/* A look without the lock saves it for programs that never have any. */
	if (!__atomic_load_n(&store->n, __ATOMIC_RELAXED) || !pool_enter(guard_now_ns()))
		return spare;
	if (store->n)
		spare = store->spares[--store->n];
	pool_leave();
	return spare;
}

int spare_duplicate(const struct spare *spare, int type_flags)
{
	return real.fcntl(spare->fd, type_flags & SOCK_CLOEXEC ? F_DUPFD_CLOEXEC : F_DUPFD, 0);
}

/* The option that hardly any program leaves out. */
static bool is_nodelay(int level, int name)
{
	return level == IPPROTO_TCP && name == TCP_NODELAY;
}

static bool wants_nodelay(const struct sock *sock)
{
	int value;

	memcpy(&value, sock->wanted.value[SOCKET_OPTION_NODELAY], sizeof(value));
	return sock->wanted.set & 1u << SOCKET_OPTION_NODELAY && value;
}

void spare_flush(struct sock *sock)
{
	int saved = errno, nodelay = wants_nodelay(sock);

	if (sock->state != SOCK_NEW || !sock->n_fds)
		return;
	if (sock->file_flags != sock->status_flags && real.fcntl(sock->fds[0], F_SETFL, sock->status_flags) == 0)
		sock->file_flags = sock->status_flags;
	if (sock->file_has_nodelay != nodelay &&
	    real.setsockopt(sock->fds[0], IPPROTO_TCP, TCP_NODELAY, &nodelay, sizeof(nodelay)) == 0)
		sock->file_has_nodelay = nodelay;
	errno = saved;
}

static bool is_remembered(const struct sock *sock)
{
	return sock->state == SOCK_NEW && sock->spare >= 0 && !atomic_load(&sock->is_shared);
}

bool spare_answer(struct sock *sock, int command, int argument, int *result)
{
	if (!is_remembered(sock) || (command == F_SETFL && (argument & (O_APPEND | O_ASYNC | O_DIRECT | O_NOATIME))))
		return false;
	if (command == F_SETFL)
		sock->status_flags = (sock->status_flags & ~O_NONBLOCK) | (argument & O_NONBLOCK);
	*result = command == F_SETFL ? 0 : sock->status_flags;
	return true;
}

static bool put(struct spare spare, int domain)
{
	struct store *store = store_of(domain);
	bool kept = false;

	if (!pool_enter(guard_now_ns()))
		return false;
	if (store->n < STORE_SIZE) {
		store->spares[store->n++] = spare;
		kept = true;
	}
	pool_leave();
	return kept;
}

bool spare_takes_option(const struct sock *sock, int level, int name, const void *value, socklen_t length)
{
	return is_nodelay(level, name) && is_remembered(sock) && length == sizeof(int) && guard_readable(value, length);
}

void spare_note_file(struct sock *sock)
{
	sock->file_flags = sock->status_flags;
	sock->file_has_nodelay = wants_nodelay(sock);
	sock->file_is_spent = false;
}

void spare_note_option(struct sock *sock, int level, int name)
{
	if (!is_nodelay(level, name))
		spare_drop(sock);
	else
		sock->file_has_nodelay = wants_nodelay(sock);
}

static bool is_untouched(const struct sock *sock)
{
	return sock->n_fds == 1 && !sock->file_is_spent && !atomic_load(&sock->is_shared) &&
	       !(sock->wanted.set & ~(1u << SOCKET_OPTION_NODELAY)) && !sock->key.options_length &&
	       !sock->key.is_bound && !sock->unfit && !sock->cannot_swap && !sock_n_inside(sock);
}

void spare_prepare(struct sock *sock)
{
	if (sock->state != SOCK_NEW || !is_untouched(sock) || !identity_is_steady())
		spare_drop(sock);
	else if (sock->spare < 0)
		sock->spare = fdtable_dup_if_cheap(sock->fds[0]);
}

void spare_keep(struct sock *sock)
{
	struct spare spare = {sock->spare, sock->file_flags, sock->file_has_nodelay};

	if (spare.fd >= 0 && put(spare, sock->domain))
		sock->spare = -1;
	spare_drop(sock);
}

void spare_drop(struct sock *sock)
{
	spare_flush(sock);
	sock->file_is_spent = true;
	if (sock->spare < 0)
		return;
	fdtable_close_internal(sock->spare);
	sock->spare = -1;
}

bool spare_close_all(void)
{
	bool found = stores[0].n || stores[1].n;

	for (int i = 0; i < 2; i++)
		while (stores[i].n)
			fdtable_close_internal(stores[i].spares[--stores[i].n].fd);
	return found;
}

void spare_forget_all(void)
{
	stores[0].n = 0;
	stores[1].n = 0;
}
