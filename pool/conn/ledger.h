/*
 * The ledger: what we counted on a connection against what the kernel counted.
 *
 * Every I/O path that the wrappers can't see (splice, io_uring, stdio inside libc, raw system calls, another process)
 * shows as a difference in TCP_INFO's byte counters (tcp(7); tcpi_bytes_* as in RFC 4898). A connection is parked only
 * while the two agree, and leased only while they still agree.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "pool/base/sys.h"
#include "pool/conn/fence.h"

struct ledger {
	uint64_t sent;	   /* bytes that the kernel accepted from us, our insertions included */
	uint64_t received; /* bytes that the program has taken out */
};

enum ledger_verdict {
	LEDGER_EXACT,
	LEDGER_IN_FLIGHT, /* exact, but the last bytes are not acknowledged: the answer came before they were read */
	LEDGER_CLOSED,	  /* the peer's FIN or RST has come, or it was never established */
	LEDGER_UNSETTLED, /* bytes not sent yet, or not acknowledged and not those that we know of */
	LEDGER_SURPLUS,	  /* the kernel holds bytes that nobody has read */
	LEDGER_MISMATCH,  /* somebody moved bytes behind our back */
	LEDGER_UNKNOWN,	  /* the kernel doesn't tell (too old, another implementation, not a TCP socket) */
};

struct ledger_reading {
	uint32_t rtt_us;
	uint64_t received;     /* by the kernel, read or not */
	uint32_t last_data_ms; /* since bytes came */
	uint32_t last_ack_ms;  /* since any acknowledgement came; of a closed one: since its FIN came */
};

/* True if nothing has come in, no byte, no end and no error: a third of what ledger_check() costs. Says nothing about
 * what others may have done with the socket. */
bool ledger_is_quiet(const struct pool_sys *sys, int fd);

/* True if bytes are on their way to a peer, or are still to be sent, that an abrupt end would take back. */
bool ledger_has_unsent(const struct pool_sys *sys, int fd);

/* One getsockopt(TCP_INFO), about 0.6 us. `reading` may be NULL; it is filled unless LEDGER_UNKNOWN. */
enum ledger_verdict ledger_check(const struct pool_sys *sys, int fd, const struct ledger *ledger,
				 struct ledger_reading *reading);

/* The same where the answer to a fence may be on its way, or may have come and is not read: both are LEDGER_EXACT.
 * Whoever leases the connection looks at what has come. */
enum ledger_verdict ledger_check_fenced(const struct pool_sys *sys, int fd, const struct ledger *ledger,
					const struct fence *fence, struct ledger_reading *reading);
