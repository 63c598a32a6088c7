/* See sock.h: who is inside a call on a socket that may block. */
#include <stdatomic.h>

#include "shim/base/lock.h"
#include "shim/sock/sock.h"

#define GATE 0x80000000u

struct inside_token sock_go_inside(struct sock *sock)
{
	uint64_t inside = atomic_load(&sock->inside);

	/* A swap takes microseconds; a handler that interrupted it must not wait for it. */
	for (unsigned step = 0; (inside & GATE) && !guard_lock_is_own(&sock->lock) &&
				guard_wait_for(&sock->inside, (uint32_t)inside, step);
	     step++)
		inside = atomic_load(&sock->inside);
	inside = atomic_fetch_add(&sock->inside, 1);
	return (struct inside_token){sock, (uint32_t)(inside >> 32)};
}

bool sock_close_gate(struct sock *sock)
{
	uint64_t nobody = atomic_load(&sock->inside) >> 32 << 32;

	return atomic_compare_exchange_strong(&sock->inside, &nobody, nobody | GATE);
}

void sock_open_gate(struct sock *sock)
{
	atomic_fetch_and(&sock->inside, ~(uint64_t)GATE);
	guard_wake(&sock->inside);
}

bool sock_come_out(struct inside_token token)
{
	uint64_t inside = atomic_load(&token.sock->inside);

	do {
		if (inside >> 32 != token.generation || !((uint32_t)inside & ~GATE))
			return false;
	} while (!atomic_compare_exchange_weak(&token.sock->inside, &inside, inside - 1));
	return true;
}

unsigned sock_n_inside(const struct sock *sock)
{
	return (uint32_t)atomic_load(&sock->inside) & ~GATE;
}
