/* See send_plan.h. */
#include "shim/exchange/send_plan.h"

#include <string.h>

#include "shim/base/clock.h"
#include "shim/base/real.h"
#include "shim/exchange/advance.h"
#include "shim/exchange/iocall.h"
#include "shim/sock/sock.h"

static const char insertion[] = "Connection: keep-alive\r\n";
#define INSERTION_LENGTH (sizeof(insertion) - 1)

void send_plan_copy_out(const struct transfer *transfer, size_t skip, char *to, size_t length)
{
	size_t n;
	const struct iovec *iov = transfer_vector(transfer, &n);

	for (size_t i = 0; i < n && length; i++) {
		size_t part = iov[i].iov_len > skip ? iov[i].iov_len - skip : 0;

		if (part > length)
			part = length;
		memcpy(to, (const char *)iov[i].iov_base + skip, part);
		skip = skip > iov[i].iov_len ? skip - iov[i].iov_len : 0;
		to += part;
		length -= part;
	}
}

/* Carries the plan out on the copy. */
static void apply_plan(struct sock *sock, struct send_plan *sending)
{
	const struct framing_plan *plan = &sending->plan;
	struct outgoing *outgoing = &sock->outgoing;
	char *bytes = outgoing->bytes + sending->base;
	size_t own_base = sending->base - (sending->base > outgoing->inserted_at ? outgoing->inserted : 0);

	for (unsigned i = 0; i < plan->n_edits; i++) {
		memset(bytes + plan->edits[i].offset, ' ', plan->edits[i].length);
		outgoing_note_blank(outgoing, own_base + plan->edits[i].offset, plan->edits[i].length);
	}
	if (!plan->insert)
		return;
	memmove(bytes + plan->insert_offset + INSERTION_LENGTH, bytes + plan->insert_offset,
		sending->copied - plan->insert_offset);
	memcpy(bytes + plan->insert_offset, insertion, INSERTION_LENGTH);
	outgoing_note_insertion(outgoing, sending->base + plan->insert_offset, INSERTION_LENGTH);
	sending->inserted = INSERTION_LENGTH;
	sending->inserted_at = plan->insert_offset;
}

/* What comes with it is the kernel's business, and nothing of it is for a copy. */
static bool goes_as_it_is(const struct transfer *transfer)
{
	return (transfer->flags & (MSG_OOB | MSG_FASTOPEN | MSG_ZEROCOPY)) ||
	       (transfer->kind == TRANSFER_SENDMSG && transfer->message->msg_control &&
		transfer->message->msg_controllen);
}

bool send_plan_is_repeatable(const struct transfer *transfer, size_t total)
{
	return !goes_as_it_is(transfer) && total <= OUTGOING_MAX - INSERTION_LENGTH;
}

void send_plan_make(struct sock *sock, const struct transfer *transfer, struct send_plan *sending)
{
	bool wants_copy = sock->outgoing.is_complete || protocol_status(&sock->protocol).parses_request;
	size_t n_iov, room;

	/* Another process may read the answer, and would not know that it owes the program an end of file. */
	if (atomic_load(&sock->is_shared))
		protocol_forbid_edits(&sock->protocol);
	sending->before = sock->protocol;
	sending->n_fed = sock->n_fed;
	transfer_vector(transfer, &n_iov);
	/* Where it can't be sent again any more the block serves for this call only. */
	if (!sock->outgoing.is_complete) {
		outgoing_reset(&sock->outgoing);
		sock->outgoing.is_complete = false;
	}
	sending->base = sock->outgoing.length;
	room = OUTGOING_MAX - INSERTION_LENGTH;
	room = room > sending->base ? room - sending->base : 0;
	sending->copied = sending->total < room ? sending->total : room;
	sending->is_rest_appended = sending->copied < sending->total;
	if (!wants_copy || goes_as_it_is(transfer) || (sending->is_rest_appended && n_iov + 2 > SENDING_VECTOR_MAX) ||
	    !outgoing_reserve(&sock->outgoing, sending->copied + INSERTION_LENGTH)) {
		if (wants_copy) {
			protocol_forbid_edits(&sock->protocol);
			protocol_forbid_edits(&sending->before);
		}
		sending->copied = 0;
		return;
	}
	send_plan_copy_out(transfer, 0, sock->outgoing.bytes + sending->base, sending->copied);
	protocol_feed_request(&sock->protocol, exchange_memo(), sock->outgoing.bytes + sending->base, sending->copied,
			      &sending->plan);
	apply_plan(sock, sending);
}

size_t send_plan_own_bytes(const struct send_plan *sending, size_t sent)
{
	if (sent <= sending->inserted_at)
		return sent;
	return sent - sending->inserted_at < sending->inserted ? sending->inserted_at : sent - sending->inserted;
}

/* Feeds the accepted bytes behind `skip` from the program's own buffers, which the kernel has just read. */
static void feed_accepted(struct sock *sock, const struct transfer *transfer, size_t skip, size_t accepted)
{
	static const struct framing_plan as_they_are;
	size_t n, left = accepted - skip;
	const struct iovec *iov = transfer_vector(transfer, &n);

	for (size_t i = 0; i < n && left; i++) {
		size_t part = iov[i].iov_len > skip ? iov[i].iov_len - skip : 0;

		if (part > left)
			part = left;
		protocol_feed_request_part(&sock->protocol, (const char *)iov[i].iov_base + skip, part, &as_they_are);
		skip = skip > iov[i].iov_len ? skip - iov[i].iov_len : 0;
		left -= part;
	}
}

/* Not all of it went out after all. Once an answer was framed on that assumption there is no way back. */
bool send_plan_take_back(struct sock *sock, const struct send_plan *sending)
{
	if (sock->n_fed != sending->n_fed) {
		atomic_store(&sock->wants_release, true);
		return false;
	}
	sock->protocol = sending->before;
	return true;
}

/* The kernel took less than was planned for: what of the plan went out is known to it and to the framing alike. */
static void feed_part(struct sock *sock, const struct transfer *transfer, struct send_plan *sending, size_t accepted,
		      size_t sent)
{
	struct outgoing originals = {0};

	if (sent <= sending->inserted_at)
		sending->plan.insert = false;
	if (!outgoing_reserve(&originals, accepted)) {
		atomic_store(&sock->wants_release, true);
		return;
	}
	send_plan_copy_out(transfer, 0, originals.bytes, accepted);
	protocol_feed_request_part(&sock->protocol, originals.bytes, accepted, &sending->plan);
	outgoing_free(&originals, false);
}

void send_plan_account(struct sock *sock, const struct transfer *transfer, struct send_plan *sending, size_t sent)
{
	size_t accepted = send_plan_own_bytes(sending, sent);

	sock->has_sent = true;
	sock->asked_ns = guard_now_ns();
	if (sock->conn)
		sock->conn->ledger.sent += sent;
	if (accepted >= sending->copied)
		feed_accepted(sock, transfer, sending->copied, accepted);
	else if (send_plan_take_back(sock, sending))
		feed_part(sock, transfer, sending, accepted, sent);
	if (sock->outgoing.is_complete && accepted == sending->total && !sending->is_rest_appended && sending->copied)
		sock->outgoing.length = sending->base + (uint32_t)sent;
	else
		outgoing_free(&sock->outgoing, false);
}
