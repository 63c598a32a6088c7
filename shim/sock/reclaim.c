/* See reclaim.h. */
#include "shim/sock/reclaim.h"

#include <errno.h>

#include "pool/idle.h"
#include "shim/base/clock.h"
#include "shim/base/fdtable.h"
#include "shim/base/home.h"
#include "shim/base/log.h"
#include "shim/kept/broker_link.h"
#include "shim/kept/pool.h"
#include "shim/sock/sock.h"
#include "shim/sock/spare.h"
#include "shim/sock/stub.h"

/* Of sockets that are not connected yet. */
static bool drop_spares(void)
{
	bool found = false;

	for (int fd = 0, end = fdtable_end(); fd < end; fd++) {
		struct sock *sock = fdtable_get_sock(fd);

		/* The caller may hold one of them. */
		if (!sock || guard_lock_is_own(&sock->lock) || !(sock = sock_enter(fd)))
			continue;
		found |= sock->spare >= 0;
		spare_drop(sock);
		sock_leave(sock);
	}
	return found;
}

bool reclaim_idle(void)
{
	struct idle_pool *pool = pool_enter(guard_now_ns());
	bool found;

	if (!pool)
		return false;
	found = pool->n_idle > 0;
	idle_pool_let_go(pool);
	found |= stub_close_all();
	found |= spare_close_all();
	pool_leave();
	return drop_spares() || found;
}

int reclaim_open_socket(int domain, int type)
{
	int fd = fdtable_open_socket(domain, type);

	return fd == -EMFILE && reclaim_idle() ? fdtable_open_socket(domain, type) : fd;
}

static void move(int *ours, int fd)
{
	if (*ours == fd)
		*ours = fdtable_dup_high(fd);
}

/* Moves the descriptor that stands at `fd`, if it belongs to this socket. */
static void move_if_of(int socket_fd, int fd)
{
	struct sock *sock = sock_enter(socket_fd);

	if (!sock)
		return;
	if (sock->conn)
		move(&sock->conn->fd, fd);
	move(&sock->spare, fd);
	move(&sock->stub.end, fd);
	move(&sock->stub.peer, fd);
	sock_leave(sock);
}

void reclaim_number(int fd)
{
	int end = fdtable_end();

	if (!fdtable_is_internal(fd) || !guard_is_home())
		return;
	/* Nothing records the owner of such a descriptor, since this hardly ever happens: idle connections go, and
	 * what is in use is looked through. */
	reclaim_idle();
	if (!fdtable_is_internal(fd))
		return;
	log_move(fd);
	broker_link_move(fd);
	for (int other = 0; other < end; other++)
		if (fdtable_get(other) && !fdtable_is_internal(other))
			move_if_of(other, fd);
	fdtable_close_internal(fd);
}
