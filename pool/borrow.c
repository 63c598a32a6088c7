/* See borrow.h. */
#include "pool/borrow.h"

#include <netinet/in.h>
#include <stdbool.h>

#include "pool/idle.h"
#include "pool/share/shelf.h"

struct conn *borrow_prepare(struct idle_pool *pool, const struct destination_key *key, uint64_t now_ns)
{
	struct destination *destination;
	struct conn *conn;

	if (!pool->broker->is_asked && !pool->broker->slots.n_free)
		return NULL;
	destination = idle_pool_find(pool, key);
	conn = destination ? idle_pool_open(pool, destination, now_ns) : NULL;
	if (conn && !broker_client_reserve(pool->broker, conn)) {
		idle_pool_discard(pool, conn);
		conn = NULL;
	}
	return conn;
}

/* An answer that comes by one receive has gone before the broker would look. */
#define UNTOLD_RECEIVES 2

/* The broker may be wrong, or lie. */
static bool is_as_said(const struct pool_sys *sys, const struct conn *conn)
{
	struct destination_key key = conn->destination->key;
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);

	if (!idle_pool_has_socket(sys, conn))
		return false;
	if (sys->getpeername(conn->fd, (struct sockaddr *)&address, &length) < 0 ||
	    destination_key_set_peer(&key, (struct sockaddr *)&address, length))
		return false;
	return destination_key_is_same_peer(&key, &conn->destination->key) &&
	       ledger_check_fenced(sys, conn->fd, &conn->ledger, &conn->fence, NULL) == LEDGER_EXACT;
}

/* An answer tells something of its destination. */
static void learn(struct destination *destination, int answer)
{
	switch (answer) {
	case BROKER_GIVEN: /* a broker that lends one knows that something rides there */
		habit_streak_break(&destination->unfit);
		break;
	case BROKER_UNFIT:
		habit_streak_believe(&destination->unfit);
		break;
	case BROKER_UNHEARD:
		stats_refuse(destination->stats, REFUSAL_PROBED);
		break;
	}
}

struct conn *borrow_conclude(struct idle_pool *pool, struct conn *conn, int answer, int fd)
{
	learn(conn->destination, answer);
	if (answer == BROKER_GIVEN) {
		conn->has_broker_dup = true;
		conn->fd = fd;
	}
	if (conn->fd >= 0 && conn->slot >= 0) {
		slots_read(&pool->broker->slots, conn);
		if (is_as_said(pool->sys, conn)) {
			stats_count(conn->destination->stats, STATS_BORROWED);
			return conn;
		}
		stats_refuse(conn->destination->stats, REFUSAL_SERVER_IDLE_CLOSE);
		/* Whatever it is, it has just come. */
		conn->cookie = 0;
	} else if (conn->slot >= 0 && answer >= 0 && answer != BROKER_GIVEN) {
		slots_free(&pool->broker->slots, conn);
	}
	idle_pool_end(pool, conn);
	return NULL;
}

struct conn *borrow_claim(struct idle_pool *pool, struct shelf *shelf, struct shelf_reader *reader, int *number)
{
	struct destination *destination = idle_pool_find(pool, reader->key);
	struct conn *conn = destination ? idle_pool_open(pool, destination, reader->now_ns) : NULL;

	*number = conn ? slots_take_from_shelf(&pool->broker->slots, shelf, conn, reader) : -1;
	if (conn && *number < 0) {
		idle_pool_discard(pool, conn);
		conn = NULL;
	}
	return conn;
}

struct conn *borrow_conclude_claim(struct idle_pool *pool, struct conn *conn, int fd)
{
	struct slots *slots = &pool->broker->slots;

	conn->fd = fd;
	if (fd >= 0) {
		slots_read(slots, conn);
		/* If it was lost meanwhile the label and the contents are those of another one, which agree. */
		if (is_as_said(pool->sys, conn) && slots_uses_of_shelf(slots, conn)) {
			learn(conn->destination, BROKER_GIVEN);
			conn->has_broker_dup = true;
			conn->n_untold = UNTOLD_RECEIVES;
			stats_count(conn->destination->stats, STATS_BORROWED);
			return conn;
		}
	}
	slots_put_back_on_shelf(slots, conn);
	conn->cookie = 0;
	idle_pool_discard(pool, conn);
	return NULL;
}
