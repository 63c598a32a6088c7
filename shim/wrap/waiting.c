/* See waiting.h. */
#include "shim/wrap/waiting.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>

#include "pool/base/clock.h"
#include "shim/base/clock.h"
#include "shim/base/real.h"
#include "shim/connect/limit.h"
#include "shim/exchange/advance.h"
#include "shim/exchange/enter.h"
#include "shim/sock/pending.h"

const struct timespec waiting_first_slice = {0, PENDING_SLICE_MS * 1000000};

void waiting_go_inside(struct waiting_tokens *tokens, int fd)
{
	struct sock *sock = fdtable_get_sock(fd);

	if (!sock)
		return;
	/* More than we can count: that one is never parked. */
	if (tokens->n == WAITING_TOKENS_MAX)
		atomic_store(&sock->has_uncounted_waiter, true);
	else
		tokens->token[tokens->n++] = sock_go_inside(sock);
}

void waiting_come_out(struct waiting_tokens *tokens)
{
	while (tokens->n)
		sock_come_out(tokens->token[--tokens->n]);
}

bool waiting_recover(int fd, int left_ms)
{
	struct sock *sock;
	int saved = errno, error;

	if (!fdtable_get(fd))
		return false;
	sock = exchange_enter(fd);
	if (!sock)
		return false;
	if (sock_is_being_replaced(sock)) {
		sock_leave(sock);
		clock_nap(MILLISECOND_NS);
		errno = saved;
		return true;
	}
	error = exchange_recover(sock, left_ms);
	sock_leave(sock);
	errno = saved;
	return error == 0 || error == -ETIMEDOUT;
}

bool waiting_is_stale_end(int fd)
{
	struct pollfd entry = {.fd = fd, .events = POLLRDHUP};
	struct sock *sock = fdtable_get(fd) ? exchange_enter(fd) : NULL;
	bool may_be_stale = sock && sock_in_window(sock);
	int saved = errno;

	if (sock)
		sock_leave(sock);
	may_be_stale = may_be_stale && REAL(poll)(&entry, 1, 0) > 0;
	errno = saved;
	return may_be_stale;
}

bool waiting_turn_has_come(int fd)
{
	struct sock *sock = limit_has_placed && fdtable_get(fd) ? exchange_enter(fd) : NULL;
	bool has_come = false;

	if (!sock)
		return false;
	if (sock->state == SOCK_WAITING) {
		limit_check_turn(sock);
		has_come = sock->state != SOCK_WAITING;
	}
	sock_leave(sock);
	return has_come;
}

int waiting_in_ms(const struct timespec *time)
{
	if (!time)
		return -1;
	return time->tv_sec < INT_MAX / 1000 ? (int)(time->tv_sec * 1000 + (time->tv_nsec + 999999) / 1000000)
					     : INT_MAX;
}

bool waiting_is_shorter(const struct timespec *one, const struct timespec *other)
{
	return one->tv_sec < other->tv_sec || (one->tv_sec == other->tv_sec && one->tv_nsec < other->tv_nsec);
}

void waiting_subtract(struct timespec *time, const struct timespec *part)
{
	time->tv_sec -= part->tv_sec + (time->tv_nsec < part->tv_nsec);
	time->tv_nsec += (time->tv_nsec < part->tv_nsec ? 1000000000 : 0) - part->tv_nsec;
}

void waiting_lengthen(struct timespec *slice)
{
	slice->tv_nsec = pending_next_slice_ms((int)(slice->tv_nsec / 1000000)) * 1000000l;
}

const struct timespec *waiting_remaining_of(const struct timespec *timeout, const struct timespec *start,
					    struct timespec *left)
{
	if (!timeout)
		return NULL;
	*left = clock_remaining(timeout, start);
	return left;
}
