/* See sock_diag.h. */
#include "tools/ports/sock_diag.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <string.h>

#include "tools/ports/netlink.h"

struct dump {
	void (*each)(void *context, const struct sock_diag_socket *socket);
	void *context;
};

static void copy_address(struct in6_addr *address, uint8_t family, const uint32_t words[4])
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	if (family == AF_INET6) {
		memcpy(address, words, sizeof(*address));
		return;
	}
	memcpy(address, mapped, sizeof(mapped));
	memcpy(address->s6_addr + sizeof(mapped), words, sizeof(words[0]));
}

static int take_message(const struct nlmsghdr *header, void *context)
{
	const struct inet_diag_msg *message = mnl_nlmsg_get_payload(header);
	const struct dump *dump = context;
	struct sock_diag_socket found;

	if (mnl_nlmsg_get_payload_len(header) < sizeof(*message))
		return MNL_CB_ERROR;
	/* The kernel has a number of its own to ask for these states, but reports them as the others. */
	found.state = message->idiag_state == TCP_CLOSE ? SOCK_DIAG_BOUND_INACTIVE : message->idiag_state;
	found.n_retransmits = message->idiag_retrans;
	found.source_port = ntohs(message->id.idiag_sport);
	found.destination_port = ntohs(message->id.idiag_dport);
	copy_address(&found.source, message->idiag_family, message->id.idiag_src);
	copy_address(&found.destination, message->idiag_family, message->id.idiag_dst);
	found.interface = message->id.idiag_if;
	found.expires_ms = message->idiag_expires;
	found.cookie = (uint64_t)message->id.idiag_cookie[1] << 32 | message->id.idiag_cookie[0];
	found.uid = message->idiag_uid;
	found.inode = message->idiag_inode;
	dump->each(dump->context, &found);
	return MNL_CB_OK;
}

/* The request of the protocol's first version: unlike the second, it covers both families in one walk through the
 * tables, and the walk is the cost. */
int sock_diag_dump(uint32_t states, void (*each)(void *context, const struct sock_diag_socket *socket), void *context)
{
	uint8_t room[MNL_NLMSG_HDRLEN + MNL_ALIGN(sizeof(struct inet_diag_req))] __attribute__((aligned(MNL_ALIGNTO)));
	struct nlmsghdr *header = mnl_nlmsg_put_header(room);
	struct inet_diag_req *request = mnl_nlmsg_put_extra_header(header, sizeof(*request));
	struct dump dump = {each, context};

	header->nlmsg_type = TCPDIAG_GETSOCK;
	header->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	request->idiag_states = states;
	return netlink_dump(NETLINK_SOCK_DIAG, header, take_message, &dump);
}
