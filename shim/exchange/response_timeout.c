/* See response_timeout.h. */
#include "shim/exchange/response_timeout.h"

#include <errno.h>
#include <fcntl.h>

#include "shim/base/clock.h"
#include "pool/base/clock.h"
#include "shim/base/real.h"
#include "shim/exchange/iocall.h"
#include "shim/sock/options.h"
#include "shim/sock/sock.h"

static uint64_t limit_of(const struct sock *sock)
{
	struct protocol_status status = protocol_status(&sock->protocol);

	if (!sock->has_sent || status.answer_started || !status.awaits_answer)
		return 0;
	if (status.awaits_go_ahead && sock->policy->expect_continue_timeout_ns)
		return sock->policy->expect_continue_timeout_ns;
	return status.in_request ? 0 : sock->policy->response_header_timeout_ns;
}

uint64_t response_timeout_left(const struct sock *sock, const struct transfer *transfer)
{
	uint64_t limit_ns = limit_of(sock), own_ns;

	if (!limit_ns || (sock->status_flags & O_NONBLOCK) || (transfer->flags & MSG_DONTWAIT) ||
	    atomic_load(&sock->is_shared))
		return RESPONSE_TIMEOUT_ENDLESS;
	limit_ns = deadline_left_ns(deadline_after(sock->asked_ns, limit_ns), guard_now_ns());
	own_ns = options_timeout_ns(sock, SOCKET_OPTION_RCVTIMEO);
	return own_ns && own_ns <= limit_ns ? RESPONSE_TIMEOUT_ENDLESS : limit_ns;
}

bool response_timeout_wait(int fd, uint64_t left_ns)
{
	struct pollfd entry = {.fd = fd, .events = POLLIN};
	int n = REAL(poll)(&entry, 1, deadline_left_ms((struct deadline){left_ns}, 0));

	if (n)
		return n > 0;
	real.shutdown(fd, SHUT_RDWR);
	errno = ETIMEDOUT;
	return false;
}
