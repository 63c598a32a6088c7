/* How long servers keep an idle connection, from what they say and from when they close. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct destination;

/* The server's `Keep-Alive: timeout=`, in seconds; 0 (not said) keeps what is known. */
void idle_timeout_announced(struct destination *destination, uint32_t timeout_s);

/* It was seen to have closed a connection that had been idle for that long. Times under a second are races or faults,
 * no policy, and teach nothing. */
void idle_timeout_closed(struct destination *destination, uint64_t idle_ns);

/* It answered on a connection that had been idle for that long. */
void idle_timeout_survived(struct destination *destination, uint64_t idle_ns);

/* True if a server that was heard so long ago has not come near hanging up: less than a second, and than a quarter of
 * what is known. */
bool idle_timeout_is_young(const struct destination *destination, uint64_t heard_ago_ns);

/* How long a connection may idle here before it is too likely that the server hangs up: UINT64_MAX if nothing is
 * known. */
uint64_t idle_timeout_limit_ns(const struct destination *destination);
