/* See events.h. */
#include "shim/sock/events.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <linux/tcp.h>

#include "shim/base/callsite.h"
#include "shim/base/clock.h"
#include "shim/base/lock.h"
#include "shim/base/log.h"
#include "shim/base/probes.h"
#include "shim/base/real.h"
#include "shim/base/stats_page.h"
#include "shim/sock/sock.h"

static int port_of(const struct tally *tally)
{
	return tally->destination ? ntohs(tally->destination->port) : 0;
}

static int fd_of(const struct sock *sock)
{
	return sock->n_fds ? sock->fds[0] : -1;
}

/* Most programs go on to where they went last. */
static struct stats_destination *find_destination(const struct destination_key *key)
{
	static __thread struct stats_destination *last __attribute__((tls_model("initial-exec")));
	static __thread const struct stats_page *last_page __attribute__((tls_model("initial-exec")));

	if (last_page != page || last->port != key->port ||
	    memcmp(last->address, key->address, sizeof(last->address)) != 0 || last->family != key->family ||
	    last->scope_id != key->scope_id || last->netns_cookie != key->netns_cookie)
		last = stats_find(page, key);
	last_page = page;
	return last;
}

static struct idle_pool *held; /* by who moves the page */

/* Gauges change under the pool's lock. */
static bool hold_pool(void)
{
	struct idle_pool *pool = pool_enter(guard_now_ns());

	if (pool)
		held = pool;
	return pool;
}

static void follow_tally(struct tally *tally, const struct stats_page *former)
{
	if (tally->destination)
		tally->destination = stats_find_same(page, tally->destination);
	if (tally->callsite)
		tally->callsite = stats_find_moved(page, former, tally->callsite);
}

/* A socket that another thread is busy with, or that we interrupt, is left out: it counts on in the former page,
 * from which that is added at the process's end. */
static void follow_page(const struct stats_page *former)
{
	idle_pool_count_in(held, page);
	for (int fd = 0, end = fdtable_end(); fd < end; fd++) {
		struct sock *sock = fdtable_get_sock(fd);

		/* It may stand at several numbers. */
		if (!sock || sock->fds[0] != fd)
			continue;
		if (!guard_lock_try_now(&sock->lock))
			continue;
		follow_tally(&sock->tally, former);
		guard_unlock(&sock->lock);
	}
}

const struct stats_page_users events_users = {.hold = hold_pool, .follow = follow_page, .let_go = pool_leave};

void events_connect(struct sock *sock, void *caller)
{
	stats_page_begin();
	sock->tally.destination = find_destination(&sock->key);
	sock->tally.callsite = callsite_find(sock->tally.destination, caller);
	events_connect_again(sock);
}

void events_connect_again(struct sock *sock)
{
	struct tally *tally = &sock->tally;

	*tally = (struct tally){
		.destination = tally->destination, .callsite = tally->callsite, .connected_ns = guard_now_ns()};
	stats_count(tally->destination, STATS_CONNECTS);
	if (tally->callsite)
		stats_add(&tally->callsite->connects, 1);
}

void events_begin_dial(struct tally *tally)
{
	if (tally->destination)
		tally->dialing_ns = guard_clock_ns();
}

void events_end_dial(struct tally *tally, int fd, int error)
{
	uint64_t duration_ns;

	if (!tally->dialing_ns || error == EINPROGRESS || error == EINTR)
		return;
	duration_ns = guard_clock_ns() - tally->dialing_ns;
	tally->dialing_ns = 0;
	if (error) {
		tally->has_failed = true;
		stats_count_failure(tally->destination, error);
		PROBE_DIAL_FAIL(fd, port_of(tally), error);
		return;
	}
	stats_count_dial(tally->destination, duration_ns);
	if (tally->callsite)
		stats_add(&tally->callsite->dialed, 1);
	PROBE_DIAL(fd, port_of(tally), duration_ns);
}

void events_dial_done(struct sock *sock, int error)
{
	if (__builtin_expect(sock->tally.dialing_ns != 0, 0))
		events_end_dial(&sock->tally, fd_of(sock), error);
}

/* Of tcpi_state: netinet/tcp.h has them, but not the newer fields of tcp_info. */
enum { STATE_SYN_SENT = 2, STATE_CLOSE = 7 };

/* Apart, since hardly any socket comes here. */
__attribute__((noinline)) static void ask_kernel(struct sock *sock, int fd, bool goes_on)
{
	struct tcp_info info = {0};
	socklen_t length = sizeof(info);

	if (real.getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0)
		info.tcpi_state = STATE_CLOSE;
	if (info.tcpi_state == STATE_SYN_SENT && !goes_on) {
		sock->tally.has_failed = true;
		stats_count(sock->tally.destination, STATS_ABANDONED);
		sock->tally.dialing_ns = 0;
		return;
	}
	/* An acknowledgement shows that the server was there. */
	events_dial_done(sock, info.tcpi_state == STATE_CLOSE && !info.tcpi_bytes_acked ? ECONNREFUSED : 0);
}

void events_ask_dial(struct sock *sock, bool goes_on)
{
	if (sock->tally.dialing_ns && sock->n_fds)
		ask_kernel(sock, sock->fds[0], goes_on);
}

void log_event(const char *what, const struct sock *sock, const char *why)
{
	log_write(what, &sock->key, fd_of(sock), why);
}

void events_lease(const struct sock *sock)
{
	PROBE_REUSE(fd_of(sock), port_of(&sock->tally));
}

/* The lesson for the next connections there. */
static void note_failure(const struct sock *sock, enum refusal why)
{
	uint64_t now_ns = guard_now_ns();
	struct idle_pool *pool = sock->conn && sock->policy->mode == CONFIG_MODE_FULL ? pool_enter(now_ns) : NULL;
	bool has_begun;

	if (!pool)
		return;
	has_begun = !sock->is_one_too_many && bypass_note_failure(&sock->conn->destination->bypass, why, now_ns);
	pool_leave();
	if (has_begun)
		log_event("bypass", sock, stats_refusal_names[why]);
}

void events_refuse(struct sock *sock, enum refusal why)
{
	if (sock->tally.has_failed)
		return;
	stats_refuse(sock->tally.destination, why);
	note_failure(sock, why);
	PROBE_REFUSE(fd_of(sock), port_of(&sock->tally), why);
}

void events_park(struct sock *sock)
{
	sock->tally.was_kept = true;
	PROBE_RETURN(fd_of(sock), port_of(&sock->tally));
}

void events_would_park(struct sock *sock)
{
	sock->tally.was_kept = true;
	stats_count(sock->tally.destination, STATS_REUSABLE);
}

void events_close(struct sock *sock, int fd)
{
	struct tally *tally = &sock->tally;

	if (!tally->destination || tally->has_failed)
		return;
	stats_add_interval(page, tally->destination, tally->connected_ns, guard_now_ns(), tally->was_kept);
	PROBE_CLOSE(fd, port_of(tally));
}
