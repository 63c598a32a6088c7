/* listen: ports that this process serves. See listen.h. */
#include "shim/connect/listen.h"

#include <errno.h>
#include <stdatomic.h>

#include "shim/base/large.h"
#include "shim/base/real.h"
#include "shim/process/init.h"
#include "shim/sock/sock.h"
#include "shim/wrap/wrap.h"

/* Ports that this process listens on. A thread of it may wait for the end of a connection that we would keep, and a server
 * under test is to see what its client does. A bit a port; set and never cleared. */
static LARGE _Atomic(uint64_t) own_ports[65536 / 64];

static _Atomic(bool) has_own_ports; /* most programs have none, and need not look at the page */

static void note_own_port(int fd)
{
	struct destination_key key = {0};
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);
	int saved = errno;

	if (REAL(getsockname)(fd, (struct sockaddr *)&address, &length) == 0 &&
	    destination_key_set_peer(&key, (struct sockaddr *)&address, length) == 0) {
		atomic_fetch_or(&own_ports[ntohs(key.port) / 64], UINT64_C(1) << ntohs(key.port) % 64);
		has_own_ports = true;
	}
	errno = saved;
}

/* Listeners of a program that has made no connection yet, and may never make one: their ports are asked for when it does. One
 * that was closed meanwhile is no listener any more. */
#define LISTENERS_MAX 64
static _Atomic(int) listeners[LISTENERS_MAX]; /* 1 + the descriptor */
static _Atomic(unsigned) n_listeners;

static void note_listener(int fd)
{
	unsigned index = n_listeners;

	if (init_is_off())
		return;
	if (guard_is_home() || index >= LISTENERS_MAX)
		note_own_port(fd);
	else
		listeners[n_listeners++ % LISTENERS_MAX] = fd + 1;
}

static bool is_listening(int fd)
{
	int value = 0;
	socklen_t length = sizeof(value);

	return real.getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &length) == 0 && value;
}

void listen_note_all(void)
{
	for (unsigned i = 0; i < n_listeners && i < LISTENERS_MAX; i++)
		if (is_listening(listeners[i] - 1))
			note_own_port(listeners[i] - 1);
}

bool listen_is_own_port(in_port_t port)
{
	return has_own_ports && own_ports[ntohs(port) / 64] >> ntohs(port) % 64 & 1;
}

/* A server's: none of our business. */
EXPORT int listen(int fd, int backlog)
{
	struct sock *sock = fdtable_get(fd) ? sock_enter(fd) : NULL;
	int result;

	if (!sock && fdtable_is_internal(fd))
		return errno = EBADF, -1;
	result = REAL(listen)(fd, backlog);
	if (sock && result == 0 && sock->state == SOCK_NEW)
		sock_release(sock, REFUSAL_POLICY);
	else if (sock)
		sock_leave(sock);
	if (result == 0)
		note_listener(fd);
	return result;
}
