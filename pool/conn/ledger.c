/* The one place that reads TCP_INFO. See ledger.h. */
#include "pool/conn/ledger.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>

/* tcpi_state values: include/net/tcp_states.h; netinet/tcp.h has them but not the newer fields. */
#define STATE_ESTABLISHED 1
#define STATE_CLOSE_WAIT 8

static bool read_info(const struct pool_sys *sys, int fd, struct tcp_info *info)
{
	socklen_t length = sizeof(*info);

	return sys->getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &length) == 0 &&
	       length >= offsetof(struct tcp_info, tcpi_bytes_retrans) + sizeof(info->tcpi_bytes_retrans);
}

enum ledger_verdict ledger_check(const struct pool_sys *sys, int fd, const struct ledger *ledger,
				 struct ledger_reading *reading)
{
	struct tcp_info info;
	bool is_equal;

	if (!read_info(sys, fd, &info))
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
	is_equal = info.tcpi_bytes_received == ledger->received &&
		   info.tcpi_bytes_sent - info.tcpi_bytes_retrans == ledger->sent;
	if (info.tcpi_notsent_bytes || (info.tcpi_unacked && !is_equal))
		return LEDGER_UNSETTLED;
	if (info.tcpi_unacked)
		return LEDGER_IN_FLIGHT;
	return is_equal ? LEDGER_EXACT : LEDGER_MISMATCH;
}

enum ledger_verdict ledger_check_fenced(const struct pool_sys *sys, int fd, const struct ledger *ledger,
					const struct fence *fence, struct ledger_reading *reading)
{
	enum ledger_verdict verdict = ledger_check(sys, fd, ledger, reading);
	bool is_due = fence_n_awaited(fence) && (verdict == LEDGER_SURPLUS || verdict == LEDGER_IN_FLIGHT);

	return is_due ? LEDGER_EXACT : verdict;
}

bool ledger_has_unsent(const struct pool_sys *sys, int fd)
{
	struct tcp_info info;

	return read_info(sys, fd, &info) &&
	       (info.tcpi_state == STATE_ESTABLISHED || info.tcpi_state == STATE_CLOSE_WAIT) &&
	       (info.tcpi_unacked || info.tcpi_notsent_bytes);
}

bool ledger_is_quiet(const struct pool_sys *sys, int fd)
{
	char byte;

	return sys->recv && sys->recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}
