/* See ending.h. */
#include "pool/conn/ending.h"

#include <errno.h>
#include <netinet/in.h>
#include <stddef.h>

/* On another family's socket it fails, harmlessly. */
static void receive_nothing_more(const struct pool_sys *sys, int fd)
{
	static const int most_hops = 255;

	sys->setsockopt(fd, IPPROTO_IP, IP_MINTTL, &most_hops, sizeof(most_hops));
	sys->setsockopt(fd, IPPROTO_IPV6, IPV6_MINHOPCOUNT, &most_hops, sizeof(most_hops));
}

/* A server that has ended is told nothing. Without a wait: where the kernel has no room for it, it is not said. */
static void say(const struct pool_sys *sys, int fd, const struct pool_farewell *farewell)
{
	static const struct ledger none;
	struct pool_farewell said;
	struct iovec part = {said.bytes, 0};
	const struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

	if (!farewell || !farewell->length || ledger_check(sys, fd, &none, NULL) == LEDGER_CLOSED)
		return;
	said = *farewell;
	part.iov_len = said.length;
	sys->sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void ending_make_for_all(const struct pool_sys *sys, int fd, const struct pool_farewell *farewell)
{
	int saved = errno;
	/* The server is still to get what it has not acknowledged. */
	bool awaits_server = ledger_has_unsent(sys, fd);

	say(sys, fd, farewell);
	if (awaits_server) {
		sys->shutdown(fd, SHUT_RDWR);
	} else {
		/* The farewell and the end of file are on their way before the reset. */
		receive_nothing_more(sys, fd);
		sys->shutdown(fd, SHUT_WR);
		sys->disconnect(fd);
	}
	errno = saved;
}

#define DRAINS_MAX 64

uint64_t ending_drain(const struct pool_sys *sys, int fd)
{
	char bytes[256];
	uint64_t total = 0;
	int saved = errno;

	for (int i = 0; i < DRAINS_MAX && sys->recv; i++) {
		ssize_t n = sys->recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

		if (n <= 0)
			break;
		total += (uint64_t)n;
	}
	errno = saved;
	return total;
}

void ending_make(const struct pool_sys *sys, int fd, const struct ledger *ledger, bool has_holders,
		 const struct pool_farewell *farewell)
{
	int saved = errno;

	if (has_holders || ledger_check(sys, fd, ledger, NULL) == LEDGER_SURPLUS)
		ending_make_for_all(sys, fd, farewell);
	else
		say(sys, fd, farewell);
	errno = saved;
}
