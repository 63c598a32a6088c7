/* See reclaim.h. */
#include "shim/sock/reclaim.h"

#include <errno.h>

#include "pool/idle.h"
#include "shim/base/alone.h"
#include "shim/base/clock.h"
#include "shim/base/fdtable.h"
#include "shim/base/home.h"
#include "shim/base/log.h"
#include "shim/base/real.h"
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

static bool move(int *ours, int fd)
{
	if (*ours != fd)
		return false;
	*ours = fdtable_dup_high(fd);
	return true;
}

/* Moves the descriptor that stands at `fd`, if it belongs to this socket. */
static bool move_if_of(int socket_fd, int fd)
{
	struct sock *sock = sock_enter(socket_fd);
	bool is_moved;

	if (!sock)
		return false;
	is_moved = (sock->conn && move(&sock->conn->fd, fd)) || move(&sock->spare, fd) || move(&sock->stub.end, fd) ||
		   move(&sock->stub.peer, fd);
	sock_leave(sock);
	return is_moved;
}

/* Nothing records the owner of such a descriptor, since this hardly ever happens: idle connections go, and what is in
 * use is looked through. */
static bool move_away(int fd)
{
	bool is_moved;

	reclaim_idle();
	if (!fdtable_is_internal(fd))
		return true;
	is_moved = broker_link_move(fd);
	for (int other = 0; !is_moved && other < fdtable_end(); other++)
		if (fdtable_get(other) && !fdtable_is_internal(other))
			is_moved = move_if_of(other, fd);
	if (is_moved)
		fdtable_close_internal(fd);
	return is_moved;
}

/* Another thread that is in the midst of a connect has it nowhere but in a variable, for a moment. */
void reclaim_number(int fd)
{
	bool is_moved = false;

	if (!fdtable_is_internal(fd) || !guard_is_home())
		return;
	fdtable_note_contest(fd);
	log_move(fd);
	is_moved = move_away(fd);
	for (unsigned step = 0; !is_moved && !is_alone() && guard_wait(step); step++)
		is_moved = move_away(fd);
	if (!is_moved)
		fdtable_close_internal(fd);
}
