/*
 * poll, select, epoll and their kin. They are wrapped for two reasons only: to know which threads are inside (a thread
 * that waits on a file must not be left waiting on it after a swap), and to keep the end of a kept connection that has
 * gone stale from a program that would take it for its own connection's. Readiness itself is always the kernel's.
 */
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <time.h>

#include "pool/base/clock.h"
#include "shim/base/clock.h"
#include "shim/base/real.h"
#include "shim/base/usermem.h"
#include "shim/connect/limit.h"
#include "shim/exchange/advance.h"
#include "shim/exchange/enter.h"
#include "shim/exchange/eof.h"
#include "shim/sock/pending.h"
#include "shim/sock/sock.h"
#include "shim/sock/transport.h"
#include "shim/wrap/wrap.h"

#define TOKENS_MAX 32
#define HANG_UP_POLL (POLLERR | POLLHUP | POLLRDHUP)
#define HANG_UP_EPOLL (EPOLLERR | EPOLLHUP | EPOLLRDHUP)

struct tokens {
	struct inside_token token[TOKENS_MAX];
	unsigned n;
};

static inline bool is_idle(void)
{
	return !atomic_load_explicit(&sock_n_tracked, memory_order_relaxed);
}

static void go_inside(struct tokens *tokens, int fd)
{
	struct sock *sock = fdtable_get_sock(fd);

	if (!sock)
		return;
	/* More than we can count: that one is never parked. */
	if (tokens->n == TOKENS_MAX)
		atomic_store(&sock->has_uncounted_waiter, true);
	else
		tokens->token[tokens->n++] = sock_go_inside(sock);
}

static void come_out(struct tokens *tokens)
{
	while (tokens->n)
		sock_come_out(tokens->token[--tokens->n]);
}

/* True if the event was the end of a stale connection, which has been replaced, or could not be in the time that is
 * left: the program is to wait on. */
static bool recover(int fd, int left_ms)
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

/* An end without an error says no more than that there is something to read, unless it is asked for. A program that
 * reads then finds nothing, if its socket doesn't block, and not all take that well: some give the connection up. */
static bool is_stale_end(int fd)
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

/* True if the event was a placeholder's, whose turn has come or whose broker is gone: the program is to hear of the
 * connection that stands there now, and of nothing that it could take for the server's. */
static bool turn_has_come(int fd)
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

static bool any_in_window(void)
{
	return atomic_load_explicit(&sock_n_in_window, memory_order_relaxed);
}

/* The rest of a timeout that began at `start`; NULL stays NULL. */
static const struct timespec *remaining_of(const struct timespec *timeout, const struct timespec *start,
					   struct timespec *left)
{
	if (!timeout)
		return NULL;
	*left = clock_remaining(timeout, start);
	return left;
}

static void inside_of_poll(struct tokens *tokens, const struct pollfd *fds, nfds_t n)
{
	for (nfds_t i = 0; i < n; i++)
		go_inside(tokens, fds[i].fd);
}

/* The hang-up was that of a connection which another thread has replaced meanwhile: it is gone. */
static bool has_passed(const struct pollfd *entry)
{
	struct pollfd again = {.fd = entry->fd, .events = entry->events};

	return fdtable_get(entry->fd) && REAL(poll)(&again, 1, 0) >= 0 && !(again.revents & (HANG_UP_POLL | POLLNVAL));
}

static int in_ms(const struct timespec *time)
{
	if (!time)
		return -1;
	return time->tv_sec < INT_MAX / 1000 ? (int)(time->tv_sec * 1000 + (time->tv_nsec + 999999) / 1000000)
					     : INT_MAX;
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
	if (entry->revents && turn_has_come(entry->fd))
		return true;
	if (!(entry->revents & HANG_UP_POLL))
		return (entry->revents & READABLE) && is_stale_end(entry->fd) && recover(entry->fd, in_ms(left));
	return recover(entry->fd, in_ms(left)) || has_passed(entry);
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

/* True if the first is the shorter one. */
static bool is_shorter(const struct timespec *one, const struct timespec *other)
{
	return one->tv_sec < other->tv_sec || (one->tv_sec == other->tv_sec && one->tv_nsec < other->tv_nsec);
}

static void subtract(struct timespec *time, const struct timespec *part)
{
	time->tv_sec -= part->tv_sec + (time->tv_nsec < part->tv_nsec);
	time->tv_nsec += (time->tv_nsec < part->tv_nsec ? 1000000000 : 0) - part->tv_nsec;
}

static const struct timespec first_slice = {0, PENDING_SLICE_MS * 1000000};

static void lengthen(struct timespec *slice)
{
	slice->tv_nsec = pending_next_slice_ms((int)(slice->tv_nsec / 1000000)) * 1000000l;
}

/* As the kernel's, with what is pending pushed on meanwhile. */
static int poll_and_push(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
	struct timespec slice = first_slice, left = timeout ? *timeout : slice;

	for (; pending_any(); lengthen(&slice)) {
		bool is_last = timeout && !is_shorter(&slice, &left);
		int ready;

		pending_push();
		ready = REAL(ppoll)(fds, n, is_last ? &left : &slice, mask);
		if (ready || is_last)
			return ready;
		if (timeout)
			subtract(&left, &slice);
	}
	return REAL(ppoll)(fds, n, timeout ? &left : NULL, mask);
}

/* Which of the names was called decides nothing but the first real call; a repetition is always ppoll. */
static int poll_tracked(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
	struct tokens tokens = {.n = 0};
	struct timespec start, left;
	const struct timespec *wait = timeout;
	unsigned n_replaced = sock_n_replaced;
	int ready;

	pending_is_awaited = true;
	if (n > SIZE_MAX / sizeof(*fds) || !guard_readable(fds, n * sizeof(*fds)))
		return REAL(ppoll)(fds, n, timeout, mask);
	ready = any_in_window() ? poll_offered(fds, n) : 0;
	if (ready)
		return ready;
	guard_get_time(CLOCK_MONOTONIC, &start);
	do {
		inside_of_poll(&tokens, fds, n);
		ready = poll_and_push(fds, n, wait, mask);
		come_out(&tokens);
		if (ready <= 0 || (!any_in_window() && n_replaced == sock_n_replaced))
			return ready;
		ready = swallow_poll(fds, n, ready, remaining_of(timeout, &start, &left));
		wait = remaining_of(timeout, &start, &left);
	} while (ready == 0 && !is_over(wait));
	return ready;
}

EXPORT int poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
	struct timespec timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000000l};

	eof_make();
	if (is_idle() || !n)
		return REAL(poll)(fds, n, timeout_ms);
	return poll_tracked(fds, n, timeout_ms < 0 ? NULL : &timeout, NULL);
}

EXPORT int ppoll(struct pollfd *fds, nfds_t n, const struct timespec *timeout, const sigset_t *mask)
{
	eof_make();
	if (is_idle() || !n || (timeout && !guard_readable(timeout, sizeof(*timeout))))
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

static bool is_in(const fd_set *set, int fd)
{
	/* Programs make sets larger than FD_SETSIZE; the kernel goes by n alone, and so do we. */
	return set && ((const unsigned long *)set)[fd / (8 * (int)sizeof(long))] >> fd % (8 * (int)sizeof(long)) & 1;
}

static size_t set_size(int n)
{
	return ((size_t)n + 63) / 64 * 8;
}

static bool is_set_readable(const fd_set *set, int n)
{
	return !set || guard_readable(set, set_size(n));
}

static void inside_of_select(struct tokens *tokens, int n, const fd_set *reads, const fd_set *writes,
			     const fd_set *excepts)
{
	if (n < 0 || !is_set_readable(reads, n) || !is_set_readable(writes, n) || !is_set_readable(excepts, n))
		return;
	for (int fd = 0; fd < n && fd < fdtable_end(); fd++)
		if (fdtable_get(fd) && (is_in(reads, fd) || is_in(writes, fd) || is_in(excepts, fd)))
			go_inside(tokens, fd);
}

/* The program's sets may be smaller than an fd_set: of each, only `size` bytes are its own. */
struct sets {
	fd_set *set[3];
	size_t size;
	fd_set copy[3];
};

/* False: one can't be read, which the kernel is to say. */
static bool keep_sets(struct sets *sets, int n)
{
	sets->size = set_size(n);
	for (unsigned i = 0; i < 3; i++) {
		if (!is_set_readable(sets->set[i], n))
			return false;
		if (sets->set[i])
			memcpy(&sets->copy[i], sets->set[i], sets->size);
	}
	return true;
}

static void restore_sets(const struct sets *sets)
{
	for (unsigned i = 0; i < 3; i++)
		if (sets->set[i])
			memcpy(sets->set[i], &sets->copy[i], sets->size);
}

/* What it waits for in slices has to be kept meanwhile. */
static bool can_push_in_select(int n)
{
	return n <= FD_SETSIZE;
}

/* What is pending is pushed on for as long as there is any, within `*timeout` (NULL: endless). 0: nothing else has
 * happened, and the rest of the time is still to be waited; else select()'s result. */
__attribute__((noinline)) static int select_and_push(int n, fd_set *reads, fd_set *writes, fd_set *excepts,
						     struct timespec *timeout, const sigset_t *mask)
{
	struct sets sets = {.set = {reads, writes, excepts}};
	struct timespec slice = first_slice;

	/* There is no room for larger sets, and such a thread begins nothing (can_push_in_select()). */
	if (!can_push_in_select(n)) {
		pending_push();
		return 0;
	}
	if (n < 0 || !keep_sets(&sets, n))
		return 0;
	for (; pending_any() && (!timeout || is_shorter(&slice, timeout)); lengthen(&slice)) {
		int ready;

		pending_push();
		/* (What can't be written it says, too.) */
		ready = REAL(pselect)(n, reads, writes, excepts, &slice, mask);
		if (ready)
			return ready;
		restore_sets(&sets);
		if (timeout)
			subtract(timeout, &slice);
	}
	return 0;
}

/* The same for a timeout that tells what is left of it (select(2)). */
__attribute__((noinline)) static int select_in_time(int n, fd_set *reads, fd_set *writes, fd_set *excepts,
						    struct timeval *timeout)
{
	struct timespec left = {0};
	int ready;

	if (!timeout || !guard_readable(timeout, sizeof(*timeout)))
		return select_and_push(n, reads, writes, excepts, timeout ? &left : NULL, NULL);
	left = (struct timespec){timeout->tv_sec, timeout->tv_usec * 1000};
	/* One that is never to change can't tell: the real call waits for all of it. */
	if (!guard_take_for_writing(timeout, sizeof(*timeout))) {
		pending_push();
		return 0;
	}
	ready = select_and_push(n, reads, writes, excepts, &left, NULL);
	*timeout = (struct timeval){left.tv_sec, left.tv_nsec / 1000};
	return ready;
}

static void take_out(fd_set *set, int fd)
{
	((unsigned long *)set)[fd / (8 * (int)sizeof(long))] &= ~(1ul << fd % (8 * (int)sizeof(long)));
}

/* The end of a stale connection shows as readable alone. Returns how many are still ready. */
static int swallow_select(const struct sets *sets, int n, int ready, int left_ms)
{
	for (int fd = 0; fd < n && fd < fdtable_end(); fd++) {
		if (!fdtable_get(fd) || !is_in(sets->set[0], fd) || !is_stale_end(fd) || !recover(fd, left_ms))
			continue;
		take_out(sets->set[0], fd);
		ready--;
	}
	return ready;
}

/* True where the end of a stale connection would be kept from the program: the sets are kept, to wait again. */
static bool may_swallow(struct sets *sets, int n)
{
	return any_in_window() && sets->set[0] && n >= 0 && can_push_in_select(n) && keep_sets(sets, n);
}

/* Whether all that was ready has been swallowed: then the sets are as they were. */
static bool is_to_wait_again(const struct sets *sets, int n, int *ready, int left_ms)
{
	if (*ready <= 0)
		return false;
	*ready = swallow_select(sets, n, *ready, left_ms);
	if (!*ready)
		restore_sets(sets);
	return !*ready;
}

/* select() leaves what is left of the time in `timeout`. */
static int timeval_in_ms(const struct timeval *timeout)
{
	struct timespec left = {0};

	if (!timeout || !guard_readable(timeout, sizeof(*timeout)))
		return -1;
	left = (struct timespec){timeout->tv_sec, timeout->tv_usec * 1000};
	return in_ms(&left);
}

EXPORT int select(int n, fd_set *reads, fd_set *writes, fd_set *excepts, struct timeval *timeout)
{
	struct sets sets = {.set = {reads, writes, excepts}};
	struct tokens tokens = {.n = 0};
	bool may_again;
	int ready;

	eof_make();
	if (is_idle())
		return REAL(select)(n, reads, writes, excepts, timeout);
	pending_is_awaited = can_push_in_select(n);
	do {
		may_again = may_swallow(&sets, n);
		inside_of_select(&tokens, n, reads, writes, excepts);
		ready = pending_any() ? select_in_time(n, reads, writes, excepts, timeout) : 0;
		if (!ready)
			ready = REAL(select)(n, reads, writes, excepts, timeout);
		come_out(&tokens);
	} while (may_again && is_to_wait_again(&sets, n, &ready, timeval_in_ms(timeout)));
	return ready;
}

EXPORT int pselect(int n, fd_set *reads, fd_set *writes, fd_set *excepts, const struct timespec *timeout,
		   const sigset_t *mask)
{
	bool may_again, is_timed = timeout && guard_readable(timeout, sizeof(*timeout));
	struct sets sets = {.set = {reads, writes, excepts}};
	struct tokens tokens = {.n = 0};
	struct timespec left, start;
	const struct timespec *limit = is_timed ? &left : timeout;
	int ready;

	eof_make();
	if (is_idle())
		return REAL(pselect)(n, reads, writes, excepts, timeout, mask);
	pending_is_awaited = can_push_in_select(n);
	if (is_timed) {
		left = *timeout;
		guard_get_time(CLOCK_MONOTONIC, &start);
	}
	do {
		may_again = may_swallow(&sets, n);
		inside_of_select(&tokens, n, reads, writes, excepts);
		ready = pending_any() ? select_and_push(n, reads, writes, excepts, is_timed ? &left : NULL, mask) : 0;
		if (!ready)
			ready = REAL(pselect)(n, reads, writes, excepts, limit, mask);
		come_out(&tokens);
		if (is_timed)
			left = clock_remaining(timeout, &start);
	} while (may_again && is_to_wait_again(&sets, n, &ready, is_timed ? in_ms(&left) : -1));
	return ready;
}

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

static bool is_few(void)
{
	return fdtable_end() <= LOOKED_THROUGH_MAX;
}

static int swallow_epoll(int epfd, struct epoll_event *events, int n, int left_ms)
{
	int kept = 0;

	for (int i = 0; i < n; i++) {
		bool is_end = events[i].events & HANG_UP_EPOLL, may_be = (events[i].events & EPOLLIN) && is_few();
		int fd = is_end || may_be || limit_has_placed ? find_in_window(epfd, &events[i]) : -1;

		if (fd >= 0 &&
		    (turn_has_come(fd) || ((is_end || (may_be && is_stale_end(fd))) && recover(fd, left_ms))))
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

	if (ready > 0 && any_in_window() && !start->tv_sec)
		guard_get_time(CLOCK_MONOTONIC, start);
	while (ready > 0 && any_in_window()) {
		ready = swallow_epoll(epfd, events, ready, in_ms(remaining_of(timeout, start, &left)));
		timeout_ms = in_ms(remaining_of(timeout, start, &left));
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
	struct timespec slice = first_slice, left;
	bool sleeps = false;
	int ready = 0;

	eof_make();
	/* (The kernel will say so.) */
	if (timeout && !guard_readable(timeout, sizeof(*timeout)))
		return REAL(epoll_pwait2)(epfd, events, max, timeout, mask);
	if (timeout)
		left = *timeout;
	while (!ready && !(sleeps = pending_fall_asleep()) && (!timeout || is_shorter(&slice, &left))) {
		pending_push();
		ready = REAL(epoll_pwait2)(epfd, events, max, &slice, mask);
		if (timeout)
			subtract(&left, &slice);
		lengthen(&slice);
	}
	if (!ready)
		ready = REAL(epoll_pwait2)(epfd, events, max, timeout ? &left : NULL, mask);
	if (sleeps)
		pending_wake();
	/* An empty answer before the time is over is what a signal's or another thread's doing would look like. */
	return ready > 0 && any_in_window() ? swallow_epoll(epfd, events, ready, in_ms(timeout)) : ready;
}
