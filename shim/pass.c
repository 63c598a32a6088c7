/* See pass.h. */
#include "shim/pass.h"

#include <string.h>
#include <sys/socket.h>

#include "shim/finish.h"
#include "shim/fresh.h"
#include "shim/sock.h"

void pass_make_honest(struct sock *sock)
{
	/* If that fails the connection is kept as it is: alive when last seen. */
	if (sock->state == SOCK_OPEN && sock->is_leased && !sock->has_sent && fresh_replace(sock, true))
		sock->cannot_keep = true;
	atomic_store(&sock->is_shared, true);
	/* Who gets it can't be told of the exchange in flight. */
	if (sock->state == SOCK_OPEN && sock->framing.edited && !sock->framing.response_ended)
		finish_by_server(sock);
}

static void share(int fd)
{
	struct sock *sock = sock_enter(fd);

	if (!sock)
		return;
	pass_make_honest(sock);
	sock_leave(sock);
}

void pass_descriptors(const struct msghdr *message)
{
	struct msghdr copy;

	if (!atomic_load_explicit(&sock_n_tracked, memory_order_relaxed) ||
	    !guard_readable(message, sizeof(*message)) || !message->msg_control ||
	    !guard_readable(message->msg_control, message->msg_controllen))
		return;
	copy = *message;
	for (struct cmsghdr *header = CMSG_FIRSTHDR(&copy); header; header = CMSG_NXTHDR(&copy, header)) {
		size_t length = header->cmsg_len - CMSG_LEN(0);

		if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS ||
		    header->cmsg_len < CMSG_LEN(0))
			continue;
		for (size_t at = 0; at + sizeof(int) <= length; at += sizeof(int)) {
			int fd;

			memcpy(&fd, CMSG_DATA(header) + at, sizeof(fd));
			if (fdtable_get(fd))
				share(fd);
		}
	}
}
