/* See read_ahead.h. */
#include "shim/exchange/read_ahead.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "shim/base/clock.h"
#include "pool/exchange/plan.h"
#include "shim/base/real.h"
#include "shim/exchange/transport.h"
#include "shim/sock/sock.h"
#include "shim/sock/stub.h"
#include "shim/sock/swap.h"

#define WAIT_NS UINT64_C(2000000000)

/* Looks until the answer lies whole in the kernel's queue. Its length from here, 0 if it does not get there. */
static size_t wait_for_rest(struct sock *sock, char *bytes, size_t room)
{
	uint64_t begin_ns = guard_now_ns();

	while (guard_now_ns() - begin_ns < WAIT_NS) {
		ssize_t n = transport_peek(transport_of(sock), sock->fds[0], bytes, room, MSG_DONTWAIT);
		struct protocol_state scratch = sock->protocol;
		struct framing_plan plan = {0};

		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR) || n == (ssize_t)room)
			return 0;
		if (n > 0)
			protocol_feed_response(&scratch, NULL, bytes, (size_t)n, &plan);
		if (n > 0 && protocol_status(&scratch).answer_ended) {
			plan_show_end(&plan, protocol_of(&scratch), bytes);
			return (size_t)n;
		}
		libc.nanosleep(&(struct timespec){0, 1000000}, NULL);
	}
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

bool read_ahead_finish(struct sock *sock)
{
	struct block buffer = {0};
	bool done = false;
	size_t length;

	if (sock->state != SOCK_OPEN || sock->transport || sock->is_lost || protocol_status(&sock->protocol).is_lost ||
	    protocol_status(&sock->protocol).in_request || !blocks_grow(&buffer, 0, BLOCK_MAX))
		return false;
	length = wait_for_rest(sock, buffer.bytes, BLOCK_MAX);
	if (length)
		done = put_ahead(sock, buffer.bytes, length);
	blocks_put(&buffer);
	return done;
}
