/* See netlink.h. */
#include "tools/ports/netlink.h"

#include <errno.h>
#include <string.h>

#define RECEIVE_BYTES 32768 /* the kernel fills no more at a time */

static int receive(struct mnl_socket *socket, mnl_cb_t each, void *context)
{
	uint8_t room[RECEIVE_BYTES] __attribute__((aligned(MNL_ALIGNTO)));
	int more = MNL_CB_OK;

	while (more > MNL_CB_STOP) {
		ssize_t length = mnl_socket_recvfrom(socket, room, sizeof(room));

		if (length < 0)
			return -errno;
		errno = EPROTO;
		more = mnl_cb_run(room, (size_t)length, 0, 0, each, context);
		if (more < MNL_CB_STOP)
			return -errno;
	}
	return 0;
}

int netlink_dump(int bus, const struct nlmsghdr *request, mnl_cb_t each, void *context)
{
	struct mnl_socket *socket = mnl_socket_open2(bus, SOCK_CLOEXEC);
	int error = 0;

	if (!socket)
		return -errno;
	if (mnl_socket_sendto(socket, request, request->nlmsg_len) < 0)
		error = -errno;
	if (!error)
		error = receive(socket, each, context);
	mnl_socket_close(socket);
	return error;
}

static int take_attribute(const struct nlattr *attribute, void *context)
{
	struct netlink_attributes *attributes = context;
	uint16_t type = mnl_attr_get_type(attribute);

	if (type < NETLINK_MAX_ATTRIBUTES)
		attributes->table[type] = attribute;
	return MNL_CB_OK;
}

void netlink_open(const struct nlmsghdr *header, unsigned offset, struct netlink_attributes *attributes)
{
	memset(attributes, 0, sizeof(*attributes));
	mnl_attr_parse(header, offset, take_attribute, attributes);
}

void netlink_open_nested(const struct nlattr *outer, struct netlink_attributes *attributes)
{
	memset(attributes, 0, sizeof(*attributes));
	if (outer)
		mnl_attr_parse_nested(outer, take_attribute, attributes);
}
