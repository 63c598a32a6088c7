/* See listen.h. */
#include "shim/connect/listen.h"

#include <errno.h>
#include <stdatomic.h>

#include "shim/base/home.h"
#include "shim/base/large.h"
#include "shim/base/real.h"
#include "shim/sock/sock.h"

/* Ports that this process listens on. A thread of it may wait for the end of a connection that we would keep, and a
 * server under test is to see what its client does. A bit a port; set and never cleared. */
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

/* Listeners of a program that has made no connection yet, and may never make one: their ports are asked for when it
 * does. One that was closed meanwhile is no listener any more. */
#define LISTENERS_MAX 64
static LARGE _Atomic(int) listeners[LISTENERS_MAX]; /* 1 + the descriptor */
static _Atomic(unsigned) n_listeners;

void listen_note(int fd)
{
	unsigned index = n_listeners;

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

static bool is_own_port(in_port_t port)
{
	return has_own_ports && own_ports[ntohs(port) / 64] >> ntohs(port) % 64 & 1;
}

/* An address of another machine: to no such can be bound (bind(2)). */
static bool is_elsewhere(const struct destination_key *key)
{
	struct sockaddr_in6 address;
	socklen_t length = destination_key_peer(key, &address);
	bool is_elsewhere = false;
	int saved = errno, fd = REAL(socket)(address.sin6_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	address.sin6_port = 0;
	if (fd >= 0) {
		is_elsewhere = REAL(bind)(fd, (struct sockaddr *)&address, length) < 0 && errno == EADDRNOTAVAIL;
		real.close(fd);
	}
	errno = saved;
	return is_elsewhere;
}

bool listen_is_own(const struct destination_key *key)
{
	return is_own_port(key->port) && !is_elsewhere(key);
}
