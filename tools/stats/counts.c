/* See counts.h. */
#include "tools/stats/counts.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

const char *stats_counts_name(const struct stats_destination *destination, char text[STATS_COUNTS_NAME_MAX])
{
	char address[INET6_ADDRSTRLEN] = "?", zone[16] = "";
	bool is_ipv6 = destination->family == AF_INET6;

	if (!destination->family)
		return strcpy(text, "other");
	inet_ntop(destination->family, destination->address, address, sizeof(address));
	if (is_ipv6 && destination->scope_id)
		snprintf(zone, sizeof(zone), "%%%u", destination->scope_id);
	snprintf(text, STATS_COUNTS_NAME_MAX, is_ipv6 ? "[%s%s]:%u" : "%s%s:%u", address, zone,
		 ntohs(destination->port));
	return text;
}

uint64_t stats_counts_stale(const struct stats_counts *counts)
{
	return counts->refused[REFUSAL_SERVER_IDLE_CLOSE] + counts->refused[REFUSAL_STALE];
}

uint64_t stats_counts_failures(const struct stats_counts *counts)
{
	uint64_t sum = 0;

	for (int i = 0; i < STATS_N_ERRORS; i++)
		sum += counts->failed[i];
	return sum;
}

double stats_counts_reuse_ratio(const struct stats_counts *counts)
{
	double reused = (double)counts->counter[STATS_REUSED], connects = (double)counts->counter[STATS_CONNECTS];

	return reused < connects ? reused / connects : reused > 0;
}

uint64_t stats_counts_dial_time_ns(const struct stats_counts *counts, double share)
{
	double n = 0, sum = 0;

	for (int i = 0; i < STATS_N_DIAL_TIMES; i++)
		n += (double)counts->dial_times[i];
	if (n <= 0)
		return 0;
	for (int i = 0; i < STATS_N_DIAL_TIMES - 1; i++) {
		sum += (double)counts->dial_times[i];
		if (sum > 0 && sum >= share * n)
			return STATS_DIAL_TIME_NS(i);
	}
	return UINT64_MAX;
}
