/* setsockopt, getsockopt, getpeername, getsockname, ioctl: the program's view of a socket that may be another one by
 * now. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "shim/base/clock.h"
#include "shim/base/real.h"
#include "shim/base/usermem.h"
#include "shim/connect/dial.h"
#include "shim/connect/fence_ahead.h"
#include "shim/connect/limit.h"
#include "shim/exchange/advance.h"
#include "shim/exchange/after_eof.h"
#include "shim/exchange/enter.h"
#include "shim/exchange/handoff.h"
#include "shim/sock/options.h"
#include "shim/sock/reclaim.h"
#include "shim/sock/sock.h"
#include "shim/sock/spare.h"
#include "shim/sock/transport.h"
#include "shim/wrap/wrap.h"

#define STATE_CLOSE 7
#define STATE_CLOSE_WAIT 8

/* Options whose value points elsewhere, or that change what the socket is. */
static bool is_beyond_us(int level, int name)
{
	if (level == SOL_SOCKET)
		return name == SO_ATTACH_FILTER || name == SO_ATTACH_REUSEPORT_CBPF || name == SO_ZEROCOPY ||
		       name == SO_PEEK_OFF;
	return level == IPPROTO_TCP && (name == TCP_ULP || name == TCP_REPAIR);
}

/* The kernel says no once there is a connection, or one is being dialled. */
static bool is_for_unconnected(int level, int name)
{
	return level == IPPROTO_TCP && name == TCP_FASTOPEN_CONNECT;
}

/* A stub has no TCP behind it. A fresh socket of the same kind with the program's options answers for it, which also
 * finds bad names, lengths and pointers as the kernel does. */
static int ask_fresh(struct sock *sock, int level, int name, const void *set, void *get, socklen_t set_length,
		     socklen_t *get_length)
{
	int fd = reclaim_open_socket(sock->domain, SOCK_STREAM);
	int result, saved;

	if (fd < 0) {
		errno = ENOBUFS;
		return -1;
	}
	/* If that fails its answers are a fresh socket's: the best that is left. */
	if (options_copy_to_fresh(sock, fd))
		errno = 0;
	result = set ? real.setsockopt(fd, level, name, set, set_length)
		     : real.getsockopt(fd, level, name, get, get_length);
	saved = errno;
	real.close(fd);
	errno = saved;
	return result;
}

/* A receive that waits for more than an answer's rest would not be ended by us. */
static bool is_late_low_water(const struct sock *sock, int level, int name, const void *value, socklen_t length)
{
	return level == SOL_SOCKET && name == SO_RCVLOWAT && sock->state == SOCK_OPEN &&
	       protocol_withholds_end(&sock->protocol) && length >= sizeof(int) && guard_readable(value, sizeof(int)) &&
	       *(const int *)value > 1;
}

/* Only effective options count. An option that first needs a change of the open connection is tried on a scratch
 * socket of ours, which refuses the same values. (ENOTCONN: the scratch socket is unconnected.) */
static bool is_refused(struct sock *sock, int level, int name, const void *value, socklen_t length)
{
	int saved = errno;
	bool is_refused = ask_fresh(sock, level, name, value ? value : (const void *)-1, NULL, length, NULL) < 0 &&
			  errno != ENOTCONN && errno != ENOBUFS;

	errno = saved;
	return is_refused;
}

static int set_locked(struct sock *sock, int fd, int level, int name, const void *value, socklen_t length)
{
	int result;

	if (spare_takes_option(sock, level, name, value, length)) {
		options_note_set(sock, level, name, value, length);
		return 0;
	}
	if (sock->state == SOCK_STUB || sock->state == SOCK_WAITING) {
		result = ask_fresh(sock, level, name, value, NULL, length, NULL);
		if (result == 0 && is_for_unconnected(level, name))
			result = FAIL(EINVAL);
		sock->stub_asks_fresh |= result == 0 && socket_options_index(level, name) < 0;
	} else {
		result = real.setsockopt(sock_connection_of(sock, fd), level, name, value, length);
	}
	if (result == 0) {
		options_note_set(sock, level, name, value, length);
		spare_note_option(sock, level, name);
	}
	/* The program's value has been found good, and is remembered; ours goes on. */
	if (result == 0 && options_is_forced(sock, level, name))
		options_force_again(sock, fd, level, name, value);
	return result;
}

EXPORT int setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
	struct sock *sock = fdtable_get(fd) ? exchange_enter(fd) : NULL;
	int result;

	if (!sock) {
		sock_share_with_vfork_child(fd);
		return NATIVE(fd, REAL(setsockopt)(fd, level, name, value, length));
	}
	if (sock->state == SOCK_WAITING)
		limit_check_turn(sock);
	/* The kernel would have the program's keys, which are not the connection's: as one without kernel TLS. */
	if (level == IPPROTO_TCP && name == TCP_ULP && sock_is_translated(sock)) {
		sock_leave(sock);
		return FAIL(ENOENT);
	}
	if (((is_beyond_us(level, name) && sock->state != SOCK_STUB && sock->state != SOCK_NEW) ||
	     is_late_low_water(sock, level, name, value, length)) &&
	    !is_refused(sock, level, name, value, length)) {
		handoff_make_honest(sock);
		sock_untrack(sock, REFUSAL_SOCKOPT);
		sock_leave(sock);
		return real.setsockopt(fd, level, name, value, length);
	}
	result = set_locked(sock, fd, level, name, value, length);
	if (result == 0 && sock->state == SOCK_NEW && is_beyond_us(level, name))
		sock_mark_unfit(sock, REFUSAL_SOCKOPT);
	sock_leave(sock);
	return result;
}

/* The connection that it was lives on in the pool, and knows best; another user's options on it are masked. */
static int ask_parked(struct sock *sock, int level, int name, void *value, socklen_t *length)
{
	struct idle_pool *pool = pool_enter(guard_now_ns());
	struct conn *conn = sock->parked;
	bool was_set_since = sock->stub_asks_fresh && destination_key_has_option(&sock->key, level, name);
	int result = -1;

	if (pool && conn && !was_set_since && conn->state != CONN_FREE && conn->cookie == sock->parked_cookie &&
	    conn->fd >= 0) {
		result = real.getsockopt(conn->fd, level, name, value, length);
		pool_leave();
		if (result == 0)
			options_view(sock, level, name, value, length);
		return result;
	}
	if (pool)
		pool_leave();
	return ask_fresh(sock, level, name, NULL, value, 0, length);
}

static int get_of_stub(struct sock *sock, int fd, int level, int name, void *value, socklen_t *length)
{
	int result;

	if (level == SOL_SOCKET && name == SO_ERROR) {
		result = real.getsockopt(fd, level, name, value, length);
		if (result == 0 && *length == sizeof(int))
			*(int *)value = after_eof_take_error(sock);
		return result;
	}
	result = ask_parked(sock, level, name, value, length);
	if (result == 0 && level == IPPROTO_TCP && name == TCP_INFO && *length)
		((struct tcp_info *)value)->tcpi_state = sock->stub_is_closed ? STATE_CLOSE : STATE_CLOSE_WAIT;
	return result;
}

/* Tried as in is_refused(), on a copy of what it describes. */
static bool takes_zero_copy(struct sock *sock, const void *value, const socklen_t *length)
{
	struct tcp_zerocopy_receive copy = {0};
	socklen_t room = guard_readable(length, sizeof(*length)) ? *length : 0;
	int saved = errno;
	bool takes;

	if (room > sizeof(copy))
		room = sizeof(copy);
	if (!room || !guard_readable(value, room))
		return false;
	memcpy(&copy, value, room);
	takes = ask_fresh(sock, IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, NULL, &copy, 0, &room) == 0 || errno == ENOBUFS;
	errno = saved;
	return takes;
}

/* The error, or the closed state, that a program is about to be told of may be a stale connection's. */
static bool tells_of_end(int level, int name, const void *value, socklen_t length)
{
	if (level == SOL_SOCKET && name == SO_ERROR && length == sizeof(int))
		return *(const int *)value != 0;
	return level == IPPROTO_TCP && name == TCP_INFO && length &&
	       ((const struct tcp_info *)value)->tcpi_state >= STATE_CLOSE;
}

/* A program that neither waits for readiness nor reads meanwhile, but asks until what it sent has been acknowledged,
 * or until something has come, would ask a stale connection for ever. True: it has been replaced. Locked. */
static bool recover_asked(struct sock *sock)
{
	int saved = errno, error = sock_in_window(sock) ? exchange_recover(sock, -1) : -EBUSY;

	errno = saved;
	return error == 0 && sock->state == SOCK_OPEN;
}

static int get_option(struct sock *sock, int fd, int level, int name, void *value, socklen_t *length)
{
	socklen_t room = sock_in_window(sock) && guard_readable(length, sizeof(*length)) ? *length : 0;
	int result = real.getsockopt(sock_connection_of(sock, fd), level, name, value, length);

	if (result < 0 || !room || !tells_of_end(level, name, value, *length) || !recover_asked(sock))
		return result;
	*length = room;
	return real.getsockopt(sock_connection_of(sock, fd), level, name, value, length);
}

EXPORT int getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
	struct sock *sock = fdtable_get(fd) ? exchange_enter(fd) : NULL;
	int result;

	if (!sock) {
		sock_share_with_vfork_child(fd);
		return NATIVE(fd, REAL(getsockopt)(fd, level, name, value, length));
	}
	if (sock->state == SOCK_WAITING)
		limit_check_turn(sock);
	/* TCP_ZEROCOPY_RECEIVE and the like are receives. */
	if (level == IPPROTO_TCP && name == TCP_ZEROCOPY_RECEIVE && sock->state == SOCK_OPEN &&
	    takes_zero_copy(sock, value, length)) {
		handoff_make_honest(sock);
		sock_untrack(sock, REFUSAL_SOCKOPT);
		sock_leave(sock);
		return real.getsockopt(fd, level, name, value, length);
	}
	spare_flush(sock);
	if (sock->state == SOCK_STUB)
		result = get_of_stub(sock, fd, level, name, value, length);
	else if (sock->state == SOCK_WAITING && !(level == SOL_SOCKET && name == SO_ERROR))
		result = ask_fresh(sock, level, name, NULL, value, 0, length);
	else
		result = get_option(sock, fd, level, name, value, length);
	if (result == 0 && level == SOL_SOCKET && name == SO_ERROR && *length == sizeof(int) && *(int *)value)
		events_dial_done(sock, *(int *)value);
	if (result == 0 && options_is_forced(sock, level, name))
		options_view(sock, level, name, value, length);
	if (result == 0)
		dial_mask_option(level, name, value, length);
	sock_leave(sock);
	return result;
}

/* As the kernel fills in an address: up to the room given, then its true length. EFAULT as the kernel finds it. */
static int give_address(int fd, const struct sockaddr_in6 *from, socklen_t from_length, struct sockaddr *address,
			socklen_t *length)
{
	/* The stub's own call proves the pointers, and fails as the kernel's does where they are bad. */
	socklen_t room = guard_readable(length, sizeof(*length)) ? *length : 0;

	if (real.getsockname(fd, address, length) < 0)
		return -1;
	memcpy(address, from, room < from_length ? room : from_length);
	*length = from_length;
	return 0;
}

EXPORT int getpeername(int fd, struct sockaddr *address, socklen_t *length)
{
	struct sock *sock = fdtable_get(fd) ? exchange_enter(fd) : NULL;
	int result;

	if (!sock)
		return NATIVE(fd, REAL(getpeername)(fd, address, length));
	if (sock->state == SOCK_WAITING)
		limit_check_turn(sock);
	if (sock->state == SOCK_WAITING || (sock->state == SOCK_STUB && sock->stub_is_closed))
		result = FAIL(ENOTCONN);
	else if (sock->state == SOCK_STUB)
		result = give_address(fd, &sock->peer, sock->name_length, address, length);
	else
		result = real.getpeername(sock_connection_of(sock, fd), address, length);
	sock_leave(sock);
	return result;
}

EXPORT int getsockname(int fd, struct sockaddr *address, socklen_t *length)
{
	struct sock *sock = fdtable_get(fd) ? exchange_enter(fd) : NULL;
	struct sockaddr_in6 unbound;
	int result;

	if (!sock)
		return NATIVE(fd, REAL(getsockname)(fd, address, length));
	if (sock->state == SOCK_WAITING)
		limit_check_turn(sock);
	if (sock->state == SOCK_STUB)
		result = give_address(fd, &sock->local, sock->name_length, address, length);
	else if (sock->state == SOCK_WAITING)
		result = give_address(fd, &unbound, destination_key_local(&sock->key, &unbound), address, length);
	else
		result = real.getsockname(sock_connection_of(sock, fd), address, length);
	/* A port that was given by bind(), and may be told to others. */
	if (result == 0 && sock->state == SOCK_NEW && sock->key.is_bound && *length >= sizeof(struct sockaddr_in))
		sock_mark_unfit(sock, REFUSAL_SOCKOPT);
	sock_leave(sock);
	return result;
}

static void note_request(int fd, unsigned long request, const void *argument)
{
	struct sock *sock;

	if (request != FIONBIO && request != FIOASYNC && request != FIOSETOWN && request != SIOCSPGRP &&
	    request != FIOCLEX && request != FIONCLEX)
		return;
	sock = exchange_enter(fd);
	if (!sock)
		return;
	if (request == FIONBIO) {
		sock->status_flags &= ~O_NONBLOCK;
		sock->status_flags |= *(const int *)argument ? O_NONBLOCK : 0;
		sock->file_flags = sock->status_flags;
	} else if (request == FIOCLEX || request == FIONCLEX) {
		sock_note_close_on_exec(sock, fd, request == FIOCLEX ? SOCK_CLOSES_ON_EXEC : SOCK_STAYS_OPEN);
	} else {
		spare_drop(sock);
		sock_mark_unfit(sock, REFUSAL_SOCKOPT);
	}
	sock_leave(sock);
}

/* Requests about the file go to the stub; all others go to a fresh socket of the right kind: the queues of a connection
 * at its end are as empty. The queues of a placeholder are hidden from the program. */
static int request_locked(struct sock *sock, int fd, unsigned long request, void *argument)
{
	int fresh, result;

	if (sock->state == SOCK_WAITING)
		limit_check_turn(sock);
	/* Signals for readiness can't be moved from one file to another. What the placeholder refuses any file
	 * would. */
	if (sock->state == SOCK_WAITING && (request == FIOASYNC || request == FIOSETOWN || request == SIOCSPGRP) &&
	    real.ioctl(fd, request, argument) == 0)
		limit_let_through(sock);
	if ((sock->state != SOCK_STUB && sock->state != SOCK_WAITING) || request == FIONBIO || request == FIOASYNC ||
	    request == FIOCLEX || request == FIONCLEX || request == FIOSETOWN || request == SIOCSPGRP ||
	    request == FIOGETOWN || request == SIOCGPGRP ||
	    (request == FIONREAD && (atomic_load(&sock->is_shared) || sock->stub_has_words)))
		return real.ioctl(fd, request, argument);
	fresh = reclaim_open_socket(sock->domain, SOCK_STREAM);
	if (fresh < 0)
		return real.ioctl(fd, request, argument);
	result = real.ioctl(fresh, request, argument);
	real.close(fresh);
	return result;
}

/* As a connection's whose server may be silent because it is gone. */
static bool tells_of_silence(unsigned long request, const void *argument)
{
	switch (request) {
	case FIONREAD:
		return *(const int *)argument == 0;
	case SIOCOUTQ:
	case SIOCOUTQNSD:
		return *(const int *)argument > 0;
	default:
		return false;
	}
}

static int request_and_recover(struct sock *sock, int fd, unsigned long request, void *argument)
{
	bool in_window = sock_in_window(sock);
	int result = request_locked(sock, fd, request, argument);

	if (result == 0 && in_window && tells_of_silence(request, argument) && recover_asked(sock))
		result = real.ioctl(fd, request, argument);
	return result;
}

static int request_tracked(int fd, unsigned long request, void *argument)
{
	struct sock *sock = exchange_enter(fd);
	int result;

	if (!sock) {
		sock_share_with_vfork_child(fd);
		return real.ioctl(fd, request, argument);
	}
	if (__builtin_expect(sock->awaits_fence, 0))
		fence_ahead_look(sock);
	/* Any but the one that changes what is only remembered. */
	if (request != FIONBIO)
		spare_flush(sock);
	result = request_and_recover(sock, fd, request, argument);
	if (__builtin_expect(sock->transport != NULL, 0) && request == FIONREAD && result >= 0)
		*(int *)argument += sock->transport->unread(sock);
	sock_leave(sock);
	if (result >= 0)
		note_request(fd, request, argument);
	return result;
}

EXPORT int ioctl(int fd, ioctl_request request, ...)
{
	va_list arguments;
	void *argument;

	va_start(arguments, request);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	if (__builtin_expect(!fdtable_get(fd), 1))
		return REAL(ioctl)(fd, request, argument);
	if (fdtable_is_internal(fd))
		return FAIL(EBADF);
	return request_tracked(fd, request, argument);
}
