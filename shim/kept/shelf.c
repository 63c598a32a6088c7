/* See shelf.h. */
#include "shim/kept/shelf.h"

#include <errno.h>

#include "pool/borrow.h"
#include "pool/share/board.h"
#include "shim/base/fdtable.h"
#include "shim/base/home.h"
#include "shim/base/real.h"
#include "shim/kept/board.h"
#include "shim/kept/broker_link.h"
#include "shim/kept/pool.h"
#include "shim/kept/reach.h"

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
	int broker = reach_broker(board), number, fd;
	struct conn *conn = broker >= 0 ? borrow_claim(pool, &board->shelf, &reader, &number) : NULL;

	if (conn) {
		fd = reach_duplicate(broker, number);
		conn = borrow_conclude_claim(pool, conn, fd < 0 ? -1 : fdtable_move_high(fd));
	}
	if (broker >= 0)
		real.close(broker);
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

	if (!board || !reach_is_granted())
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
