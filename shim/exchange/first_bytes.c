/* See first_bytes.h. */
#include "shim/exchange/first_bytes.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "pool/base/clock.h"
#include "pool/conn/idle_timeout.h"
#include "shim/base/clock.h"
#include "shim/base/cookie.h"
#include "shim/base/real.h"
#include "shim/connect/redial.h"
#include "shim/exchange/iocall.h"
#include "shim/exchange/send_plan.h"
#include "shim/exchange/transport.h"
#include "shim/kept/shared.h"
#include "shim/sock/options.h"
#include "shim/sock/sock.h"

#define FIRST_BYTES 32
#define YOUNG_TRIAL 16

static size_t copy_first(const struct transfer *transfer, size_t total, char *bytes)
{
	size_t length = total < FIRST_BYTES ? total : FIRST_BYTES;

	send_plan_copy_out(transfer, 0, bytes, length);
	return length;
}

enum framing_first first_bytes_classify(const struct transfer *transfer, size_t total)
{
	char first[FIRST_BYTES];

	return protocol_classify(first, copy_first(transfer, total, first));
}

static bool is_tls(const struct transfer *transfer, size_t total)
{
	char first[FIRST_BYTES];

	return protocol_is_tls(first, copy_first(transfer, total, first));
}

static bool wants_fresh(const struct sock *sock, const struct transfer *transfer, size_t total)
{
	char first[FIRST_BYTES];

	return protocol_of(&sock->protocol)->wants_fresh &&
	       protocol_wants_fresh(&sock->protocol, first, copy_first(transfer, total, first));
}

/* False for a kept connection whose server has hung up, or sent something that nobody asked for, since it was leased.
 * (In the same tick of the coarse clock that was only just asked.) */
static bool is_still_quiet(const struct sock *sock, int fd)
{
	return transport_of(sock)->is_quiet(fd);
}

/* The server of a fresh connection has. Unlike a receive this leaves an error of the dial for the program to find. */
__attribute__((noinline)) static bool has_spoken(int fd)
{
	int n;

	return real.ioctl(fd, FIONREAD, &n) == 0 && n > 0;
}

/* Bytes of an answer have arrived just now. The kernel's ledger tells, whichever process had the connection. */
static bool is_young(const struct sock *sock)
{
	struct ledger_reading reading;

	return sock->is_leased && sock->conn &&
	       ledger_check(&sock_pool_sys, sock->fds[0], &sock->conn->ledger, &reading) == LEDGER_EXACT &&
	       idle_timeout_is_young(sock->conn->destination, reading.last_data_ms * MILLISECOND_NS);
}

/* May a kept connection carry what begins so? */
static bool is_fit_for_kept(const struct sock *sock, enum framing_first first)
{
	if (first != FRAMING_FIRST_UNSAFE)
		return first == FRAMING_FIRST_SAFE;
	switch (sock->policy->unsafe_methods) {
	case CONFIG_UNSAFE_FRESH:
		return false;
	case CONFIG_UNSAFE_YOUNG:
		return is_young(sock);
	case CONFIG_UNSAFE_REUSE:
		return true;
	}
	return false;
}

/* Is this all of the request? The rest of one may go past us (stdio, sendfile, another process), and its program would
 * then wait in vain for an end that the server was told not to make. */
__attribute__((noinline)) static bool is_whole_request(const struct transfer *transfer, size_t total)
{
	struct protocol_state scratch;
	struct protocol_status status;
	size_t n;
	const struct iovec *iov = transfer_vector(transfer, &n);

	if (total > REPLAY_MAX)
		return false;
	protocol_begin(&scratch, false);
	for (size_t i = 0; i < n; i++)
		protocol_feed_request(&scratch, NULL, iov[i].iov_base, iov[i].iov_len, NULL);
	status = protocol_status(&scratch);
	return status.n_requests == 1 && !status.in_request;
}

/* True if nobody will ride on what it leaves, as far as can be told. */
static bool note_first(struct sock *sock, bool is_fit)
{
	struct destination *destination = sock->conn ? sock->conn->destination : NULL;
	struct idle_pool *pool = destination ? pool_enter(guard_now_ns()) : NULL;
	bool is_of_no_use;

	if (!pool)
		return false;
	/* The streak may belong to another pace by now: it is tried now and then. */
	is_of_no_use = !is_fit && habit_streak_lasts(&destination->unfit) &&
		       (sock->policy->unsafe_methods != CONFIG_UNSAFE_YOUNG || destination->unfit.n % YOUNG_TRIAL);
	if (is_fit)
		habit_streak_break(&destination->unfit);
	else
		habit_streak_add(&destination->unfit);
	habit_looks_note(&destination->looks, sock->caller, false);
	/* Asked for more than a look after all: a server may have no room for it beside what was passed over. */
	if (sock->missed == MISSED_PROBED && !sock->is_leased &&
	    !idle_pool_retire(pool, destination, REFUSAL_POOL_FULL))
		shared_retire(pool, &sock->key);
	/* The server is not to keep one more connection than the program uses. */
	sock->is_one_too_many = destination->n_idle && idle_pool_is_beyond_peak(destination);
	if (sock->is_one_too_many)
		protocol_forbid_edits(&sock->protocol);
	pool_leave();
	return is_of_no_use;
}

int first_bytes_prepare(struct sock *sock, const struct transfer *transfer, size_t total)
{
	enum framing_first first = first_bytes_classify(transfer, total);
	bool is_fit = is_fit_for_kept(sock, first) && send_plan_is_repeatable(transfer, total) &&
		      !wants_fresh(sock, transfer, total);
	bool is_of_no_use = note_first(sock, is_fit), was_moved = false;
	bool is_observed = sock->policy->mode == CONFIG_MODE_OBSERVE;
	int error = 0;

	if (sock->is_leased && !is_fit) {
		sock->missed = first == FRAMING_FIRST_UNKNOWN ? MISSED_UNKNOWN_PROTOCOL : MISSED_UNSAFE_METHOD;
		error = redial(sock, REDIAL_FOR_UNFIT, -1);
		was_moved = !error;
		/* Better one that may die meanwhile than an error that no program expects of a write. */
		if ((error == -EMFILE || error == -ENFILE) && first == FRAMING_FIRST_UNSAFE &&
		    is_still_quiet(sock, transfer->fd))
			error = 0;
		else if (first == FRAMING_FIRST_UNSAFE)
			events_refuse(sock, REFUSAL_UNSAFE_METHOD);
	} else if (sock->is_leased && guard_now_ns() != sock->leased_ns && !is_still_quiet(sock, transfer->fd)) {
		sock->missed = MISSED_STALE;
		error = redial(sock, REDIAL_FOR_UNFIT, -1);
	}
	if (error)
		return error;
	if (first == FRAMING_FIRST_UNKNOWN) {
		sock_untrack(sock, is_tls(transfer, total) ? REFUSAL_TLS_OPAQUE : REFUSAL_UNKNOWN_PROTOCOL);
		return 1;
	}
	if (is_of_no_use && !sock->is_leased) {
		/* Those that close first would use up the ports. */
		if (sock->conn && options_forgo_time_wait(sock->conn, transfer->fd))
			log_event("time wait", sock, NULL);
		sock_untrack(sock, was_moved ? REFUSAL_NONE : REFUSAL_UNSAFE_METHOD);
		return 1;
	}
	if (first != FRAMING_FIRST_SAFE && protocol_status(&sock->protocol).may_edit &&
	    !is_whole_request(transfer, total))
		protocol_forbid_edits(&sock->protocol);
	/* A request that may not be replayed needs no copy. */
	if (!is_fit)
		sock_drop_replay(&sock->replay);
	if (sock->conn)
		sock->conn->began_unfit = !is_fit && sock->policy->unsafe_methods == CONFIG_UNSAFE_FRESH;
	/* The server's unrequested bytes would be taken for the answer. */
	if (!is_observed && !sock->is_leased && has_spoken(transfer->fd)) {
		protocol_forbid_edits(&sock->protocol);
		sock_mark_unfit(sock, REFUSAL_UNKNOWN_PROTOCOL);
	}
	if (!sock->conn || is_observed)
		return 0;
	if (!sock->conn->cookie)
		sock->conn->cookie = cookie_of(transfer->fd);
	if (sock->wanted.set & 1u << SOCKET_OPTION_RCVLOWAT)
		protocol_forbid_edits(&sock->protocol);
	return 0;
}
