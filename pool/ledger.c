/* The one place that reads TCP_INFO. See ledger.h. */
#include "pool/ledger.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>

/* tcpi_state values: include/net/tcp_states.h; netinet/tcp.h has them but not the newer fields. */
#define STATE_ESTABLISHED 1

enum ledger_verdict ledger_check(const struct pool_sys *sys, int fd, const struct ledger *ledger,
				 struct ledger_reading *reading)
{
	struct tcp_info info;
	socklen_t length = sizeof(info);

	if (sys->getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0)
		return LEDGER_UNKNOWN;
	if (length < offsetof(struct tcp_info, tcpi_bytes_retrans) + sizeof(info.tcpi_bytes_retrans))
		return LEDGER_UNKNOWN;
	if (reading) {
		reading->rtt_us = info.tcpi_rtt;
		reading->received = info.tcpi_bytes_received;
		reading->last_data_ms = info.tcpi_last_data_recv;
		reading->last_ack_ms = info.tcpi_last_ack_recv;
	}
	if (info.tcpi_state != STATE_ESTABLISHED)
		return LEDGER_CLOSED;
	if (info.tcpi_bytes_received > ledger->received)
		return LEDGER_SURPLUS;
	if (info.tcpi_unacked || info.tcpi_notsent_bytes)
		return LEDGER_UNSETTLED;
	if (info.tcpi_bytes_received != ledger->received ||
	    info.tcpi_bytes_sent - info.tcpi_bytes_retrans != ledger->sent)
		return LEDGER_MISMATCH;
	return LEDGER_EXACT;
}

bool ledger_is_quiet(const struct pool_sys *sys, int fd)
{
	char byte;

	return sys->recv && sys->recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}
