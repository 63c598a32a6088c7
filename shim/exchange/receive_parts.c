/* See receive_parts.h. */
#include "shim/exchange/receive_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "shim/base/clock.h"
#include "shim/base/cookie.h"
#include "shim/base/real.h"
#include "shim/exchange/enter.h"
#include "shim/sock/options.h"
#include "shim/sock/sock.h"

static uint32_t generation_of(const struct sock *sock)
{
	return (uint32_t)(atomic_load(&sock->inside) >> 32);
}

void receive_parts_begin(struct receive_parts *parts, const struct sock *sock, int fd, int flags)
{
	*parts = (struct receive_parts){
		.fd = fd,
		.sock = sock,
		.generation = generation_of(sock),
		.cookie = cookie_of(fd),
		.may_wait = !(flags & MSG_DONTWAIT) && !(sock->status_flags & O_NONBLOCK),
		.timeout_ns = options_timeout_ns(sock, SOCKET_OPTION_RCVTIMEO),
	};
	receive_parts_restart_timeout(parts);
}

void receive_parts_restart_timeout(struct receive_parts *parts)
{
	parts->deadline = deadline_after(guard_clock_ns(), parts->timeout_ns);
}

static bool is_same(const struct receive_parts *parts)
{
	if (fdtable_get(parts->fd) == parts->sock && generation_of(parts->sock) == parts->generation)
		return true;
	return cookie_of(parts->fd) == parts->cookie;
}

/* An end that was put off is to be found by who waits for it. */
static void make_end_of_file(int fd)
{
	struct sock *sock = exchange_enter(fd);

	if (sock)
		sock_leave(sock);
}

static int time_left(const struct receive_parts *parts)
{
	return parts->may_wait ? deadline_left_ms(parts->deadline, guard_clock_ns()) : 0;
}

/* An error comes behind the bytes that came before it, and is for a call that finds none. */
static bool is_broken(int fd, short events)
{
	int n = 0;

	return (events & (POLLERR | POLLNVAL)) && (real.ioctl(fd, FIONREAD, &n) < 0 || n <= 0);
}

bool receive_parts_go_on(const struct receive_parts *parts)
{
	struct pollfd entry = {.fd = parts->fd, .events = POLLIN};
	int saved = errno;
	bool goes_on;

	make_end_of_file(parts->fd);
	/* Which no signal's handler restarts. */
	goes_on = is_same(parts) && REAL(poll)(&entry, 1, time_left(parts)) > 0 && is_same(parts) &&
		  !is_broken(parts->fd, entry.revents);
	errno = saved;
	return goes_on;
}
