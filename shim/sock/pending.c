/* See pending.h. */
#include "shim/sock/pending.h"

#include <errno.h>

#include "shim/base/lock.h"
#include "shim/sock/sock.h"
#include "shim/sock/transport.h"

_Atomic(unsigned) pending_n;
__thread bool pending_is_awaited __attribute__((tls_model("initial-exec")));

/* A thread that is cancelled there, or leaves by longjmp, stays counted: then all threads block. */
static _Atomic(unsigned) n_asleep;

/* Either a thread that falls asleep sees what is pending, or who makes that sees the thread. */
bool pending_fall_asleep(void)
{
	atomic_fetch_add(&n_asleep, 1);
	if (!atomic_load(&pending_n))
		return true;
	pending_wake();
	return false;
}

/* A child of fork may come back from where its parent was counted. */
static void count_down(_Atomic(unsigned) *n)
{
	unsigned old = atomic_load(n);

	while (old && !atomic_compare_exchange_weak(n, &old, old - 1))
		;
}

void pending_wake(void)
{
	count_down(&n_asleep);
}

bool pending_take(void)
{
	atomic_fetch_add(&pending_n, 1);
	if (!atomic_load(&n_asleep))
		return true;
	pending_drop();
	return false;
}

void pending_drop(void)
{
	count_down(&pending_n);
}

void pending_forget_all(void)
{
	atomic_store(&pending_n, 0);
	atomic_store(&n_asleep, 0);
}

/* A thread that interrupted itself, or another one, has it locked: they see to it. */
static bool is_busy(struct sock *sock)
{
	if (!guard_lock_try_now(&sock->lock))
		return true;
	guard_unlock(&sock->lock);
	return false;
}

void pending_push(void)
{
	int saved = errno;

	for (int fd = 0, end = fdtable_end(); fd < end && pending_any(); fd++) {
		struct sock *sock = fdtable_get_sock(fd);

		if (!sock || !sock->transport || is_busy(sock) || !(sock = sock_enter(fd)))
			continue;
		if (sock->transport && sock->transport->push)
			sock->transport->push(sock->transport, fd);
		sock_leave(sock);
	}
	errno = saved;
}
