/* See advance.h. */
#include "shim/exchange/advance.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "pool/exchange/verdict.h"
#include "pool/proto/http1/memo.h"
#include "shim/base/large.h"
#include "shim/base/real.h"
#include "shim/connect/fence_ahead.h"
#include "shim/connect/redial.h"
#include "shim/exchange/park.h"
#include "shim/exchange/transport.h"
#include "shim/sock/sock.h"

/* Of all connections of the process. */
static LARGE struct framing_memo memo;

/* A process of few requests repeats none, and the memo's pages would cost more than it saves. */
#define FEEDS_WITHOUT_MEMO 4
static _Atomic(unsigned) n_feeds;

struct framing_memo *exchange_memo(void)
{
	if (__builtin_expect(atomic_load_explicit(&n_feeds, memory_order_relaxed) >= FEEDS_WITHOUT_MEMO, 1))
		return &memo;
	n_feeds++;
	return NULL;
}

bool exchange_is_hang_up(ssize_t result, int error)
{
	if (result >= 0)
		return result == 0;
	switch (error) {
	case EPIPE:
	case ECONNRESET:
	case ECONNABORTED:
	case ENOTCONN:
	case ETIMEDOUT:
	case EHOSTUNREACH:
	case ENETUNREACH:
		return true;
	default:
		return false;
	}
}

/* Its server may have said goodbye before it ends the connection. */
static bool inner_lives_or_has_answer(const struct sock *sock)
{
	char byte = 0;
	ssize_t n = transport_peek(sock->transport, sock->fds[0], &byte, 1, MSG_DONTWAIT);

	return n > 0 || (n < 0 && errno == EAGAIN);
}

/* The first bytes of an answer may have come, and lie unread before the end. */
static bool lives_or_has_answer(const struct sock *sock)
{
	uint64_t known = sock->conn->ledger.received;
	struct ledger_reading reading = {0};
	char byte;

	if (sock->transport)
		return inner_lives_or_has_answer(sock);
	/* Nor is one dead that is established. */
	switch (ledger_check(&sock_pool_sys, sock->fds[0], &sock->conn->ledger, &reading)) {
	case LEDGER_CLOSED:
		break;
	case LEDGER_EXACT:
	case LEDGER_IN_FLIGHT:
	case LEDGER_UNSETTLED:
	case LEDGER_SURPLUS:
	case LEDGER_MISMATCH:
	case LEDGER_UNKNOWN:
		return true;
	}
	if (reading.received != known + 1)
		return reading.received > known;
	/* The kernel counts a FIN as one. */
	return transport_peek(transport_of(sock), sock->fds[0], &byte, 1, MSG_DONTWAIT) > 0;
}

_Atomic(bool) exchange_met_stale;

static void note_stale(void)
{
	exchange_met_stale = true;
}

int exchange_recover(struct sock *sock, int longest_ms)
{
	bool is_replay;
	int error;

	if (!sock_in_window(sock) || sock->replacer || sock->n_senders || sock->n_receivers)
		return -EBUSY;
	if (sock->has_sent && !replay_prepare(&sock->replay, &sock->protocol))
		return -EBUSY;
	/* The answer to a question of ours is none to the program. */
	if (__builtin_expect(sock->awaits_fence, 0))
		fence_ahead_look(sock);
	/* Another process may have had the answer. */
	if ((sock->has_sent && atomic_load(&sock->is_shared)) || !sock->conn || lives_or_has_answer(sock))
		return -EBUSY;
	is_replay = sock->replay.length > 0;
	note_stale();
	error = redial(sock, REDIAL_FOR_STALE, longest_ms);
	if (error)
		return error;
	events_refuse(sock, REFUSAL_STALE);
	if (is_replay)
		stats_count(sock->tally.destination, STATS_REPLAYED);
	return 0;
}

bool exchange_recover_from_timeout(struct sock *sock)
{
	if (!replay_prepare(&sock->replay, &sock->protocol))
		return false;
	return redial(sock, REDIAL_FOR_STALE, -1) == 0;
}

/* A server that sends more than it said: the program is to have it all. */
static bool has_more(const struct sock *sock)
{
	char byte = 0;

	return sock->may_have_more && !sock->transport &&
	       transport_peek(transport_of(sock), sock->fds[0], &byte, 1, MSG_DONTWAIT) > 0;
}

void exchange_advance(struct sock *sock)
{
	if (sock->state != SOCK_OPEN)
		return;
	switch (verdict_next(&sock->protocol, sock->is_lost)) {
	case VERDICT_GO_ON:
		break;
	case VERDICT_END:
		if (has_more(sock))
			finish_with_end_of_file(sock);
		else
			finish_with_end_of_file_later(sock);
		break;
	case VERDICT_RELEASE:
		sock_untrack(sock, sock->unfit ?: protocol_status(&sock->protocol).doubt);
		break;
	case VERDICT_ASK_SERVER:
		sock_end_by_server(sock, protocol_status(&sock->protocol).refusal ?: REFUSAL_NO_FRAMING);
		break;
	}
}

void exchange_account_unseen(struct sock *sock, bool is_request, size_t length)
{
	struct protocol_status status = protocol_status(&sock->protocol);
	uint64_t skippable = is_request ? status.skippable_request : status.skippable_answer;

	if (length > skippable && (status.owes_end || status.end_is_due)) {
		sock_leave_window(sock);
		sock_end_by_server(sock, REFUSAL_LEDGER);
		return;
	}
	if (length > skippable) {
		sock_untrack(sock, REFUSAL_LEDGER);
		return;
	}
	if (is_request) {
		sock->has_sent = true;
		if (sock->conn)
			sock->conn->ledger.sent += length;
		sock_drop_replay(&sock->replay);
		protocol_pass_request(&sock->protocol, length);
	} else {
		if (sock->conn)
			sock->conn->ledger.received += length;
		sock_leave_window(sock);
		protocol_pass_response(&sock->protocol, length);
	}
	exchange_advance(sock);
}
