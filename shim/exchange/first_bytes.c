/* See first_bytes.h. */
#include "shim/exchange/first_bytes.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include "pool/base/clock.h"
#include "pool/conn/idle_timeout.h"
#include "pool/tls/hello.h"
#include "shim/base/clock.h"
#include "shim/base/cookie.h"
#include "shim/base/real.h"
#include "shim/connect/fence.h"
#include "shim/connect/redial.h"
#include "shim/exchange/iocall.h"
#include "shim/exchange/send_plan.h"
#include "shim/exchange/stateful.h"
#include "shim/exchange/transport.h"
#include "shim/kept/sessions.h"
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

static bool hash_nothing(unsigned hash_length, const uint8_t *key, size_t key_length, const uint8_t *bytes,
			 size_t length, uint8_t *out)
{
	(void)key;
	(void)key_length;
	(void)bytes;
	(void)length;
	memset(out, 0, hash_length);
	return true;
}

/* With --tls=reuse the connection might have been kept: the ClientHello asks for nothing that stands against it. What
 * the server chooses is not known, HTTP/2 perhaps where that is offered. */
static bool is_hello_to_be_kept(const struct transfer *transfer)
{
	static const struct tls_crypto no_crypto = {.hmac = hash_nothing};
	struct tls_hello hello;
	size_t n;
	const struct iovec *vector = transfer_vector(transfer, &n);

	return n && tls_hello_read(&no_crypto, vector->iov_base, vector->iov_len, NULL, 0, &hello) == TLS_HELLO_FINE;
}

/* It goes native. */
static void count_tls(struct sock *sock, const struct transfer *transfer)
{
	bool is_left_alone = sock->policy->tls == CONFIG_TLS_OFF || sock->policy->mode == CONFIG_MODE_OBSERVE;

	if (!is_left_alone || !session_layer || !session_layer->can_be_used() || !is_hello_to_be_kept(transfer))
		return;
	events_would_park(sock);
	log_event("reusable", sock, "tls");
}

/* False for a kept connection whose server has hung up, or sent something that nobody asked for, since it was leased.
 * (In the same tick of the coarse clock that was only just asked.) */
static bool is_still_quiet(const struct sock *sock, int fd)
{
	const struct transport *transport = transport_of(sock);

	return transport->is_quiet(transport, fd);
}

__attribute__((noinline)) bool first_bytes_has_spoken(const struct sock *sock, int fd)
{
	int n;

	if (sock->transport)
		return !is_still_quiet(sock, fd);
	return real.ioctl(fd, FIONREAD, &n) == 0 && n > 0;
}

/* Bytes of an answer have arrived just now. The kernel's ledger tells, whichever process had the connection. */
static bool is_young(const struct sock *sock)
{
	struct ledger_reading reading;

	return sock->is_leased && sock->conn &&
	       ledger_check(&sock_pool_sys, sock->fds[0], sock_ledger(sock), &reading) == LEDGER_EXACT &&
	       idle_timeout_is_young(sock->conn->destination, reading.last_data_ms * MILLISECOND_NS);
}

/* May a kept connection carry what begins so? */
static bool is_fit_for_kept(const struct sock *sock, enum framing_first first)
{
	/* It is under keys that this program has not asked for. */
	if (sock->is_leased && !sock->transport && sock->conn && sock->conn->session)
		return false;
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

bool first_bytes_note(struct sock *sock, bool is_fit)
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

static enum protocol_number recognize(const struct sock *sock, const struct transfer *transfer, size_t total)
{
	char first[FIRST_BYTES];

	return stateful_recognize(sock, first, copy_first(transfer, total, first));
}

/* Whose bytes they are, where they are not HTTP: an enum first_bytes, or -errno. False: nobody's here. */
static bool begin_other(struct sock *sock, const struct transfer *transfer, size_t total, int *result)
{
	enum protocol_number number = recognize(sock, transfer, total);

	*result = FIRST_BYTES_TRANSLATED;
	if (is_tls(transfer, total) && sock->policy->tls == CONFIG_TLS_REUSE &&
	    sock->policy->mode == CONFIG_MODE_FULL && session_layer && session_layer->take_first(sock, transfer))
		return true;
	*result = FIRST_BYTES_NATIVE;
	if (sock->state != SOCK_OPEN)
		return true;
	if (number == PROTOCOL_COUNT)
		return false;
	*result = stateful_begin(sock, transfer, total, number);
	return true;
}

static int go_native_unknown(struct sock *sock, const struct transfer *transfer, size_t total)
{
	enum refusal why = is_tls(transfer, total) ? REFUSAL_TLS_OPAQUE : REFUSAL_UNKNOWN_PROTOCOL;

	if (why == REFUSAL_TLS_OPAQUE)
		count_tls(sock, transfer);
	sock_untrack(sock, why);
	return FIRST_BYTES_NATIVE;
}

int first_bytes_prepare(struct sock *sock, const struct transfer *transfer, size_t total)
{
	enum framing_first first = fence_is_allowed(sock->policy, PROTOCOL_HTTP1)
					   ? first_bytes_classify(transfer, total)
					   : FRAMING_FIRST_UNKNOWN;
	bool is_fit = is_fit_for_kept(sock, first) && send_plan_is_repeatable(transfer, total);
	bool is_of_no_use, was_moved = false;
	bool is_observed = sock->policy->mode == CONFIG_MODE_OBSERVE;
	int error = 0, result;

	if (__builtin_expect(protocol_is_greeted(sock->protocol.number), 0))
		return stateful_answer(sock, transfer);
	if (__builtin_expect(first == FRAMING_FIRST_UNKNOWN, 0) && begin_other(sock, transfer, total, &result))
		return result;
	/* Another protocol is spoken on it. */
	if (sock->is_leased && sock->conn && sock->conn->protocol != PROTOCOL_HTTP1)
		is_fit = false;
	is_of_no_use = first_bytes_note(sock, is_fit);
	if (sock->is_leased && !is_fit) {
		sock->missed = first == FRAMING_FIRST_SAFE || first == FRAMING_FIRST_UNKNOWN ? MISSED_UNKNOWN_PROTOCOL
											     : MISSED_UNSAFE_METHOD;
		error = redial(sock, REDIAL_FOR_UNFIT, -1);
		was_moved = !error;
		/* Better one that may die meanwhile than an error that no program expects of a write. */
		if ((error == -EMFILE || error == -ENFILE || error == -EKEYREJECTED) && first == FRAMING_FIRST_UNSAFE &&
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
	if (first == FRAMING_FIRST_UNKNOWN)
		return go_native_unknown(sock, transfer, total);
	/* (What a transport still makes is the exchange's until it is there.) */
	if (is_of_no_use && !sock->is_leased && !(was_moved && sock->transport && sock->transport->redial)) {
		/* Those that close first would use up the ports. */
		if (sock->conn && options_forgo_time_wait(sock->conn, transfer->fd))
			log_event("time wait", sock, NULL);
		sock_untrack(sock, was_moved ? REFUSAL_NONE : REFUSAL_UNSAFE_METHOD);
		return FIRST_BYTES_NATIVE;
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
	if (!is_observed && !sock->is_leased && first_bytes_has_spoken(sock, transfer->fd)) {
		protocol_forbid_edits(&sock->protocol);
		sock_mark_unfit(sock, REFUSAL_UNKNOWN_PROTOCOL);
	}
	if (!sock->conn || is_observed)
		return FIRST_BYTES_TRACKED;
	if (!sock->conn->cookie)
		sock->conn->cookie = cookie_of(transfer->fd);
	if (sock->wanted.set & 1u << SOCKET_OPTION_RCVLOWAT)
		protocol_forbid_edits(&sock->protocol);
	return FIRST_BYTES_TRACKED;
}
