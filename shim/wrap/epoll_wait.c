/* epoll_wait and its kin. See waiting.h. */
#include "shim/wrap/waiting.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include "shim/base/clock.h"
#include "shim/base/real.h"
#include "shim/base/usermem.h"
#include "shim/connect/limit.h"
#include "shim/exchange/advance.h"
#include "shim/exchange/enter.h"
#include "shim/exchange/eof.h"
#include "shim/sock/pending.h"
#include "shim/sock/sock.h"
#include "shim/wrap/wrap.h"

#define HANG_UP_EPOLL (EPOLLERR | EPOLLHUP | EPOLLRDHUP)

/* The event carries the program's own data, not a descriptor: the registration with that data is looked for. */
static int find_in_window(int epfd, const struct epoll_event *event)
{
	for (int fd = 0, end = fdtable_end(); fd < end; fd++) {
		struct sock *sock = fdtable_get_sock(fd);
		int found = -1;

		if (!sock || !(sock = exchange_enter(fd)))
			continue;
		for (unsigned i = 0; sock_in_window(sock) && i < sock->n_registrations; i++)
			if (sock->registrations[i].epfd == epfd &&
			    memcmp(&sock->registrations[i].event.data, &event->data, sizeof(event->data)) == 0)
				found = fd;
		sock_leave(sock);
		if (found >= 0)
			return found;
	}
	return -1;
}

/* A one-shot registration has spent itself on the event that the program is not to see. */
static void arm_again(int epfd, int fd, const struct epoll_event *event)
{
	struct sock *sock = exchange_enter(fd);

	if (!sock)
		return;
	for (unsigned i = 0; i < sock->n_registrations; i++) {
		struct registration *registration = &sock->registrations[i];

		if (registration->epfd == epfd && (registration->event.events & EPOLLONESHOT) &&
		    memcmp(&registration->event.data, &event->data, sizeof(event->data)) == 0)
			real.epoll_ctl(epfd, EPOLL_CTL_MOD, fd, &registration->event);
	}
	sock_leave(sock);
}

/* With more descriptors than these, a look at each readable one takes too long. */
#define LOOKED_THROUGH_MAX 64

/* A look at each costs a tenth of an exchange, and most loops read again: only where a server does such things. */
static bool is_worth_looking(void)
{
	return atomic_load_explicit(&exchange_met_stale, memory_order_relaxed) && fdtable_end() <= LOOKED_THROUGH_MAX;
}

static int swallow_epoll(int epfd, struct epoll_event *events, int n, int left_ms)
{
	int kept = 0;

	for (int i = 0; i < n; i++) {
		bool is_end = events[i].events & HANG_UP_EPOLL,
		     may_be = (events[i].events & EPOLLIN) && is_worth_looking();
		int fd = is_end || may_be || limit_has_placed ? find_in_window(epfd, &events[i]) : -1;

		if (fd >= 0 && (waiting_turn_has_come(fd) ||
				((is_end || (may_be && waiting_is_stale_end(fd))) && waiting_recover(fd, left_ms))))
			arm_again(epfd, fd, &events[i]);
		else
			events[kept++] = events[i];
	}
	return kept;
}

/* As poll_and_push(). */
static int epoll_and_push(int epfd, struct epoll_event *events, int max, int timeout_ms, const sigset_t *mask)
{
	int slice = PENDING_SLICE_MS, ready;

	for (; pending_any() || (timeout_ms && !pending_fall_asleep()); slice = pending_next_slice_ms(slice)) {
		bool is_last = timeout_ms >= 0 && timeout_ms <= slice;

		pending_push();
		ready = REAL(epoll_pwait)(epfd, events, max, is_last ? timeout_ms : slice, mask);
		if (ready || is_last)
			return ready;
		if (timeout_ms > 0)
			timeout_ms -= slice;
	}
	ready = mask ? REAL(epoll_pwait)(epfd, events, max, timeout_ms, mask)
		     : REAL(epoll_wait)(epfd, events, max, timeout_ms);
	if (timeout_ms)
		pending_wake();
	return ready;
}

/* Events that were all swallowed are no reason to return early: waits for what is left of the time. */
static int finish_epoll(int epfd, struct epoll_event *events, int max, int timeout_ms, struct timespec *start,
			const sigset_t *mask, int ready)
{
	struct timespec limit = {timeout_ms / 1000, timeout_ms % 1000 * 1000000l}, left;
	const struct timespec *timeout = timeout_ms < 0 ? NULL : &limit;

	if (ready > 0 && waiting_any_in_window() && !start->tv_sec)
		guard_get_time(CLOCK_MONOTONIC, start);
	while (ready > 0 && waiting_any_in_window()) {
		ready = swallow_epoll(epfd, events, ready, waiting_in_ms(waiting_remaining_of(timeout, start, &left)));
		timeout_ms = waiting_in_ms(waiting_remaining_of(timeout, start, &left));
		if (ready || !timeout_ms)
			break;
		ready = epoll_and_push(epfd, events, max, timeout_ms, mask);
	}
	return ready;
}

/* For who has a socket of ours. One that another thread opens while the call waits may be told of by it, too. */
static struct timespec begin_waiting(void)
{
	struct timespec start = {0};

	if (sock_n_tracked) {
		pending_is_awaited = true;
		guard_get_time(CLOCK_MONOTONIC, &start);
	}
	return start;
}

EXPORT int epoll_wait(int epfd, struct epoll_event *events, int max, int timeout_ms)
{
	int told = eof_any() ? eof_report(epfd, events, max) : 0;
	struct timespec start;

	if (told)
		return told;
	start = begin_waiting();
	return finish_epoll(epfd, events, max, timeout_ms, &start, NULL,
			    epoll_and_push(epfd, events, max, timeout_ms, NULL));
}

EXPORT int epoll_pwait(int epfd, struct epoll_event *events, int max, int timeout_ms, const sigset_t *mask)
{
	struct timespec start;

	if (!mask)
		return epoll_wait(epfd, events, max, timeout_ms);
	eof_make();
	start = begin_waiting();
	return finish_epoll(epfd, events, max, timeout_ms, &start, mask,
			    epoll_and_push(epfd, events, max, timeout_ms, mask));
}

EXPORT int epoll_pwait2(int epfd, struct epoll_event *events, int max, const struct timespec *timeout,
			const sigset_t *mask)
{
	struct timespec slice = waiting_first_slice, left;
	bool sleeps = false;
	int ready = 0;

	eof_make();
	/* (The kernel will say so.) */
	if (timeout && !guard_readable(timeout, sizeof(*timeout)))
		return REAL(epoll_pwait2)(epfd, events, max, timeout, mask);
	if (timeout)
		left = *timeout;
	while (!ready && !(sleeps = pending_fall_asleep()) && (!timeout || waiting_is_shorter(&slice, &left))) {
		pending_push();
		ready = REAL(epoll_pwait2)(epfd, events, max, &slice, mask);
		if (timeout)
			waiting_subtract(&left, &slice);
		waiting_lengthen(&slice);
	}
	if (!ready)
		ready = REAL(epoll_pwait2)(epfd, events, max, timeout ? &left : NULL, mask);
	if (sleeps)
		pending_wake();
	/* An empty answer before the time is over is what a signal's or another thread's doing would look like. */
	return ready > 0 && waiting_any_in_window() ? swallow_epoll(epfd, events, ready, waiting_in_ms(timeout))
						    : ready;
}
