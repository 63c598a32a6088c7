/* See ports.h. */
#include "tools/report/ports.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/ports/kernel.h"
#include "tools/stats/view.h"
#include "tools/ports/netns.h"

static bool is_at(const struct stats_destination *destination, const struct ports_key *key)
{
	if (key->port != ntohs(destination->port))
		return false;
	if (destination->family == AF_INET6)
		return memcmp(&key->destination, destination->address, sizeof(key->destination)) == 0;
	return destination->family == AF_INET && IN6_IS_ADDR_V4MAPPED(&key->destination) &&
	       memcmp(&key->destination.s6_addr[12], destination->address, 4) == 0;
}

static bool is_here(const struct stats_destination *destination, uint64_t cookie)
{
	return !destination->netns_cookie || !cookie || destination->netns_cookie == cookie;
}

/* `key` NULL: any destination. */
static bool is_of_run(const struct stats_view *view, const struct ports_key *key, uint64_t cookie)
{
	const struct stats_view_destination *destination;

	for (destination = view->destinations; destination; destination = destination->hh.next)
		if (is_here(&destination->sum, cookie) && (!key || is_at(&destination->sum, key)))
			return true;
	return false;
}

void report_ports_look(const struct stats_view *view, struct report_ports *ports)
{
	uint64_t cookie = netns_own_cookie();
	static struct ports_sample sample; /* too large for some stacks */
	struct ports_tuple *tuple;

	memset(ports, 0, sizeof(*ports));
	if (!is_of_run(view, NULL, cookie) || ports_kernel_sample(&sample, NULL) < 0)
		return;
	ports->usable = sample.n_usable;
	for (tuple = sample.tuples; tuple; tuple = tuple->hh.next) {
		if (!is_of_run(view, &tuple->key, cookie))
			continue;
		ports->time_wait += tuple->n_time_wait;
		if (ports_tuple_used(tuple) <= ports->used)
			continue;
		ports->used = ports_tuple_used(tuple);
		address_write(&tuple->key.source, tuple->key.interface, ports->source);
		address_write_port(&tuple->key.destination, tuple->key.interface, tuple->key.port, ports->destination);
	}
	ports_sample_fini(&sample);
}
