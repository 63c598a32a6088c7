/* See fdtable.h. */
#include "shim/base/fdtable.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "shim/base/alone.h"
#include "shim/base/fdlimit.h"
#include "shim/base/large.h"
#include "shim/base/lock.h"
#include "shim/base/real.h"

LARGE _Atomic(struct sock *) fdtable[FDTABLE_SIZE];
char fdtable_internal;

/* These only grow. Our descriptors are far above the program's: a walk over one kind must not visit the gap. */
static _Atomic(int) end, internal_end;
static _Atomic(int) internal_begin = FDTABLE_SIZE;
static _Atomic(int) n_internal;
/* Above those that we took among the program's, since its limit could not be raised just then. */
static _Atomic(int) passing_end;

/* The kernel gives a process a table of so many descriptors. To make it larger in a process with threads it waits until
 * each processor has been seen idle or switching (synchronize_rcu() in expand_fdtable()): 15 to 50 ms. */
#define FIRST_TABLE 64
/* Ours in it. No program with threads can rely on which number it gets: another thread may be quicker. */
#define N_FIRST 32
#define FIRST_FLOOR (FIRST_TABLE - N_FIRST)
/* No number below is more precious than those that select(2) can be asked of. */
#define SELECT_END 1024
/* They are a sixteenth of such a limit. */
#define FIRST_LIMIT 512

/* Taken while a number of ours is taken and marked, or unmarked and given back: a number among the program's may be
 * one that it has in mind just then. */
static struct guard_lock number_lock;
/* The program has asked for one of these by its number: it may ask for more of them. */
static _Atomic(bool) is_first_contested;

bool fdtable_set(int fd, struct sock *sock)
{
	_Atomic(int) *last = sock == FDTABLE_INTERNAL ? &internal_end : &end;
	int seen = atomic_load_explicit(last, memory_order_relaxed);

	if ((unsigned)fd >= FDTABLE_SIZE)
		return false;
	while (sock && seen <= fd && !atomic_compare_exchange_weak(last, &seen, fd + 1))
		;
	seen = atomic_load_explicit(&internal_begin, memory_order_relaxed);
	while (sock == FDTABLE_INTERNAL && fd >= FIRST_TABLE && seen > fd &&
	       !atomic_compare_exchange_weak(&internal_begin, &seen, fd))
		;
	atomic_store_explicit(&fdtable[fd], sock, memory_order_release);
	return true;
}

int fdtable_end(void)
{
	return atomic_load_explicit(&end, memory_order_relaxed);
}

static int count_internal(int from, int to)
{
	int n = 0;

	for (int fd = from; fd < to; fd++)
		n += fdtable_is_internal(fd);
	return n;
}

/* The first of the program's descriptors that we may take: a sixteenth of them at the most. -EMFILE: all are used.
 * Not as high as can be: the kernel's table is as long as the highest number says, half a megabyte for 65,536. */
static int find_floor(const struct rlimit *own, bool is_for_good)
{
	int room = own->rlim_cur > FDTABLE_SIZE ? FDTABLE_SIZE : (int)own->rlim_cur;
	int high = room - room / 4, floor = high < SELECT_END ? high : SELECT_END;
	int last = fdtable_end() < room ? fdtable_end() : room;
	/* Descriptors above the limit don't take numbers from the program. */
	int n = is_for_good ? atomic_load(&n_internal) : count_internal(floor, last);

	return (rlim_t)n < own->rlim_cur / 16 ? floor : -EMFILE;
}

int fdtable_next_internal(int from)
{
	int begin = atomic_load_explicit(&internal_begin, memory_order_relaxed);

	for (int fd = from; fd < fdtable_internal_end(); fd++) {
		if (fd == FIRST_TABLE && begin > fd)
			fd = begin;
		if (fdtable_is_internal(fd))
			return fd;
	}
	return -1;
}

int fdtable_internal_end(void)
{
	return atomic_load_explicit(&internal_end, memory_order_relaxed);
}

/* True while nothing is known to be beyond the first table. */
static bool has_first_table(void)
{
	return fdtable_end() <= FIRST_FLOOR && fdtable_internal_end() <= FIRST_TABLE;
}

/* True in a process where the kernel's table would better not grow. */
static bool is_growth_slow(void)
{
	return !is_alone() && has_first_table() && !atomic_load_explicit(&is_first_contested, memory_order_relaxed);
}

bool fdtable_hold_number(int fd)
{
	return fd >= FIRST_FLOOR && fd < FIRST_TABLE && !is_alone() && guard_lock_try(&number_lock);
}

void fdtable_release_number(void)
{
	guard_unlock(&number_lock);
}

void fdtable_note_contest(int fd)
{
	if (fd < FIRST_TABLE)
		is_first_contested = true;
}

/* A number in the first table. -EMFILE: there is none for us. */
static int dup_first(int fd)
{
	struct rlimit own;
	int first;

	if (count_internal(FIRST_FLOOR, FIRST_TABLE) == N_FIRST || REAL(getrlimit)(RLIMIT_NOFILE, &own) < 0 ||
	    own.rlim_cur < FIRST_LIMIT)
		return -EMFILE;
	first = REAL(fcntl)(fd, F_DUPFD_CLOEXEC, FIRST_FLOOR);
	if (first < 0)
		return -errno;
	if (first < FIRST_TABLE)
		return first;
	real.close(first);
	return -EMFILE;
}

/* Where the program's own begin to be used, those that we keep have to go. */
static void note_passing(int fd)
{
	int seen = atomic_load(&passing_end);

	while (seen <= fd && !atomic_compare_exchange_weak(&passing_end, &seen, fd + 1))
		;
}

static int dup_above(int fd)
{
	struct rlimit own = {0};
	enum fdlimit_result limit = fdlimit_raise(&own);
	int floor = limit == FDLIMIT_RAISED ? (int)own.rlim_cur : find_floor(&own, limit == FDLIMIT_NO_ROOM);
	int high;

	if (floor < 0)
		return floor;
	high = REAL(fcntl)(fd, F_DUPFD_CLOEXEC, floor);
	if (high < 0)
		high = -errno;
	if (limit == FDLIMIT_RAISED)
		fdlimit_restore();
	if (limit == FDLIMIT_BUSY)
		note_passing(high);
	return high;
}

/* Marks a new descriptor as ours. */
static int keep(int fd)
{
	if (fd < 0)
		return fd;
	if (!fdtable_set(fd, FDTABLE_INTERNAL)) {
		real.close(fd);
		return -EMFILE;
	}
	atomic_fetch_add(&n_internal, 1);
	return fd;
}

static int dup_in_first(int fd)
{
	int saved = errno, first;

	if (!guard_lock_try(&number_lock))
		return -EMFILE;
	first = dup_first(fd);
	if (first >= 0)
		note_passing(first);
	first = keep(first);
	guard_unlock(&number_lock);
	errno = saved;
	return first;
}

int fdtable_dup_high(int fd)
{
	int first = is_growth_slow() ? dup_in_first(fd) : -EMFILE;

	return first >= 0 ? first : keep(dup_above(fd));
}

int fdtable_dup_if_cheap(int fd)
{
	return is_growth_slow() ? dup_in_first(fd) : fdtable_dup_high(fd);
}

int fdtable_move_high(int fd)
{
	int high = fdtable_dup_high(fd);

	real.close(fd);
	return high;
}

int fdtable_renew_high(int fd)
{
	int high;

	if (fd >= atomic_load_explicit(&passing_end, memory_order_relaxed) || (fd < FIRST_TABLE && has_first_table()))
		return fd;
	high = fdtable_dup_high(fd);
	if (high < 0)
		return fd;
	fdtable_close_internal(fd);
	return high;
}

int fdtable_close_internal(int fd)
{
	bool is_held = fdtable_hold_number(fd);
	int error = errno;

	fdtable_set(fd, NULL);
	real.close(fd);
	if (is_held)
		guard_unlock(&number_lock);
	atomic_fetch_sub(&n_internal, 1);
	errno = error;
	return 0;
}

void fdtable_forget_internal(int fd)
{
	if (fdtable_is_internal(fd))
		fdtable_set(fd, NULL);
	atomic_fetch_sub(&n_internal, 1);
}

int fdtable_open_socket(int domain, int type)
{
	int fd = REAL(socket)(domain, type | SOCK_CLOEXEC, 0);
	struct rlimit own;

	if (fd >= 0)
		return fd;
	if (errno != EMFILE)
		return -errno;
	if (fdlimit_raise(&own) != FDLIMIT_RAISED)
		return -EMFILE;
	fd = REAL(socket)(domain, type | SOCK_CLOEXEC, 0);
	if (fd < 0)
		fd = -errno;
	fdlimit_restore();
	return fd;
}
