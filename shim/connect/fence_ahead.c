/* See fence_ahead.h. */
#include "shim/connect/fence_ahead.h"

#include <errno.h>

#include "shim/base/home.h"
#include "shim/sock/options.h"
#include "shim/sock/sock.h"

#define SETTLE_TRIES 4

enum fence_result fence_ahead_look(struct sock *sock)
{
	int saved = errno;
	enum fence_result result = FENCE_WRONG;

	if (sock->conn)
		result = fence_take_answer(sock->conn);
	if (result == FENCE_GOOD)
		sock->awaits_fence = false;
	/* What is left of the answer is shorter, or there is nothing left. */
	if (result != FENCE_WRONG && !options_hide(sock, fence_n_awaited(&sock->conn->fence)))
		sock_mark_unfit(sock, REFUSAL_SOCKOPT);
	errno = saved;
	return result;
}

/* A vfork child sees its parent's. */
bool fence_ahead_settle(struct sock *sock)
{
	enum fence_result result = FENCE_AWAITED;
	int saved = errno;

	for (int i = 0; i < SETTLE_TRIES && result == FENCE_AWAITED && guard_is_home(); i++) {
		result = fence_ahead_look(sock);
		if (result == FENCE_AWAITED && options_hide(sock, 0))
			fence_wait(sock->fds[0], fence_patience_ns(sock->conn, true));
	}
	errno = saved;
	return result == FENCE_GOOD;
}
