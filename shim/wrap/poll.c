/* poll and its kin. See waiting.h. */
#include "shim/wrap/waiting.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <time.h>

#include "shim/base/clock.h"
#include "shim/base/real.h"
#include "shim/base/usermem.h"
#include "shim/exchange/enter.h"
#include "shim/exchange/eof.h"
#include "shim/sock/pending.h"
#include "shim/sock/sock.h"
#include "shim/sock/transport.h"
#include "shim/wrap/wrap.h"

#define HANG_UP_POLL (POLLERR | POLLHUP | POLLRDHUP)

static void inside_of_poll(struct waiting_tokens *tokens, const struct pollfd *fds, nfds_t n)
{
	for (nfds_t i = 0; i < n; i++)
		waiting_go_inside(tokens, fds[i].fd);
}

/* The hang-up was that of a connection which another thread has replaced meanwhile: it is gone. */
static bool has_passed(const struct pollfd *entry)
{
	struct pollfd again = {.fd = entry->fd, .events = entry->events};

	return fdtable_get(entry->fd) && REAL(poll)(&again, 1, 0) >= 0 && !(again.revents & (HANG_UP_POLL | POLLNVAL));
}

static bool is_over(const struct timespec *left)
{
	return left && !left->tv_sec && !left->tv_nsec;
}

/* Asks what stands below the socket, of which the kernel knows nothing. */
static bool ask_transport(int fd, bool is_before)
{
	struct sock *sock = fdtable_get(fd) ? exchange_enter(fd) : NULL;
	const struct transport *transport = sock ? sock->transport : NULL;
	bool (*ask)(struct sock *) = !transport ? NULL : is_before ? transport->offers : transport->is_none_for_program;
	int saved = errno;
	bool answer = ask && sock->state == SOCK_OPEN && !sock_is_being_replaced(sock) && ask(sock);

	if (sock)
		sock_leave(sock);
	errno = saved;
	return answer;
}

#define READABLE (POLLIN | POLLRDNORM)

/* Whoever waits for bytes that are not the kernel's is told of them at once, beside what the kernel knows of the
 * others. Returns 0, or as poll(). */
static int poll_offered(struct pollfd *fds, nfds_t n)
{
	int ready = -1;

	for (nfds_t i = 0; i < n; i++) {
		if (!(fds[i].events & READABLE) || !ask_transport(fds[i].fd, true))
			continue;
		if (ready < 0)
			ready = REAL(poll)(fds, n, 0);
		if (ready < 0)
			return ready;
		ready += !fds[i].revents;
		fds[i].revents |= fds[i].events & READABLE;
	}
	return ready < 0 ? 0 : ready;
}

/* What has come is not for the program. True: nothing else has happened. */
static bool is_unseen(struct pollfd *entry)
{
	if (!(entry->revents & READABLE) || (entry->revents & HANG_UP_POLL) || !ask_transport(entry->fd, false))
		return false;
	entry->revents &= (short)~READABLE;
	return !entry->revents;
}

static bool is_to_be_swallowed(const struct pollfd *entry, const struct timespec *left)
{
	if (entry->revents && waiting_turn_has_come(entry->fd))
		return true;
	if (!(entry->revents & HANG_UP_POLL))
		return (entry->revents & READABLE) && waiting_is_stale_end(entry->fd) &&
		       waiting_recover(entry->fd, waiting_in_ms(left));
	return waiting_recover(entry->fd, waiting_in_ms(left)) || has_passed(entry);
}

/* Returns how many entries still have events. */
static int swallow_poll(struct pollfd *fds, nfds_t n, int ready, const struct timespec *left)
{
	for (nfds_t i = 0; i < n; i++) {
		if (!is_unseen(&fds[i]) && !is_to_be_swallowed(&fds[i], left))
			continue;
		fds[i].revents = 0;
		ready--;
	}
	return ready;
}

/* As the kernel's, with what is pending pushed on meanwhile. */
static int poll_and_push(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
	struct timespec slice = waiting_first_slice, left = timeout ? *timeout : slice;

	for (; pending_any(); waiting_lengthen(&slice)) {
		bool is_last = timeout && !waiting_is_shorter(&slice, &left);
		int ready;

		pending_push();
		ready = REAL(ppoll)(fds, n, is_last ? &left : &slice, mask);
		if (ready || is_last)
			return ready;
		if (timeout)
			waiting_subtract(&left, &slice);
	}
	return REAL(ppoll)(fds, n, timeout ? &left : NULL, mask);
}

/* Which of the names was called decides nothing but the first real call; a repetition is always ppoll. */
static int poll_tracked(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
	struct waiting_tokens tokens = {.n = 0};
	struct timespec start, left;
	const struct timespec *wait = timeout;
	unsigned n_replaced = sock_n_replaced;
	int ready;

	pending_is_awaited = true;
	if (n > SIZE_MAX / sizeof(*fds) || !guard_readable(fds, n * sizeof(*fds)))
		return REAL(ppoll)(fds, n, timeout, mask);
	ready = waiting_any_in_window() ? poll_offered(fds, n) : 0;
	if (ready)
		return ready;
	guard_get_time(CLOCK_MONOTONIC, &start);
	do {
		inside_of_poll(&tokens, fds, n);
		ready = poll_and_push(fds, n, wait, mask);
		waiting_come_out(&tokens);
		if (ready <= 0 || (!waiting_any_in_window() && n_replaced == sock_n_replaced))
			return ready;
		ready = swallow_poll(fds, n, ready, waiting_remaining_of(timeout, &start, &left));
		wait = waiting_remaining_of(timeout, &start, &left);
	} while (ready == 0 && !is_over(wait));
	return ready;
}

EXPORT int poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
	struct timespec timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000000l};

	eof_make();
	if (waiting_is_idle() || !n)
		return REAL(poll)(fds, n, timeout_ms);
	return poll_tracked(fds, n, timeout_ms < 0 ? NULL : &timeout, NULL);
}

EXPORT int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
	eof_make();
	if (waiting_is_idle() || !n || (timeout && !guard_readable(timeout, sizeof(*timeout))))
		return REAL(ppoll)(fds, n, timeout, mask);
	return poll_tracked(fds, n, timeout, mask);
}

int __poll_chk(struct pollfd *fds, nfds_t n, int timeout_ms, size_t room);
EXPORT int __poll_chk(struct pollfd *fds, nfds_t n, int timeout_ms, size_t room)
{
	return room / sizeof(*fds) < n ? REAL(__poll_chk)(fds, n, timeout_ms, room) : poll(fds, n, timeout_ms);
}

int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask, size_t room);
EXPORT int __ppoll_chk(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask, size_t room)
{
	return room / sizeof(*fds) < n ? REAL(__ppoll_chk)(fds, n, timeout, mask, room) : ppoll(fds, n, timeout, mask);
}
