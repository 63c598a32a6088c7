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

void ending_make_for_all(const struct pool_sys *sys, int fd)
{
	int saved = errno;

	/* The server is still to get what it has not acknowledged. */
	if (ledger_has_unsent(sys, fd)) {
		sys->shutdown(fd, SHUT_RDWR);
	} else {
		receive_nothing_more(sys, fd);
		sys->shutdown(fd, SHUT_WR);
		sys->disconnect(fd);
	}
	errno = saved;
}

void ending_make(const struct pool_sys *sys, int fd, const struct ledger *ledger, bool has_holders)
{
	if (has_holders || ledger_check(sys, fd, ledger, NULL) == LEDGER_SURPLUS)
		ending_make_for_all(sys, fd);
}
