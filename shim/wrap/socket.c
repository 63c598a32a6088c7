/* socket, bind, listen: where a socket begins to be followed. */
#include <errno.h>
#include <netinet/in.h>

#include "shim/base/home.h"
#include "shim/base/lock.h"
#include "shim/base/real.h"
#include "shim/base/usermem.h"
#include "shim/connect/listen.h"
#include "shim/exchange/enter.h"
#include "shim/process/init.h"
#include "shim/sock/identity.h"
#include "shim/sock/reclaim.h"
#include "shim/sock/sock.h"
#include "shim/sock/spare.h"
#include "shim/wrap/wrap.h"

EXPORT int socket(int domain, int type, int protocol)
{
	int type_flags = type & (SOCK_NONBLOCK | SOCK_CLOEXEC);
	bool is_tcp = (domain == AF_INET || domain == AF_INET6) && (type ^ type_flags) == SOCK_STREAM &&
		      (protocol == 0 || protocol == IPPROTO_TCP) && !sock_is_retired && init_is_done() &&
		      guard_is_home();
	uintptr_t outer = guard_begin_handling();
	struct spare spare = {.fd = -1};
	int saved = errno, fd;

	if (is_tcp && identity_is_steady())
		spare = spare_take(domain);
	fd = spare.fd >= 0 ? spare_duplicate(&spare, type_flags) : REAL(socket)(domain, type, protocol);

	if (fd < 0 && spare.fd >= 0) {
		fdtable_close_internal(spare.fd);
		spare.fd = -1;
	}
	if (fd < 0 && errno == EMFILE && is_tcp && reclaim_idle())
		fd = REAL(socket)(domain, type, protocol);
	if (fd >= 0 && is_tcp)
		sock_track(fd, domain, type_flags, spare.fd >= 0 ? &spare : NULL);
	else if (fd >= 0 && fdtable_get(fd))
		fdtable_set(fd, NULL);
	guard_end_handling(outer);
	if (fd >= 0)
		errno = saved;
	return fd;
}

EXPORT int bind(int fd, const struct sockaddr *address, socklen_t length)
{
	struct sock *sock = exchange_enter(fd);
	int result, saved;

	if (!sock)
		return NATIVE(fd, REAL(bind)(fd, address, length));
	spare_drop(sock);
	/* A stub could be bound, to a path; to anything else it says no as a bound socket does. */
	if (sock->state == SOCK_STUB && length >= (socklen_t)sizeof(struct sockaddr_in) &&
	    guard_readable(address, sizeof(address->sa_family)) && address->sa_family == AF_UNIX)
		result = FAIL(EAFNOSUPPORT);
	else
		result = real.bind(fd, address, length);
	saved = errno;
	if (result == 0 && sock->state == SOCK_NEW && destination_key_set_local(&sock->key, address, length))
		/* A port of its own choice: the program wants this very socket. */
		sock_mark_unfit(sock, REFUSAL_SOCKOPT);
	sock_leave(sock);
	errno = saved;
	return result;
}

/* A server's: none of our business. */
EXPORT int listen(int fd, int backlog)
{
	struct sock *sock = fdtable_get(fd) ? exchange_enter(fd) : NULL;
	int result;

	if (!sock && fdtable_is_internal(fd))
		return FAIL(EBADF);
	result = REAL(listen)(fd, backlog);
	if (sock && result == 0 && sock->state == SOCK_NEW)
		sock_untrack(sock, REFUSAL_POLICY);
	if (sock)
		sock_leave(sock);
	if (result == 0 && !init_is_off())
		listen_note(fd);
	return result;
}
