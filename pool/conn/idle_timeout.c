/* Margins are a quarter of what is known, at most a second: a network's jitter, not a server's. See idle_timeout.h. */
#include "pool/conn/idle_timeout.h"

#include "pool/base/clock.h"
#include "pool/conn/destination.h"

static uint64_t with_margin(uint64_t timeout_ns)
{
	return timeout_ns - (timeout_ns / 4 < SECOND_NS ? timeout_ns / 4 : SECOND_NS);
}

void idle_timeout_announced(struct destination *destination, uint32_t timeout_s)
{
	if (timeout_s)
		destination->keep_alive_timeout_ns = timeout_s * SECOND_NS;
}

void idle_timeout_closed(struct destination *destination, uint64_t idle_ns)
{
	if (idle_ns < SECOND_NS)
		return;
	if (!destination->seen_idle_close_ns || idle_ns < destination->seen_idle_close_ns)
		destination->seen_idle_close_ns = idle_ns;
}

void idle_timeout_survived(struct destination *destination, uint64_t idle_ns)
{
	/* The server's setting has changed, or the close that we saw was no idle timeout. */
	if (destination->seen_idle_close_ns && idle_ns >= destination->seen_idle_close_ns)
		destination->seen_idle_close_ns = 0;
}

static bool is_within_quarter(uint64_t time_ns, uint64_t timeout_ns)
{
	return !timeout_ns || time_ns < timeout_ns / 4;
}

bool idle_timeout_is_young(const struct destination *destination, uint64_t heard_ago_ns)
{
	return heard_ago_ns < SECOND_NS && is_within_quarter(heard_ago_ns, destination->keep_alive_timeout_ns) &&
	       is_within_quarter(heard_ago_ns, destination->seen_idle_close_ns);
}

uint64_t idle_timeout_limit_ns(const struct destination *destination)
{
	uint64_t limit = UINT64_MAX;

	if (destination->keep_alive_timeout_ns)
		limit = with_margin(destination->keep_alive_timeout_ns);
	if (destination->seen_idle_close_ns && with_margin(destination->seen_idle_close_ns) < limit)
		limit = with_margin(destination->seen_idle_close_ns);
	return limit;
}
