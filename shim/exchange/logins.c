/* See logins.h. */
#include "shim/exchange/logins.h"

#include <poll.h>

#include "pool/base/clock.h"
#include "pool/config/config.h"
#include "pool/proto/mysql/login.h"
#include "shim/base/clock.h"
#include "shim/base/real.h"
#include "shim/kept/sessions.h"
#include "shim/sock/sock.h"

/* By this process, or by another one of its kind. */
static bool is_wanted_again(const struct sock *sock, const struct login *login)
{
	struct login_habits *habits = &sock->conn->destination->logins;
	bool is_first = !login_habits_note(habits, sock->caller, login);

	if (sessions_login_kind(sock->policy->mysql_share) && !login->offers_tls)
		return login_habits_allow(habits, sock->caller, login);
	return !is_first && login_habits_expect(habits, sock->caller, login);
}

enum refusal logins_note(struct sock *sock)
{
	struct login login = *mysql_login_of(&sock->protocol);
	enum refusal why = REFUSAL_NONE;
	struct mysql_greeting greeting;
	struct idle_pool *pool;

	if (!mysql_read_greeting(login.greeting, login.greeting_length, &greeting) || !greeting.is_native ||
	    !mysql_can_be_asked(login.capabilities))
		return REFUSAL_AUTHENTICATED;
	if (!greeting.has_reset)
		return REFUSAL_SESSION_STATE;
	login.may_take_long = mysql_is_in_transaction(&sock->protocol);
	login.offers_tls = greeting.offers_tls;
	/* A program that asks for TLS after all can't be served any more: its password is then for another connection's
	 * salt, where nobody can read it. */
	if (greeting.offers_tls && sock->policy->protocols != CONFIG_PROTOCOLS_MYSQL)
		return REFUSAL_POLICY;
	pool = pool_enter(guard_now_ns());
	if (!pool)
		return REFUSAL_ERROR;
	/* What will never be asked for again would have to be reset for nothing. */
	if (!is_wanted_again(sock, &login))
		why = REFUSAL_FIRST_LOGIN;
	else if (!idle_pool_note_login(pool, sock->conn, &login))
		why = REFUSAL_ERROR;
	pool_leave();
	return why;
}

/* As long as busy servers may take for what they have been asked, all together. */
#define PATIENCE_MS 200
#define ENDINGS_MAX 256

/* The descriptor of an idle connection; -1: there is none. */
static int next_login(bool is_awaited)
{
	struct idle_pool *pool = pool_enter(guard_now_ns());
	struct conn *conn = pool ? idle_pool_first_login(pool) : NULL;
	int fd = conn ? conn->fd : -1;

	if (conn && is_awaited)
		idle_pool_discard(pool, conn);
	if (pool)
		pool_leave();
	return fd;
}

void logins_end_all(void)
{
	uint64_t begin_ns = guard_clock_ns(), spent_ms;

	for (int i = 0; i < ENDINGS_MAX; i++) {
		struct pollfd entry = {.fd = next_login(false), .events = POLLIN};

		if (entry.fd < 0)
			return;
		/* Ended before it has answered, it would count as broken. */
		spent_ms = (guard_clock_ns() - begin_ns) / MILLISECOND_NS;
		REAL(poll)(&entry, 1, spent_ms < PATIENCE_MS ? (int)(PATIENCE_MS - spent_ms) : 0);
		next_login(true);
	}
}
