/* See stateful.h. */
#include "shim/exchange/stateful.h"

#include "pool/config/config.h"
#include "shim/base/cookie.h"
#include "shim/base/real.h"
#include "shim/connect/fence.h"
#include "shim/connect/fence_ahead.h"
#include "shim/connect/redial.h"
#include "shim/exchange/first_bytes.h"
#include "shim/exchange/iocall.h"
#include "shim/exchange/park.h"
#include "shim/exchange/send_plan.h"
#include "shim/sock/options.h"
#include "shim/sock/sock.h"

/* A goodbye is short. */
#define GOODBYE_MAX 32

static unsigned allowed(const struct policy *policy)
{
	unsigned among = 0;

	for (unsigned i = 0; i < PROTOCOL_COUNT; i++)
		among |= (unsigned)fence_is_allowed(policy, i) << i;
	return among;
}

void stateful_hear_first(struct sock *sock, const char *bytes, size_t length)
{
	enum protocol_number number = PROTOCOL_COUNT;

	if (bytes && sock->conn && !sock->is_leased && !sock->transport && sock->protocol.number == PROTOCOL_HTTP1)
		number = protocol_recognize_greeting(allowed(sock->policy), bytes, length);
	if (number != PROTOCOL_COUNT)
		protocol_begin_as(&sock->protocol, number);
}

int stateful_answer(struct sock *sock, const struct transfer *transfer)
{
	first_bytes_note(sock, true);
	sock_drop_replay(&sock->replay);
	if (sock->conn && !sock->conn->cookie)
		sock->conn->cookie = cookie_of(transfer->fd);
	return 0;
}

enum protocol_number stateful_recognize(const struct sock *sock, const char *bytes, size_t length)
{
	unsigned among;

	/* What is inside TLS is HTTP, or not followed. */
	if (sock->policy->protocols == CONFIG_PROTOCOLS_HTTP || sock->transport)
		return PROTOCOL_COUNT;
	among = allowed(sock->policy);
	/* Where several know it, what was spoken before. */
	if (sock->is_leased && sock->conn && among & 1u << sock->conn->protocol &&
	    protocol_knows(sock->conn->protocol, bytes, length))
		return sock->conn->protocol;
	return protocol_recognize(among, bytes, length);
}

/* What the connection's state will be. Behind REPLAY_MAX nobody knows whether the program's memory is there. */
static void look_ahead(struct protocol_state *state, const struct transfer *transfer, size_t total)
{
	size_t n, left = total < REPLAY_MAX ? total : REPLAY_MAX;
	const struct iovec *vector = transfer_vector(transfer, &n);

	for (size_t i = 0; i < n && left; i++) {
		size_t part = vector[i].iov_len < left ? vector[i].iov_len : left;

		protocol_feed_request(state, NULL, vector[i].iov_base, part, NULL);
		left -= part;
	}
}

/* May the kept connection carry them? MISSED_NONE: yes. */
static enum missed why_not_on_kept(struct sock *sock, const struct transfer *transfer, size_t total,
				   enum protocol_number number)
{
	struct protocol_state scratch;

	if (sock->conn->protocol != number)
		return MISSED_UNKNOWN_PROTOCOL;
	protocol_begin_as(&scratch, number);
	look_ahead(&scratch, transfer, total);
	if (protocol_status(&scratch).wants_fresh)
		return MISSED_WANTS_FRESH;
	if (sock->awaits_fence) {
		enum fence_result result = fence_ahead_look(sock);

		if (result != FENCE_GOOD)
			return result == FENCE_WRONG ? MISSED_FENCE_FAILED : MISSED_NONE;
	}
	return ledger_is_quiet(&sock_pool_sys, transfer->fd) ? MISSED_NONE : MISSED_STALE;
}

int stateful_begin(struct sock *sock, const struct transfer *transfer, size_t total, enum protocol_number number)
{
	first_bytes_note(sock, true);
	if (sock->is_leased && sock->conn) {
		enum missed why = why_not_on_kept(sock, transfer, total, number);
		int error = 0;

		if (why != MISSED_NONE) {
			sock->missed = why;
			error = redial(sock, REDIAL_FOR_UNFIT, -1);
		}
		if (error)
			return error;
	}
	/* One that comes again would be carried out twice. */
	sock_drop_replay(&sock->replay);
	protocol_begin_as(&sock->protocol, number);
	if (sock->is_leased && sock->conn)
		protocol_resume(&sock->protocol);
	if (!sock->conn || sock->policy->mode == CONFIG_MODE_OBSERVE)
		return 0;
	sock->conn->began_unfit = false;
	/* The server's unrequested bytes would be taken for the answer. */
	if (!sock->is_leased && first_bytes_has_spoken(sock, transfer->fd))
		sock_mark_unfit(sock, REFUSAL_UNKNOWN_PROTOCOL);
	if (!sock->conn->cookie)
		sock->conn->cookie = cookie_of(transfer->fd);
	return 0;
}

/* Into `bytes`. */
static bool is_goodbye(const struct sock *sock, const struct transfer *transfer, size_t total, char *bytes)
{
	if (total > GOODBYE_MAX || (transfer->flags & (MSG_OOB | MSG_FASTOPEN | MSG_ZEROCOPY)))
		return false;
	send_plan_copy_out(transfer, 0, bytes, total);
	return protocol_is_goodbye(&sock->protocol, bytes, total);
}

bool stateful_says_goodbye(struct sock *sock, const struct transfer *transfer, size_t total)
{
	char bytes[GOODBYE_MAX];

	if (!sock->has_sent || !protocol_status(&sock->protocol).at_boundary ||
	    sock->policy->mode == CONFIG_MODE_OBSERVE || !is_goodbye(sock, transfer, total, bytes))
		return false;
	return finish_with_farewell(sock, bytes);
}
