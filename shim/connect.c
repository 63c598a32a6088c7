/* socket, connect, bind: where a socket begins to be followed, and where a kept connection takes a dial's place. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "shim/lease.h"
#include "shim/export.h"
#include "shim/log.h"
#include "shim/real.h"
#include "shim/sock.h"

EXPORT int socket(int domain, int type, int protocol)
{
	int fd = REAL(socket)(domain, type, protocol);
	bool is_tcp = (domain == AF_INET || domain == AF_INET6) &&
		      (type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC)) == SOCK_STREAM &&
		      (protocol == 0 || protocol == IPPROTO_TCP);

	if (fd >= 0 && is_tcp && sock_config) {
		int saved = errno;

		sock_track(fd, domain);
		errno = saved;
	}
	return fd;
}

EXPORT int bind(int fd, const struct sockaddr *address, socklen_t length)
{
	struct sock *sock = sock_enter(fd);
	int result, saved;

	if (!sock)
		return fdtable_is_internal(fd) ? errno = EBADF, -1 : REAL(bind)(fd, address, length);
	result = real.bind(fd, address, length);
	saved = errno;
	if (result == 0 && sock->state == SOCK_NEW && destination_key_set_local(&sock->key, address, length)) {
		/* A port of its own choice: the program wants this very socket. */
		sock_release(sock, REFUSAL_SOCKOPT);
	} else {
		sock_leave(sock);
	}
	errno = saved;
	return result;
}

/* Everything that must be equal for another connection to serve instead. */
static bool complete_key(struct sock *sock, int fd, const struct sockaddr *address, socklen_t length)
{
	socklen_t cookie_length = sizeof(sock->key.netns_cookie);

	if (length < (socklen_t)sizeof(address->sa_family) || length > (socklen_t)sizeof(struct sockaddr_storage) ||
	    !guard_readable(address, length))
		return false;
	if (address->sa_family != sock->domain || destination_key_set_peer(&sock->key, address, length))
		return false;
#ifdef SO_NETNS_COOKIE
	if (real.getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &sock->key.netns_cookie, &cookie_length) < 0)
		sock->key.netns_cookie = 0;
#endif
	sock->key.euid = geteuid();
	return sock->key.port != 0;
}

/* A number whose socket was closed where no wrapper could see it may be another file by now. */
static bool is_unconnected(int fd)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);

	return real.getpeername(fd, (struct sockaddr *)&address, &length) < 0 && errno == ENOTCONN;
}

static int dial(struct sock *sock, int fd, const struct sockaddr *address, socklen_t length)
{
	struct inside_token token = sock_go_inside(sock);
	int result, saved;

	/* Unlocked: it may block, and a handler may longjmp out of it. */
	sock_leave(sock);
	result = real.connect(fd, address, length);
	saved = errno;
	sock_come_out(token);
	if (result == 0 || saved == EINPROGRESS || saved == EINTR) {
		sock = sock_enter(fd);
		if (sock && sock->state == SOCK_NEW)
			lease_follow_dial(sock);
		else if (sock)
			sock_leave(sock);
	}
	errno = saved;
	return result;
}

static int connect_new(struct sock *sock, int fd, const struct sockaddr *address, socklen_t length)
{
	int saved = errno;

	if (sock->cannot_keep || !complete_key(sock, fd, address, length)) {
		sock_release(sock, REFUSAL_SOCKOPT);
		return real.connect(fd, address, length);
	}
	if (!is_unconnected(fd) || !lease_take(sock)) {
		errno = saved;
		return dial(sock, fd, address, length);
	}
	/* Natively a non-blocking connect never returns 0 at once. */
	sock->reports_connected = real.fcntl(fd, F_GETFL) & O_NONBLOCK;
	errno = sock->reports_connected ? EINPROGRESS : saved;
	saved = sock->reports_connected ? -1 : 0;
	sock_leave(sock);
	return saved;
}

static bool is_disconnect(const struct sockaddr *address, socklen_t length)
{
	return length >= (socklen_t)sizeof(address->sa_family) && guard_readable(address, sizeof(address->sa_family)) &&
	       address->sa_family == AF_UNSPEC;
}

EXPORT int connect(int fd, const struct sockaddr *address, socklen_t length)
{
	struct sock *sock = sock_enter(fd);

	if (!sock)
		return fdtable_is_internal(fd) ? errno = EBADF, -1 : REAL(connect)(fd, address, length);
	if (sock->state == SOCK_NEW)
		return connect_new(sock, fd, address, length);
	if (sock->state == SOCK_STUB) {
		sock_leave(sock);
		errno = EISCONN;
		return -1;
	}
	if (is_disconnect(address, length)) {
		sock_release(sock, REFUSAL_SOCKOPT);
		return real.connect(fd, address, length);
	}
	if (sock->reports_connected) {
		sock->reports_connected = false;
		sock_leave(sock);
		return 0;
	}
	sock_leave(sock);
	return real.connect(fd, address, length);
}
