/* See fence_ahead.h. */
#include "shim/connect/fence_ahead.h"

#include <errno.h>

#include "pool/base/clock.h"
#include "pool/conn/ending.h"
#include "shim/base/clock.h"
#include "shim/base/home.h"
#include "shim/base/real.h"
#include "shim/sock/options.h"
#include "shim/sock/sock.h"

#define SETTLE_STEP_NS (50 * MILLISECOND_NS)

enum fence_result fence_ahead_look(struct sock *sock)
{
	int saved = errno;
	enum fence_result result = FENCE_WRONG;

	if (sock->conn)
		result = fence_take_answer(sock->conn, sock->conn->fd >= 0 ? sock->conn->fd : sock->fds[0]);
	if (result == FENCE_GOOD)
		sock->awaits_fence = false;
	/* The rest of the answer is shorter, or there is none. */
	if (result != FENCE_WRONG && !options_hide(sock, fence_n_awaited(&sock->conn->fence)))
		sock_mark_unfit(sock, REFUSAL_SOCKOPT);
	errno = saved;
	return result;
}

void fence_ahead_end(struct sock *sock)
{
	real.shutdown(sock->fds[0], SHUT_RDWR);
	ending_drain(&sock_pool_sys, sock->fds[0]);
	sock->awaits_fence = false;
}

/* Only a process without threads is given such a connection: hardly anybody else waits for the lock. A vfork child,
 * which sees its parent's, finds it settled. */
void fence_ahead_settle_by(struct sock *sock, uint64_t end_ns)
{
	enum fence_result result;
	int saved = errno;

	if (!guard_is_home())
		return;
	while ((result = fence_ahead_look(sock)) == FENCE_AWAITED && guard_clock_ns() < end_ns)
		if (options_hide(sock, 0))
			fence_wait(sock->fds[0], SETTLE_STEP_NS);
	if (result != FENCE_GOOD)
		fence_ahead_end(sock);
	errno = saved;
}

void fence_ahead_settle(struct sock *sock)
{
	fence_ahead_settle_by(sock, guard_clock_ns() + FENCE_SETTLE_NS);
}
