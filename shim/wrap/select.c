/* select and its kin. See waiting.h. */
#include "shim/wrap/waiting.h"

#include <string.h>
#include <sys/select.h>
#include <time.h>

#include "shim/base/clock.h"
#include "shim/base/real.h"
#include "shim/base/usermem.h"
#include "shim/exchange/eof.h"
#include "shim/sock/pending.h"
#include "shim/sock/sock.h"
#include "shim/wrap/wrap.h"

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

static void inside_of_select(struct waiting_tokens *tokens, int n, const fd_set *reads, const fd_set *writes,
			     const fd_set *excepts)
{
	if (n < 0 || !is_set_readable(reads, n) || !is_set_readable(writes, n) || !is_set_readable(excepts, n))
		return;
	for (int fd = 0; fd < n && fd < fdtable_end(); fd++)
		if (fdtable_get(fd) && (is_in(reads, fd) || is_in(writes, fd) || is_in(excepts, fd)))
			waiting_go_inside(tokens, fd);
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

/* The sets are kept while it waits in slices, and there is no room for larger ones. */
static bool can_push_in_select(int n)
{
	return n <= FD_SETSIZE;
}

/* Pushes pending bytes on for as long as there are any, within `*timeout` (NULL: endless). 0: nothing else has
 * happened, and the rest of the time is still to be waited; else select()'s result. */
__attribute__((noinline)) static int select_and_push(int n, fd_set *reads, fd_set *writes, fd_set *excepts,
						     struct timespec *timeout, const sigset_t *mask)
{
	struct sets sets = {.set = {reads, writes, excepts}};
	struct timespec slice = waiting_first_slice;

	/* There is no room for larger sets, and such a thread begins nothing (can_push_in_select()). */
	if (!can_push_in_select(n)) {
		pending_push();
		return 0;
	}
	if (n < 0 || !keep_sets(&sets, n))
		return 0;
	for (; pending_any() && (!timeout || waiting_is_shorter(&slice, timeout)); waiting_lengthen(&slice)) {
		int ready;

		pending_push();
		/* (What can't be written it says, too.) */
		ready = REAL(pselect)(n, reads, writes, excepts, &slice, mask);
		if (ready)
			return ready;
		restore_sets(&sets);
		if (timeout)
			waiting_subtract(timeout, &slice);
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
		if (!fdtable_get(fd) || !is_in(sets->set[0], fd) || !waiting_is_stale_end(fd) ||
		    !waiting_recover(fd, left_ms))
			continue;
		take_out(sets->set[0], fd);
		ready--;
	}
	return ready;
}

/* True where the end of a stale connection would be kept from the program: the sets are kept, to wait again. */
static bool may_swallow(struct sets *sets, int n)
{
	return waiting_any_in_window() && sets->set[0] && n >= 0 && can_push_in_select(n) && keep_sets(sets, n);
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
	return waiting_in_ms(&left);
}

EXPORT int select(int n, fd_set *reads, fd_set *writes, fd_set *excepts, struct timeval *timeout)
{
	struct sets sets = {.set = {reads, writes, excepts}};
	struct waiting_tokens tokens = {.n = 0};
	bool may_again;
	int ready;

	eof_make();
	if (waiting_is_idle())
		return REAL(select)(n, reads, writes, excepts, timeout);
	pending_is_awaited = can_push_in_select(n);
	do {
		may_again = may_swallow(&sets, n);
		inside_of_select(&tokens, n, reads, writes, excepts);
		ready = pending_any() ? select_in_time(n, reads, writes, excepts, timeout) : 0;
		if (!ready)
			ready = REAL(select)(n, reads, writes, excepts, timeout);
		waiting_come_out(&tokens);
	} while (may_again && is_to_wait_again(&sets, n, &ready, timeval_in_ms(timeout)));
	return ready;
}

EXPORT int pselect(int n, fd_set *reads, fd_set *writes, fd_set *excepts, const struct timespec *timeout,
		   const sigset_t *mask)
{
	bool may_again, is_timed = timeout && guard_readable(timeout, sizeof(*timeout));
	struct sets sets = {.set = {reads, writes, excepts}};
	struct waiting_tokens tokens = {.n = 0};
	struct timespec left, start;
	const struct timespec *limit = is_timed ? &left : timeout;
	int ready;

	eof_make();
	if (waiting_is_idle())
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
		waiting_come_out(&tokens);
		if (is_timed)
			left = clock_remaining(timeout, &start);
	} while (may_again && is_to_wait_again(&sets, n, &ready, is_timed ? waiting_in_ms(&left) : -1));
	return ready;
}
