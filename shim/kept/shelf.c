/* See shelf.h. */
#include "shim/kept/shelf.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "pool/borrow.h"
#include "pool/share/board.h"
#include "shim/base/cookie.h"
#include "shim/base/fdtable.h"
#include "shim/base/home.h"
#include "shim/base/real.h"
#include "shim/kept/board.h"
#include "shim/kept/broker_link.h"
#include "shim/kept/pool.h"

enum reach { REACH_UNKNOWN, REACH_GRANTED, REACH_NONE };
static _Atomic(int) reach;

void shelf_leave_alone(void)
{
	reach = REACH_NONE;
}

/* A filter that was there before the program is found here, one of its own is told to us. */
static bool is_within_reach(void)
{
	if (reach == REACH_UNKNOWN) {
		int saved = errno;
		bool is_filtered = libc.syscall(SYS_prctl, PR_GET_SECCOMP, 0, 0, 0, 0) != SECCOMP_MODE_DISABLED;

		reach = is_filtered ? REACH_NONE : REACH_GRANTED;
		errno = saved;
	}
	return reach == REACH_GRANTED;
}

/* The broker may have closed it meanwhile, or this process have no room. */
static int check_reach(int fd)
{
	if (fd < 0 && errno != EBADF && errno != EMFILE && errno != ENFILE)
		reach = REACH_NONE;
	return fd;
}

/* In another namespace of processes there is none of this number, or another one. */
static int open_broker(const struct broker_board *board)
{
	return check_reach((int)libc.syscall(SYS_pidfd_open, (pid_t)board->pid, 0));
}

/* A descriptor among the program's numbers; -1: it can't be had. */
static int duplicate(int pidfd, int number)
{
	return check_reach((int)libc.syscall(SYS_pidfd_getfd, pidfd, number, 0));
}

/* Who often only looks whether a server is there is told the truth by the broker alone. */
static bool may_take(struct idle_pool *pool, const struct destination_key *key, uint64_t who)
{
	const struct destination *destination = idle_pool_find(pool, key);

	return destination && !habit_looks_often(&destination->looks, who);
}

static struct conn *take(struct idle_pool *pool, struct broker_board *board, const struct destination_key *key,
			 uint64_t now_ns)
{
	struct shelf_reader reader = {
		.key = key,
		.first = broker_board_shelf_place(board->salt, key),
		.now_ns = now_ns,
		.user = guard_pid(),
		.name = program_invocation_short_name,
	};
	int pidfd = open_broker(board), number, fd;
	struct conn *conn = pidfd >= 0 ? borrow_claim(pool, &board->shelf, &reader, &number) : NULL;

	if (conn) {
		fd = duplicate(pidfd, number);
		conn = borrow_conclude_claim(pool, conn, fd < 0 ? -1 : fdtable_move_high(fd));
	}
	if (pidfd >= 0)
		real.close(pidfd);
	if (conn)
		stats_count(conn->destination->stats, STATS_LEASED);
	return conn;
}

struct conn *shelf_take_one(const struct destination_key *key, uint64_t who, uint64_t now_ns)
{
	struct broker_board *board = board_shelf();
	struct conn *conn = NULL;
	struct idle_pool *pool;
	int saved = errno;

	if (!board || !is_within_reach())
		return NULL;
	pool = pool_enter(now_ns);
	if (!pool)
		return NULL;
	/* A new broker has come: the old one may be there still, and is to let go of what we have of it. */
	if (pool->broker->slots.n_on_shelf && pool->broker->slots.shelf != &board->shelf)
		idle_pool_leave_shelf(pool);
	if (may_take(pool, key, who))
		conn = take(pool, board, key, now_ns);
	pool_leave();
	errno = saved;
	return conn;
}

void shelf_ring(void)
{
	const struct broker_board *board = board_shelf();
	int saved = errno, pidfd = board && is_within_reach() ? open_broker(board) : -1;
	int fd = pidfd >= 0 ? duplicate(pidfd, board->bell) : -1;

	/* Where the broker has died the number may be anything, of anybody. */
	if (fd >= 0 && cookie_of(fd) == board->bell_cookie)
		(void)!real.send(fd, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (fd >= 0)
		real.close(fd);
	if (pidfd >= 0)
		real.close(pidfd);
	errno = saved;
}
