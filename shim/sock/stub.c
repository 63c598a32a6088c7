/* See stub.h. */
#include "shim/sock/stub.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "shim/base/clock.h"
#include "shim/base/fdtable.h"
#include "shim/base/large.h"
#include "shim/base/real.h"
#include "shim/sock/sock.h"

#define STORE_SIZE 64

static LARGE struct stub store[STORE_SIZE];
static unsigned n_stored;

/* Peers of stubs that others may still hold: a ring, the oldest gives way. 0: none, a number that a peer never has. */
#define ABANDONED_SIZE 64
static LARGE int abandoned[ABANDONED_SIZE];
static unsigned next_abandoned;

bool stub_open_pair(struct stub *stub)
{
	int pair[2];

	if (libc.socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return false;
	stub->end = fdtable_move_high(pair[0]);
	stub->peer = fdtable_move_high(pair[1]);
	stub->status_flags = O_RDWR;
	if (stub->end >= 0 && stub->peer >= 0)
		return true;
	stub_close_pair(stub);
	return false;
}

void stub_close_pair(struct stub *stub)
{
	if (stub->end >= 0)
		fdtable_close_internal(stub->end);
	if (stub->peer >= 0)
		fdtable_close_internal(stub->peer);
	*stub = (struct stub){-1, -1, 0};
}

bool stub_make_with(struct stub *stub, const char *bytes, size_t length)
{
	if (!stub_open_pair(stub))
		return false;
	if (real.send(stub->peer, bytes, length, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)length &&
	    real.shutdown(stub->peer, SHUT_WR) == 0)
		return true;
	stub_close_pair(stub);
	return false;
}

static bool make(struct stub *stub)
{
	if (!stub_open_pair(stub))
		return false;
	if (real.shutdown(stub->end, SHUT_RD) == 0)
		return true;
	stub_close_pair(stub);
	return false;
}

bool stub_take(struct stub *stub)
{
	bool found = false;

	if (!pool_enter(guard_now_ns()))
		return false;
	if (n_stored) {
		*stub = store[--n_stored];
		found = true;
	}
	pool_leave();
	return found || make(stub);
}

void stub_put(struct stub *stub, bool is_clean)
{
	int error = errno;

	if (stub->end < 0)
		return;
	if (is_clean && pool_enter(guard_now_ns())) {
		if (n_stored < STORE_SIZE) {
			store[n_stored++] = *stub;
			*stub = (struct stub){-1, -1, 0};
		}
		pool_leave();
	}
	stub_close_pair(stub);
	errno = error;
}

void stub_abandon(struct stub *stub)
{
	int oldest = stub->peer;

	if (stub->end < 0)
		return;
	fdtable_close_internal(stub->end);
	if (pool_enter(guard_now_ns())) {
		oldest = abandoned[next_abandoned];
		abandoned[next_abandoned] = stub->peer;
		next_abandoned = (next_abandoned + 1) % ABANDONED_SIZE;
		pool_leave();
	}
	if (oldest > 0)
		fdtable_close_internal(oldest);
	*stub = (struct stub){-1, -1, 0};
}

bool stub_set_flags(struct stub *stub, int status_flags)
{
	if (stub->status_flags != status_flags && real.fcntl(stub->end, F_SETFL, status_flags) < 0)
		return false;
	stub->status_flags = status_flags;
	return true;
}

bool stub_close_all(void)
{
	bool found = n_stored > 0;

	for (unsigned i = 0; i < ABANDONED_SIZE; i++) {
		if (abandoned[i] > 0)
			fdtable_close_internal(abandoned[i]);
		abandoned[i] = 0;
	}
	while (n_stored)
		stub_close_pair(&store[--n_stored]);
	return found;
}

void stub_forget_all(void)
{
	n_stored = 0;
	for (unsigned i = 0; i < ABANDONED_SIZE; i++)
		abandoned[i] = 0;
}
