/* See read_ahead.h. */
#include "shim/exchange/read_ahead.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "shim/base/clock.h"
#include "pool/base/clock.h"
#include "pool/exchange/plan.h"
#include "shim/base/real.h"
#include "shim/exchange/transport.h"
#include "shim/sock/sock.h"
#include "shim/sock/stub.h"
#include "shim/sock/swap.h"

#define WAIT_NS UINT64_C(2000000000)

/* Looks until the answer lies whole in the kernel's queue, and shows its end in the copy. Its length from here; 0: it
 * does not get there; -EBADMSG: what lies there is not how it goes on. `longest_ns` 0: one look. */
static ssize_t wait_for_rest(struct sock *sock, struct block *buffer, uint64_t longest_ns, bool *is_edited)
{
	uint64_t begin_ns = guard_now_ns();
	char *bytes = buffer->bytes;
	size_t room = BLOCK_MAX;

	do {
		ssize_t n = transport_peek(transport_of(sock), sock->fds[0], bytes, room, MSG_DONTWAIT);
		struct protocol_state scratch = sock->protocol;
		struct framing_plan plan = {0};

		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR) || n == (ssize_t)room)
			return 0;
		if (n > 0)
			protocol_feed_response(&scratch, NULL, bytes, (size_t)n, &plan);
		if (n > 0 && protocol_status(&scratch).is_lost)
			return -EBADMSG;
		if (n > 0 && protocol_status(&scratch).answer_ended) {
			plan_show_end(&plan, protocol_of(&scratch), bytes);
			*is_edited = plan.n_edits > 0;
			return n;
		}
		if (longest_ns)
			clock_nap(MILLISECOND_NS);
	} while (guard_now_ns() - begin_ns < longest_ns);
	return 0;
}

static bool put_ahead(struct sock *sock, const char *bytes, size_t length)
{
	struct stub stub = {-1, -1, 0};

	if (!swap_note_names(sock) || !stub_make_with(&stub, bytes, length))
		return false;
	if (real.fcntl(stub.end, F_SETFL, sock->status_flags) < 0 || swap_files(sock, stub.end)) {
		stub_close_pair(&stub);
		return false;
	}
	sock->stub = stub;
	sock_set_state(sock, SOCK_STUB);
	sock->stub_asks_fresh = true;
	/* Others will have it: the pair is not to be used again. */
	atomic_store(&sock->is_shared, true);
	sock_leave_window(sock);
	sock_drop_conn(sock);
	return true;
}

static bool put_ahead_for_all(struct sock *sock, char *bytes, size_t length)
{
	int old = fdtable_dup_high(sock->fds[0]);
	bool done = old >= 0 && put_ahead(sock, bytes, length);

	if (done) {
		real.recv(old, bytes, length, MSG_DONTWAIT);
		real.shutdown(old, SHUT_WR);
	}
	if (old >= 0)
		fdtable_close_internal(old);
	return done;
}

/* The answer is in the queue of a connection that the parent has, too, or what others have left of it. Nobody is to
 * read a byte of it twice: it stays there, for whoever reads on, unless it doesn't show its end. */
static bool finish_for_all(struct sock *sock, char *bytes, ssize_t length, bool is_edited)
{
	if (is_edited)
		return put_ahead_for_all(sock, bytes, (size_t)length);
	sock_end_by_server(sock, REFUSAL_SHARED);
	return true;
}

static bool can_be_looked_at(struct sock *sock, struct block *buffer)
{
	return sock->state == SOCK_OPEN && !sock->transport && !sock->is_lost &&
	       !protocol_status(&sock->protocol).is_lost && !protocol_status(&sock->protocol).in_request &&
	       blocks_grow(buffer, 0, BLOCK_MAX);
}

bool read_ahead_finish(struct sock *sock)
{
	struct block buffer = {0};
	bool done = false, is_edited = false;
	ssize_t length;

	if (!can_be_looked_at(sock, &buffer))
		return false;
	length = wait_for_rest(sock, &buffer, WAIT_NS, &is_edited);
	if (length && sock->is_inherited)
		done = finish_for_all(sock, buffer.bytes, length, is_edited);
	else if (length > 0)
		done = put_ahead(sock, buffer.bytes, (size_t)length);
	blocks_put(&buffer);
	return done;
}

bool read_ahead_leave(struct sock *sock, bool waits)
{
	struct block buffer = {0};
	bool is_edited;
	ssize_t length;

	if (!can_be_looked_at(sock, &buffer))
		return false;
	length = wait_for_rest(sock, &buffer, waits ? WAIT_NS : 0, &is_edited);
	blocks_put(&buffer);
	if (length)
		sock_end_by_server(sock, REFUSAL_SHARED);
	return length != 0;
}
