/* See peer.h. */
#include "tools/relay/peer.h"

#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <string.h>
#include <sys/socket.h>

static struct mnl_socket *netlink; /* kept open; NULL: none yet */

static void copy_end(const struct sockaddr_in6 *end, __be32 address[4], __be16 *port)
{
	*port = end->sin6_port;
	if (end->sin6_family == AF_INET)
		memcpy(address, &((const struct sockaddr_in *)end)->sin_addr, sizeof(struct in_addr));
	else
		memcpy(address, &end->sin6_addr, sizeof(end->sin6_addr));
}

static bool open_netlink(void)
{
	if (!netlink) {
		netlink = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);
		if (netlink && mnl_socket_bind(netlink, 0, MNL_SOCKET_AUTOPID) < 0) {
			mnl_socket_close(netlink);
			netlink = NULL;
		}
	}
	return netlink != NULL;
}

static bool ask(const struct connection_ends *ends)
{
	char room[MNL_NLMSG_HDRLEN + MNL_ALIGN(sizeof(struct inet_diag_req_v2))]
		__attribute__((aligned(MNL_ALIGNTO))) = {0};
	struct nlmsghdr *header = mnl_nlmsg_put_header(room);
	struct inet_diag_req_v2 *request = mnl_nlmsg_put_extra_header(header, sizeof(*request));

	header->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	header->nlmsg_flags = NLM_F_REQUEST;
	request->sdiag_family = (uint8_t)ends->program.sin6_family;
	request->sdiag_protocol = IPPROTO_TCP;
	request->idiag_states = ~0u;
	request->id.idiag_cookie[0] = INET_DIAG_NOCOOKIE;
	request->id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
	copy_end(&ends->program, request->id.idiag_src, &request->id.idiag_sport);
	copy_end(&ends->ours, request->id.idiag_dst, &request->id.idiag_dport);
	return mnl_socket_sendto(netlink, header, header->nlmsg_len) > 0;
}

bool peer_has_closed(const struct connection_ends *ends)
{
	char answer[1024] __attribute__((aligned(MNL_ALIGNTO)));
	const struct nlmsghdr *header = (const struct nlmsghdr *)answer;
	const struct inet_diag_msg *message;
	ssize_t length;

	if (!open_netlink() || !ask(ends))
		return false;
	/* The kernel has answered before the question's call returns: nothing is waited for. */
	length = recv(mnl_socket_get_fd(netlink), answer, sizeof(answer), MSG_DONTWAIT);
	if (length <= 0 || !mnl_nlmsg_ok(header, (int)length))
		return false;
	/* An error: there is no such socket any more. */
	if (header->nlmsg_type == NLMSG_ERROR)
		return true;
	message = mnl_nlmsg_get_payload(header);
	return mnl_nlmsg_get_payload_len(header) >= sizeof(*message) && message->idiag_inode == 0;
}
