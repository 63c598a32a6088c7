/* See ending.h. */
#include "pool/ending.h"

#include <stddef.h>

void ending_make_for_all(const struct pool_sys *sys, int fd)
{
	sys->shutdown(fd, SHUT_WR);
	sys->disconnect(fd);
}

void ending_make(const struct pool_sys *sys, int fd, const struct ledger *ledger, bool has_holders)
{
	if (has_holders || ledger_check(sys, fd, ledger, NULL) == LEDGER_SURPLUS)
		ending_make_for_all(sys, fd);
}
