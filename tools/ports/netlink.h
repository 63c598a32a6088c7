/* One question to the kernel via netlink that it answers with many messages (netlink(7), NLM_F_DUMP). */
#pragma once

#include <libmnl/libmnl.h>

/* Sends `request`, an open message, and calls `each` for every message of the answer, until it returns less than
 * MNL_CB_OK. The socket belongs to this thread's network namespace. 0 or -errno: the kernel's answer, or the socket's;
 * -EINTR: the data changed during the dump, ask again. */
int netlink_dump(int bus, const struct nlmsghdr *request, mnl_cb_t each, void *context)
	__attribute__((warn_unused_result));

#define NETLINK_MAX_ATTRIBUTES 32 /* more than any structure that we read has */

/* Attributes by type; NULL: missing. They are borrowed from the message. */
struct netlink_attributes {
	const struct nlattr *table[NETLINK_MAX_ATTRIBUTES];
};

/* The attributes of a message after `offset` bytes of its own structure. */
void netlink_open(const struct nlmsghdr *header, unsigned offset, struct netlink_attributes *attributes);

/* The attributes nested in another one; none if that is NULL. */
void netlink_open_nested(const struct nlattr *outer, struct netlink_attributes *attributes);
