/* See shared.h. */
#include "shim/kept/shared.h"

#include <errno.h>

#include "pool/borrow.h"
#include "pool/conn/ending.h"
#include "shim/base/clock.h"
#include "shim/base/fdtable.h"
#include "shim/base/real.h"
#include "shim/kept/board.h"
#include "shim/kept/broker_link.h"
#include "shim/kept/login_share.h"
#include "shim/kept/pool.h"
#include "shim/kept/sessions.h"
#include "shim/kept/shelf.h"

/* A connection object with a slot, to be filled by the answer. *looks_often: does `who` often connect there only to see
 * whether it can? NULL: that is not asked. */
static struct conn *prepare(const struct destination_key *key, uint64_t now_ns, uint64_t who, bool *looks_often)
{
	struct idle_pool *pool = pool_enter(now_ns);
	struct conn *conn = NULL;

	if (!pool)
		return NULL;
	if (broker_link_client.fd >= 0 && key->euid == broker_link_euid())
		conn = borrow_prepare(pool, key, now_ns);
	if (conn && looks_often)
		*looks_often = habit_looks_often(&conn->destination->looks, who);
	pool_leave();
	return conn;
}

/* Takes the answer (as broker_client_lease() returns it) and the descriptor that was given. NULL: there is no
 * connection. */
static struct conn *receive(struct idle_pool *pool, struct conn *conn, int answer, int fd, uint64_t now_ns)
{
	if (answer == BROKER_GIVEN)
		fd = fdtable_move_high(fd);
	else if (answer < 0 && answer != -EMFILE)
		broker_link_disconnect(pool, now_ns);
	conn = borrow_conclude(pool, conn, answer, fd);
	if (conn)
		stats_count(conn->destination->stats, STATS_LEASED);
	return conn;
}

/* The process's own connections that the broker holds, too: what else it holds is for others to lend. */
static uint32_t count_own(const struct destination_key *key, bool with_session, uint64_t now_ns)
{
	struct idle_pool *pool = broker_link_is_connected() ? pool_enter(now_ns) : NULL;
	struct destination *destination;
	uint32_t n = 0;

	if (!pool)
		return 0;
	destination = idle_pool_find(pool, key);
	if (destination)
		n = slots_n_held(&broker_link_client.slots, destination, with_session);
	pool_leave();
	return n;
}

/* Skip hopeless questions: a private process gets back only its own connections, and a destination that the board
 * doesn't show is held by nobody. */
static bool is_worth_asking(const struct destination_key *key, uint64_t kind, uint64_t now_ns)
{
	struct destination_key shown = *key;
	uint32_t n_held;

	if (!sock_config->broker_path[0] || sock_config->pool == CONFIG_POOL_LOCAL)
		return false;
	shown.netns_cookie ^= kind;
	n_held = board_n_held(&shown, now_ns);
	return n_held && n_held > count_own(key, kind != 0, now_ns);
}

void shared_refuse(int fd)
{
	if (fd < 0)
		return;
	ending_make_for_all(&sock_pool_sys, fd, NULL);
	real.close(fd);
}

struct conn *shared_take(const struct destination_key *key, uint64_t who, int *why)
{
	uint64_t now_ns = guard_now_ns();
	struct idle_pool *pool;
	struct conn *conn;
	bool looks_often = false;
	int fd;

	*why = BROKER_NONE;
	if (!is_worth_asking(key, 0, now_ns))
		return NULL;
	*why = BROKER_GIVEN;
	conn = shelf_take_one(key, who, now_ns);
	if (conn)
		return conn;
	*why = -EAGAIN;
	if (!broker_link_begin_question(now_ns, key))
		return NULL;
	conn = prepare(key, now_ns, who, &looks_often);
	/* Nobody waits for what comes of a question that was asked already. */
	if (!conn && broker_link_client.is_asked)
		broker_link_mark_down();
	if (conn) {
		*why = broker_client_lease(&broker_link_client, conn, looks_often, &fd);
		/* Without the lock nothing can be put back: the object is lost, nothing else. */
		pool = pool_enter(guard_now_ns());
		if (pool) {
			conn = receive(pool, conn, *why, fd, now_ns);
			pool_leave();
		} else {
			shared_refuse(fd);
			conn = NULL;
		}
	}
	broker_link_end_question();
	return conn;
}

/* Opens the memory that came with it. False: it is nothing of ours, and so the connection is of no use. */
static bool open_session(struct idle_pool *pool, struct conn *conn, int session)
{
	(void)pool;
	conn->session = session_layer->open(session);
	return conn->session;
}

static bool open_login(struct idle_pool *pool, struct conn *conn, int session)
{
	struct login login;

	return login_share_open(session, &login) && idle_pool_note_login(pool, conn, &login);
}

static struct conn *take_kind(const struct destination_key *key, uint64_t kind,
			      bool (*open)(struct idle_pool *pool, struct conn *conn, int session))
{
	uint64_t now_ns = guard_now_ns();
	struct idle_pool *pool;
	struct conn *conn;
	int answer, fd, session;

	if (!kind || !is_worth_asking(key, kind, now_ns) || !broker_link_begin_question(now_ns, NULL))
		return NULL;
	conn = prepare(key, now_ns, 0, NULL);
	if (conn) {
		answer = broker_client_lease_session(&broker_link_client, conn, kind, &fd, &session);
		pool = pool_enter(guard_now_ns());
		if (pool) {
			conn = receive(pool, conn, answer, fd, now_ns);
			if (conn && !open(pool, conn, session)) {
				idle_pool_end(pool, conn);
				conn = NULL;
			}
			pool_leave();
		} else {
			shared_refuse(fd);
			conn = NULL;
		}
		if (session >= 0)
			real.close(session);
	}
	broker_link_end_question();
	return conn;
}

struct conn *shared_take_session(const struct destination_key *key)
{
	return take_kind(key, sessions_kind(), open_session);
}

struct conn *shared_take_login(const struct destination_key *key, enum config_mysql_share share)
{
	return take_kind(key, sessions_login_kind(share), open_login);
}

struct conn *shared_ask_ticket(const struct destination_key *key, uint32_t max_conns, bool is_forced, int patience_ms,
			       int *fd)
{
	uint64_t now_ns = guard_now_ns();
	struct conn *conn;

	/* A connection that is not counted is one too many: it is worth waiting for a thread that is connecting just
	 * now. */
	broker_link_await_connection(patience_ms);
	conn = prepare(key, now_ns, 0, NULL);
	if (!conn)
		return NULL;
	*fd = broker_link_dial();
	if (*fd >= 0 && broker_client_ask_ticket(&broker_link_client, *fd, conn, max_conns, is_forced) == 0)
		return conn;
	if (*fd >= 0)
		fdtable_close_internal(*fd);
	*fd = -1;
	shared_give_up(conn);
	return NULL;
}

int shared_read_ticket(int ticket, uint64_t *number, int *fd)
{
	return broker_client_read_ticket(&broker_link_client, ticket, number, fd);
}

struct conn *shared_conclude(struct conn *conn, int fd)
{
	uint64_t now_ns = guard_now_ns();
	struct idle_pool *pool = pool_enter(now_ns);

	if (!pool) {
		shared_refuse(fd);
		return NULL;
	}
	/* The ticket's own connection failing says nothing about the other one. */
	conn = receive(pool, conn, fd >= 0 ? BROKER_GIVEN : BROKER_NONE, fd, now_ns);
	pool_leave();
	return conn;
}

void shared_give_up(struct conn *conn)
{
	struct idle_pool *pool = pool_enter(guard_now_ns());

	if (!pool)
		return;
	/* It may have been given just now: else the broker would count it until it looks. */
	broker_client_drop(&broker_link_client, conn);
	idle_pool_end(pool, conn);
	pool_leave();
}

static int offer_session(struct idle_pool *pool, struct conn *conn)
{
	int session = session_layer->descriptor(conn->session);

	/* Under a limit a connection counts by the ticket that it came by. */
	if (session < 0 || !sessions_kind() || conn->ticket_number)
		return 0;
	return broker_client_offer_session(pool->broker, conn, conn->began_unfit, sessions_kind(), session);
}

static int offer_login(struct idle_pool *pool, struct conn *conn)
{
	uint64_t kind = sessions_login_kind(conn->destination->policy->mysql_share);
	int memory, error;

	/* A program that asks for TLS there could not be served. */
	if (!kind || conn->ticket_number || conn->login->offers_tls || (memory = login_share_make(conn->login)) < 0)
		return 0;
	error = broker_client_offer_session(pool->broker, conn, conn->began_unfit, kind, memory);
	real.close(memory);
	return error;
}

void shared_offer(struct idle_pool *pool, struct conn *conn)
{
	int error;

	if (!pool->broker || conn->slot >= 0 || conn->destination->key.euid != broker_link_euid())
		return;
	if (conn->session)
		error = offer_session(pool, conn);
	else if (conn->login)
		error = offer_login(pool, conn);
	else
		error = broker_client_offer(pool->broker, conn, conn->began_unfit);
	/* It has gone: another one may have come. */
	if (error && error != -EAGAIN)
		broker_link_disconnect(pool, guard_now_ns());
}

void shared_note_look(struct idle_pool *pool, const struct destination_key *key)
{
	if (pool->broker)
		broker_client_looked(pool->broker, key);
}

void shared_relieve(struct idle_pool *pool, const struct destination_key *key)
{
	if (pool->broker)
		broker_client_relieve(pool->broker, key, false);
}

void shared_retire(struct idle_pool *pool, const struct destination_key *key)
{
	if (pool->broker)
		broker_client_relieve(pool->broker, key, true);
}
