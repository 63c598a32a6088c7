/* Lists and limits of the idle pool. See idle.h. */
#include "pool/idle.h"

#include <string.h>
#include <utlist.h>

#include "pool/base/clock.h"
#include "pool/config/rules.h"
#include "pool/conn/ending.h"
#include "pool/conn/idle_timeout.h"

static bool is_in_use(const struct destination *destination)
{
	return destination->n_idle || destination->n_open;
}

void idle_pool_init(struct idle_pool *pool, const struct pool_sys *sys, const struct config *config,
		    struct stats_page *stats)
{
	memset(pool, 0, sizeof(*pool));
	pool->sys = sys;
	pool->config = config;
	pool->stats = stats;
	arena_init(&pool->conn_arena, sys, sizeof(struct conn));
	arena_init(&pool->login_arena, sys, sizeof(struct login));
	destination_table_init(&pool->destinations, sys, sizeof(struct destination), is_in_use);
}

void idle_pool_count_in(struct idle_pool *pool, struct stats_page *stats)
{
	struct destination *destination;

	pool->stats = stats;
	DL_FOREACH2(pool->destinations.recent, destination, recent_next)
	if (destination->stats)
		destination->stats = stats_find_same(stats, destination->stats);
}

/* The only place that moves a connection's state: what it leaves, what it enters. */
static void change_state(struct idle_pool *pool, struct conn *conn, enum conn_state to)
{
	struct destination *destination = conn->destination;
	struct conn **slot = &pool->wheel[conn->expires_ns / SECOND_NS % IDLE_WHEEL_SLOTS];

	switch (conn->state) {
	case CONN_FREE:
		break;
	case CONN_OPEN:
		destination->n_open--;
		stats_gauge(&destination->stats->active, -1);
		break;
	case CONN_IDLE:
		DL_DELETE2(destination->idle, conn, destination_prev, destination_next);
		DL_DELETE2(pool->oldest, conn, age_prev, age_next);
		DL_DELETE2(*slot, conn, wheel_prev, wheel_next);
		destination->n_idle--;
		stats_gauge(&destination->stats->idle, -1);
		pool->n_idle--;
		break;
	}
	conn->state = to;
	switch (to) {
	case CONN_FREE:
		if (conn->ticket >= 0)
			pool->sys->close(conn->ticket);
		if (conn->session)
			pool->sys->end_session(conn->session);
		if (conn->login)
			arena_put(&pool->login_arena, conn->login);
		arena_put(&pool->conn_arena, conn);
		break;
	case CONN_OPEN:
		stats_gauge(&destination->stats->active, 1);
		idle_pool_note_dial(destination);
		destination->n_open++;
		break;
	case CONN_IDLE:
		DL_PREPEND2(destination->idle, conn, destination_prev, destination_next);
		DL_APPEND2(pool->oldest, conn, age_prev, age_next);
		DL_APPEND2(*slot, conn, wheel_prev, wheel_next);
		destination->n_idle++;
		stats_gauge(&destination->stats->idle, 1);
		pool->n_idle++;
		break;
	}
}

struct destination *idle_pool_find(struct idle_pool *pool, const struct destination_key *key)
{
	struct destination *destination = destination_table_take(&pool->destinations, key);

	if (destination && !destination->policy) {
		destination->policy = rules_find(pool->config, key);
		destination->stats = stats_find(pool->stats, key);
	}
	return destination;
}

struct conn *idle_pool_open(struct idle_pool *pool, struct destination *destination, uint64_t now_ns)
{
	struct conn *conn = arena_take(&pool->conn_arena);

	if (!conn)
		return NULL;
	memset(conn, 0, sizeof(*conn));
	conn->fd = -1;
	conn->destination = destination;
	conn->created_ns = now_ns;
	conn->used_ns = now_ns;
	conn->requests_left = UINT32_MAX;
	conn->slot = -1;
	conn->ticket = -1;
	change_state(pool, conn, CONN_OPEN);
	return conn;
}

/* An idle one is ours unless the broker was first. */
static bool claim(const struct idle_pool *pool, const struct conn *conn)
{
	return conn->slot < 0 || slots_claim(&pool->broker->slots, conn);
}

bool idle_pool_has_socket(const struct pool_sys *sys, const struct conn *conn)
{
	uint64_t cookie = 0;
	socklen_t length = sizeof(cookie);

	return conn->cookie && sys->getsockopt(conn->fd, SOL_SOCKET, SO_COOKIE, &cookie, &length) == 0 &&
	       cookie == conn->cookie;
}

/* One without a cookie has never been looked at. */
static bool is_still_its_own(const struct idle_pool *pool, const struct conn *conn)
{
	return !conn->cookie || idle_pool_has_socket(pool->sys, conn);
}

static void close_descriptor(const struct idle_pool *pool, const struct conn *conn, bool is_its_own)
{
	if (is_its_own)
		pool->sys->close(conn->fd);
	else if (pool->sys->forget)
		pool->sys->forget(conn->fd);
}

/* See ending.h. */
static void end_connection(struct idle_pool *pool, const struct conn *conn)
{
	const struct login *login = conn->login;
	struct pool_farewell farewell = {0};
	struct ledger ledger = conn->ledger;

	if (login) {
		farewell = login_farewell(login);
		ledger.received += ending_drain(pool->sys, conn->fd);
	} else if (conn->session && !pool->sys->take_farewell(conn->session, &farewell)) {
		farewell.length = 0;
	}
	ending_make(pool->sys, conn->fd, &ledger, conn->has_broker_dup, &farewell);
}

/* A connection of which the broker has a duplicate does not end with our descriptor; one that another process has taken
 * must not end. */
static void end_idle(struct idle_pool *pool, struct conn *conn, bool is_ours)
{
	bool is_its_own = is_still_its_own(pool, conn);

	if (is_ours && is_its_own)
		end_connection(pool, conn);
	if (conn->slot >= 0)
		slots_free(&pool->broker->slots, conn);
	close_descriptor(pool, conn, is_its_own);
	change_state(pool, conn, CONN_FREE);
}

void idle_pool_discard(struct idle_pool *pool, struct conn *conn)
{
	if (conn->state == CONN_IDLE) {
		end_idle(pool, conn, claim(pool, conn));
		return;
	}
	if (conn->slot >= 0)
		broker_client_drop(pool->broker, conn);
	if (conn->fd >= 0)
		close_descriptor(pool, conn, is_still_its_own(pool, conn));
	change_state(pool, conn, CONN_FREE);
}

void idle_pool_end(struct idle_pool *pool, struct conn *conn)
{
	if (conn->fd >= 0 && is_still_its_own(pool, conn))
		end_connection(pool, conn);
	idle_pool_discard(pool, conn);
}

/* It goes on without us: our descriptor is all that ends. */
static void leave(struct idle_pool *pool, struct conn *conn)
{
	if (conn->slot >= 0)
		slots_leave(&pool->broker->slots, conn);
	close_descriptor(pool, conn, is_still_its_own(pool, conn));
	change_state(pool, conn, CONN_FREE);
}

/* Spread over +-20 %, or all connections opened together would end together. */
static uint64_t age_limit_ns(const struct conn *conn)
{
	uint64_t limit = conn->destination->policy->max_conn_age_ns;

	return limit ? limit / 100 * (80 + conn->cookie * 2654435761u % 41) : UINT64_MAX;
}

/* When a connection that goes idle now has to end; 0: at once. */
static uint64_t deadline_ns(const struct conn *conn, uint64_t now_ns)
{
	const struct policy *policy = conn->destination->policy;
	uint64_t idle_limit = idle_timeout_limit_ns(conn->destination);
	uint64_t age = now_ns - conn->created_ns;
	uint64_t age_limit = age_limit_ns(conn);

	if (policy->idle_conn_timeout_ns && policy->idle_conn_timeout_ns < idle_limit)
		idle_limit = policy->idle_conn_timeout_ns;
	if (age >= age_limit)
		return 0;
	if (age_limit - age < idle_limit)
		idle_limit = age_limit - age;
	return idle_limit > UINT64_MAX - now_ns ? UINT64_MAX : now_ns + idle_limit;
}

bool idle_pool_note_login(struct idle_pool *pool, struct conn *conn, const struct login *login)
{
	if (!conn->login)
		conn->login = arena_take(&pool->login_arena);
	if (conn->login)
		*conn->login = *login;
	return conn->login;
}

struct conn *idle_pool_first_login(const struct idle_pool *pool)
{
	struct conn *conn;

	DL_FOREACH2(pool->oldest, conn, age_next)
	if (conn->login && !conn->has_broker_dup)
		return conn;
	return NULL;
}

bool idle_pool_is_beyond_peak(const struct destination *destination)
{
	/* With a limit, the broker counts; and connects that wait for their turn are among the open ones here. */
	return !destination->policy->max_conns_per_host &&
	       destination->n_open + destination->n_idle > destination->peak_open;
}

void idle_pool_note_dial(struct destination *destination)
{
	if (destination->n_open + 1 > destination->peak_open)
		destination->peak_open = destination->n_open + 1;
}

bool idle_pool_is_used_up(const struct conn *conn, uint32_t n_more, uint64_t now_ns)
{
	uint32_t limit = conn->destination->policy->max_conn_requests;

	return now_ns - conn->created_ns >= age_limit_ns(conn) || conn->requests_left <= n_more ||
	       (limit && conn->n_requests + n_more >= limit);
}

enum refusal idle_pool_park(struct idle_pool *pool, struct conn *conn, uint64_t now_ns)
{
	struct destination *destination = conn->destination;
	const struct config *config = pool->config;
	const struct policy *policy = destination->policy;
	/* A look tells nothing new of the server. */
	uint64_t since_ns = conn->was_looked_at && conn->idle_since_ns ? conn->idle_since_ns : now_ns;
	uint64_t expires_ns = deadline_ns(conn, since_ns);

	if (expires_ns <= now_ns || idle_pool_is_used_up(conn, 0, now_ns))
		return REFUSAL_POLICY;
	/* Connections replaced behind the pool's back could add up to more than the program ever used. */
	if (idle_pool_is_beyond_peak(destination) && !idle_pool_retire(pool, destination, REFUSAL_POOL_FULL))
		return REFUSAL_POOL_FULL;
	if (policy->max_idle_conns_per_host && destination->n_idle >= policy->max_idle_conns_per_host)
		idle_pool_retire(pool, destination, REFUSAL_POOL_FULL);
	if (config->max_idle_conns && pool->n_idle >= config->max_idle_conns) {
		stats_refuse(pool->oldest->destination->stats, REFUSAL_POOL_FULL);
		idle_pool_discard(pool, pool->oldest);
	}
	conn->expires_ns = expires_ns;
	conn->idle_since_ns = since_ns;
	conn->used_ns = since_ns;
	change_state(pool, conn, CONN_IDLE);
	if (conn->slot >= 0) {
		slots_publish(&pool->broker->slots, conn);
		if (slots_has_waiters(&pool->broker->slots))
			broker_client_tell_idle(pool->broker);
	}
	stats_count(destination->stats, STATS_PARKED);
	return REFUSAL_NONE;
}

void idle_pool_take_in(struct idle_pool *pool, struct conn *conn)
{
	change_state(pool, conn, CONN_IDLE);
	if (conn->slot >= 0)
		slots_publish(&pool->broker->slots, conn);
}

static enum ledger_verdict check_ledger(const struct idle_pool *pool, const struct conn *conn,
					struct ledger_reading *reading)
{
	return ledger_check_fenced(pool->sys, conn->fd, &conn->ledger, &conn->fence, reading);
}

void idle_pool_hear(struct idle_pool *pool, struct conn *conn)
{
	bool is_ours = claim(pool, conn);
	enum ledger_verdict ledger = is_ours ? check_ledger(pool, conn, NULL) : LEDGER_UNKNOWN;

	if (ledger == LEDGER_EXACT) {
		/* It was nothing. */
		if (conn->slot >= 0)
			slots_publish(&pool->broker->slots, conn);
		return;
	}
	if (is_ours)
		stats_refuse(conn->destination->stats,
			     ledger == LEDGER_CLOSED ? REFUSAL_SERVER_IDLE_CLOSE : REFUSAL_LEDGER);
	end_idle(pool, conn, is_ours);
}

bool idle_pool_retire(struct idle_pool *pool, struct destination *destination, enum refusal why)
{
	if (!destination->idle)
		return false;
	stats_refuse(destination->stats, why);
	/* The head's `prev` is the tail: the one that has been idle for longest. */
	idle_pool_discard(pool, destination->idle->destination_prev);
	return true;
}

void idle_pool_retire_peer(struct idle_pool *pool, const struct destination_key *key)
{
	struct conn *conn, *next;

	DL_FOREACH_SAFE2(pool->oldest, conn, next, age_next)
	if (destination_key_is_same_peer(&conn->destination->key, key))
		idle_pool_discard(pool, conn);
}

/* Why it is of no use any more; what its end teaches has been learned. REFUSAL_NONE: it is. */
static enum refusal refusal_of_idle(struct idle_pool *pool, const struct conn *conn, uint64_t now_ns)
{
	uint64_t idle_ns = now_ns - conn->idle_since_ns;
	struct ledger_reading reading;
	enum ledger_verdict verdict;

	if (now_ns >= conn->expires_ns)
		return REFUSAL_IDLE_TIMEOUT;
	/* Parked in this very tick of the clock, with an exact ledger: only the server may have done something. */
	if (!idle_ns && ledger_is_quiet(pool->sys, conn->fd))
		return REFUSAL_NONE;
	verdict = check_ledger(pool, conn, &reading);
	if (verdict == LEDGER_EXACT)
		return REFUSAL_NONE;
	/* A server that keeps nothing, though it does not say so. */
	if (verdict == LEDGER_CLOSED && idle_ns < SECOND_NS)
		bypass_note_failure(&conn->destination->bypass, REFUSAL_SERVER_IDLE_CLOSE, now_ns);
	if (verdict == LEDGER_CLOSED && reading.last_ack_ms * MILLISECOND_NS < idle_ns)
		idle_timeout_closed(conn->destination, idle_ns - reading.last_ack_ms * MILLISECOND_NS);
	return verdict == LEDGER_CLOSED ? REFUSAL_SERVER_IDLE_CLOSE : REFUSAL_LEDGER;
}

/* Its server may yet be reading the last request's body: not for anybody now, but it may be in a moment. */
static bool is_for_later(const struct idle_pool *pool, struct conn *conn)
{
	if (conn->is_in_flight)
		conn->is_in_flight = check_ledger(pool, conn, NULL) == LEDGER_IN_FLIGHT;
	return conn->is_in_flight;
}

/* Is it as true an answer as a new handshake? (What is no connection any more will be found to be none.) */
static bool tells_the_truth(const struct idle_pool *pool, const struct conn *conn)
{
	struct ledger_reading reading;

	return check_ledger(pool, conn, &reading) != LEDGER_EXACT ||
	       (reading.last_ack_ms <= HABIT_ALIVE_MS && !conn->was_looked_at);
}

struct conn *idle_pool_lease_fit(struct idle_pool *pool, struct destination *destination, uint64_t who, uint64_t now_ns,
				 bool (*fits)(const struct conn *conn, const void *what), const void *what,
				 enum refusal *why)
{
	bool wants_truth = habit_looks_often(&destination->looks, who), was_passed_over = false,
	     is_one_in_flight = false;
	struct conn *conn, *next;

	*why = REFUSAL_NONE;
	for (conn = destination->idle; conn; conn = next) {
		bool is_ours;

		next = conn->destination_next;
		if (fits && !fits(conn, what))
			continue;
		if (is_for_later(pool, conn)) {
			is_one_in_flight = true;
			continue;
		}
		if (wants_truth && !tells_the_truth(pool, conn)) {
			was_passed_over = true;
			continue;
		}
		is_ours = claim(pool, conn);
		if (is_ours && (*why = refusal_of_idle(pool, conn, now_ns)) == REFUSAL_NONE) {
			change_state(pool, conn, CONN_OPEN);
			stats_count(destination->stats, STATS_LEASED);
			return conn;
		}
		if (is_ours)
			stats_refuse(destination->stats, *why);
		end_idle(pool, conn, is_ours);
	}
	if (was_passed_over)
		stats_refuse(destination->stats, *why = REFUSAL_PROBED);
	/* A server that serves one at a time may wait for its end. What is on its way arrives before that. */
	else if (is_one_in_flight)
		idle_pool_retire(pool, destination, *why = REFUSAL_LEDGER);
	return NULL;
}

struct conn *idle_pool_lease(struct idle_pool *pool, struct destination *destination, uint64_t who, uint64_t now_ns,
			     enum refusal *why)
{
	return idle_pool_lease_fit(pool, destination, who, now_ns, NULL, NULL, why);
}

/* So many idle connections of one destination for different kinds of session, at the most. */
#define KINDS_MAX 8

void idle_pool_give_back(struct idle_pool *pool, struct conn *conn, uint64_t now_ns)
{
	struct destination *destination = conn->destination;

	if (destination->peak_open <= destination->n_open + destination->n_idle && destination->peak_open < KINDS_MAX)
		destination->peak_open++;
	conn->was_looked_at = true;
	if (idle_pool_park(pool, conn, now_ns) != REFUSAL_NONE)
		idle_pool_end(pool, conn);
}

static void expire_slot(struct idle_pool *pool, struct conn *head, uint64_t now_ns)
{
	struct conn *conn, *next;

	DL_FOREACH_SAFE2(head, conn, next, wheel_next)
	{
		/* A slot also holds those of later turns of the wheel. */
		if (conn->expires_ns > now_ns)
			continue;
		stats_refuse(conn->destination->stats, REFUSAL_IDLE_TIMEOUT);
		idle_pool_discard(pool, conn);
	}
}

/* Other processes have them now. (Only what is idle can be taken; shared memory may say anything.) */
static void let_go_of_taken(struct idle_pool *pool)
{
	struct conn *conn;

	while ((conn = slots_next_taken(&pool->broker->slots)) ||
	       (conn = slots_next_taken_from_shelf(&pool->broker->slots))) {
		if (conn->state == CONN_IDLE)
			end_idle(pool, conn, false);
		else
			slots_free(&pool->broker->slots, conn);
	}
}

void idle_pool_expire(struct idle_pool *pool, uint64_t now_ns)
{
	uint64_t second = now_ns / SECOND_NS;
	uint64_t first = pool->wheel_second;

	if (pool->broker && (slots_has_news(&pool->broker->slots) || second != first))
		let_go_of_taken(pool);
	if (second == first)
		return;
	pool->wheel_second = second;
	if (!pool->n_idle)
		return;
	if (second - first > IDLE_WHEEL_SLOTS)
		first = second - IDLE_WHEEL_SLOTS;
	/* The present second's slot is left for later, or a slot would be walked on every call. */
	for (; first < second; first++)
		expire_slot(pool, pool->wheel[first % IDLE_WHEEL_SLOTS], now_ns);
}

/* The broker inherits what says that it is idle: from here on nothing of ours does. */
static void take_back_idle(struct idle_pool *pool, int first_slot)
{
	struct conn *conn, *next;

	DL_FOREACH_SAFE2(pool->oldest, conn, next, age_next)
	{
		if (conn->slot < first_slot)
			continue;
		if (claim(pool, conn))
			slots_free(&pool->broker->slots, conn);
		else
			end_idle(pool, conn, false);
	}
}

void idle_pool_leave_shelf(struct idle_pool *pool)
{
	take_back_idle(pool, SLOTS_PER_REGION);
	slots_free_all_on_shelf(&pool->broker->slots);
}

void idle_pool_disconnect(struct idle_pool *pool)
{
	take_back_idle(pool, 0);
	slots_free_all(&pool->broker->slots);
	broker_client_end(pool->broker);
}

void idle_pool_let_go(struct idle_pool *pool)
{
	while (pool->oldest) {
		if (pool->oldest->slot >= 0)
			leave(pool, pool->oldest);
		else
			end_idle(pool, pool->oldest, true);
	}
}

void idle_pool_clear(struct idle_pool *pool)
{
	while (pool->oldest)
		leave(pool, pool->oldest);
}
