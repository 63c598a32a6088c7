/* See wire.h. */
#include "pool/share/wire.h"

#include <errno.h>
#include <string.h>

uint32_t broker_wire_stamp(void)
{
	size_t stamp = BROKER_WIRE_VERSION;

	stamp = stamp * 1000003 + sizeof(struct slots_region);
	stamp = stamp * 1000003 + sizeof(struct slot_contents);
	stamp = stamp * 1000003 + sizeof(union broker_packet);
	return (uint32_t)(stamp ^ stamp >> 32);
}

struct broker_head broker_wire_head(enum broker_message type, uint32_t sequence, uint32_t flags)
{
	return (struct broker_head){broker_wire_stamp(), type, sequence, flags};
}

static int check_request(const struct broker_request *request)
{
	const struct destination_key *key = &request->key;

	if (request->slot >= SLOTS_PER_REGION || key->options_length > DESTINATION_OPTIONS_MAX)
		return -EPROTO;
	if (request->head.type != BROKER_DROP && key->family != AF_INET && key->family != AF_INET6)
		return -EPROTO;
	return 0;
}

static int check_first(const struct broker_request *first)
{
	if (!first->head.type)
		return 0;
	return first->head.type == BROKER_LEASE ? check_request(first) : -EPROTO;
}

int broker_wire_check(const union broker_packet *packet, size_t length, unsigned n_fds)
{
	if (length < sizeof(packet->head))
		return -EPROTO;
	if (packet->head.version != broker_wire_stamp())
		return packet->head.type == BROKER_HELLO && n_fds == 0 ? -EPROTONOSUPPORT : -EPROTO;
	switch (packet->head.type) {
	case BROKER_HELLO:
		return length == sizeof(packet->hello) && n_fds == 0 ? check_first(&packet->hello.first) : -EPROTO;
	case BROKER_IDLE:
	case BROKER_LIST:
		return length == sizeof(packet->head) && n_fds == 0 ? 0 : -EPROTO;
	case BROKER_RUN:
		return length == sizeof(packet->head) && n_fds == 1 ? 0 : -EPROTO;
	case BROKER_PARK:
	case BROKER_SESSION:
		return length == sizeof(packet->request) && n_fds == 1 ? check_request(&packet->request) : -EPROTO;
	case BROKER_LEASE:
	case BROKER_DROP:
	case BROKER_LOOKED:
	case BROKER_RELIEVE:
	case BROKER_TICKET:
		return length == sizeof(packet->request) && n_fds == 0 ? check_request(&packet->request) : -EPROTO;
	default:
		return -EPROTO;
	}
}
