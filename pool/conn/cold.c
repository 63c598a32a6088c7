/* See cold.h. */
#include "pool/conn/cold.h"

#include "pool/base/clock.h"
#include "pool/conn/conn.h"

#define COLD_AFTER_NS (2 * SECOND_NS)
#define TIMEOUT_MIN_MS 1000u

unsigned cold_timeout_ms(const struct pool_sys *sys, const struct conn *conn, uint64_t now_ns)
{
	struct ledger_reading reading = {0};
	unsigned timeout_ms;

	if (now_ns <= conn->used_ns || now_ns - conn->used_ns <= COLD_AFTER_NS)
		return 0;
	ledger_check(sys, conn->fd, &conn->ledger, &reading);
	/* Four round trips. */
	timeout_ms = reading.rtt_us / 250;
	return timeout_ms < TIMEOUT_MIN_MS ? TIMEOUT_MIN_MS : timeout_ms;
}
