/* See send_plan.h. */
#include "shim/exchange/send_plan.h"

#include <string.h>

#include "shim/base/clock.h"
#include "shim/base/real.h"
#include "shim/exchange/advance.h"
#include "shim/exchange/iocall.h"
#include "shim/sock/sock.h"

void send_plan_copy_out(const struct transfer *transfer, size_t skip, char *to, size_t length)
{
	size_t n;
	const struct iovec *vector = transfer_vector(transfer, &n);

	plan_copy_out(vector, n, skip, to, length);
}

/* Control messages are for the kernel only, and not copied. */
static bool goes_as_it_is(const struct transfer *transfer)
{
	return (transfer->flags & (MSG_OOB | MSG_FASTOPEN | MSG_ZEROCOPY)) ||
	       (transfer->kind == TRANSFER_SENDMSG && transfer->message->msg_control &&
		transfer->message->msg_controllen);
}

bool send_plan_is_repeatable(const struct transfer *transfer, size_t total)
{
	return !goes_as_it_is(transfer) && total <= PLAN_ROOM_MAX;
}

void send_plan_make(struct sock *sock, const struct transfer *transfer, size_t total, struct send_plan *sending)
{
	struct plan *plan = &sending->plan;
	size_t n;
	const struct iovec *vector = transfer_vector(transfer, &n);
	bool wants_copy;

	/* Another process may read the answer, and would not know that it owes the program an end of file. */
	if (atomic_load(&sock->is_shared))
		protocol_forbid_edits(&sock->protocol);
	sending->n_fed = sock->n_fed;
	wants_copy = plan_begin(plan, &sock->protocol, &sock->replay, total);
	if (!wants_copy || goes_as_it_is(transfer) || (plan->is_rest_appended && n + 2 > SENDING_VECTOR_MAX) ||
	    !blocks_grow(&sock->replay.block, plan->base, plan_room(plan)))
		plan_give_up(plan, &sock->protocol, wants_copy);
	else
		plan_make(plan, &sock->protocol, exchange_memo(), &sock->replay, vector, n);
}

/* Not all of it went out after all. Once an answer was framed on that assumption there is no way back. */
bool send_plan_take_back(struct sock *sock, const struct send_plan *sending)
{
	if (sock->n_fed != sending->n_fed) {
		atomic_store(&sock->wants_release, true);
		return false;
	}
	plan_take_back(&sending->plan, &sock->protocol);
	return true;
}

/* The kernel took less than was planned for: what of the plan went out is known to it and to the framing alike. */
static void account_part(struct sock *sock, const struct transfer *transfer, struct send_plan *sending, size_t sent)
{
	size_t accepted = plan_own_bytes(&sending->plan, sent);
	struct block originals = {0};

	if (!blocks_grow(&originals, 0, accepted)) {
		atomic_store(&sock->wants_release, true);
		return;
	}
	send_plan_copy_out(transfer, 0, originals.bytes, accepted);
	plan_account_part(&sending->plan, &sock->protocol, originals.bytes, sent);
	blocks_put(&originals);
}

void send_plan_account(struct sock *sock, const struct transfer *transfer, struct send_plan *sending, size_t sent)
{
	struct plan *plan = &sending->plan;
	size_t n;
	const struct iovec *vector = transfer_vector(transfer, &n);

	sock->has_sent = true;
	sock->asked_ns = guard_now_ns();
	if (sock->conn)
		sock->conn->ledger.sent += sent;
	if (plan_own_bytes(plan, sent) >= plan->copied)
		plan_account_all(plan, &sock->protocol, vector, n, sent);
	else if (send_plan_take_back(sock, sending))
		account_part(sock, transfer, sending, sent);
	if (!plan_keep_copy(plan, &sock->replay, sent))
		sock_drop_replay(&sock->replay);
}
