/* See fdpass.h. */
#include "pool/base/fdpass.h"

#include <errno.h>
#include <string.h>

/* Room for a few more, so that a sender of many is found out and not just cut short. */
#define MAX_PASSED 4

union control {
	char bytes[CMSG_SPACE(MAX_PASSED * sizeof(int))];
	struct cmsghdr aligned;
};

int fdpass_send_some(const struct pool_sys *sys, int fd, const void *packet, size_t length, const int *passed,
		     unsigned n_passed)
{
	struct iovec iov = {(void *)packet, length};
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
	union control control;
	ssize_t n;

	if (n_passed) {
		struct cmsghdr *header;

		memset(&control, 0, sizeof(control));
		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(n_passed * sizeof(int));
		header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(n_passed * sizeof(int));
		memcpy(CMSG_DATA(header), passed, n_passed * sizeof(int));
	}
	do
		n = sys->sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

int fdpass_send(const struct pool_sys *sys, int fd, const void *packet, size_t length, int passed)
{
	return fdpass_send_some(sys, fd, packet, length, &passed, passed >= 0);
}

/* The first descriptors of a control message; the others are closed. */
static void take_descriptors(const struct pool_sys *sys, const struct cmsghdr *header, int *passed, unsigned n_max,
			     unsigned *n_passed)
{
	size_t n = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);

	for (size_t i = 0; i < n; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
		if ((*n_passed)++ < n_max)
			passed[*n_passed - 1] = fd;
		else
			sys->close(fd);
	}
}

static void drop(const struct pool_sys *sys, int *passed, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		if (passed[i] >= 0)
			sys->close(passed[i]);
		passed[i] = -1;
	}
}

ssize_t fdpass_receive_some(const struct pool_sys *sys, int fd, void *packet, size_t room, int *passed, unsigned n_max,
			    unsigned *n_passed)
{
	struct iovec iov = {packet, room};
	union control control;
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control)};
	ssize_t n;

	for (unsigned i = 0; i < n_max; i++)
		passed[i] = -1;
	*n_passed = 0;
	do
		n = sys->recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header; header = CMSG_NXTHDR(&message, header))
		if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
			take_descriptors(sys, header, passed, n_max, n_passed);
	/* No room for them in our table: counted as come, since the sender sent them. */
	if ((message.msg_flags & MSG_CTRUNC) && *n_passed == 0)
		*n_passed = 1;
	/* Nobody looks for a descriptor beside an end, for which an empty packet passes, or beside an error. */
	if (n == 0 || (message.msg_flags & MSG_TRUNC))
		drop(sys, passed, n_max);
	return message.msg_flags & MSG_TRUNC ? -EMSGSIZE : n;
}

ssize_t fdpass_receive(const struct pool_sys *sys, int fd, void *packet, size_t room, int *passed, unsigned *n_passed)
{
	return fdpass_receive_some(sys, fd, packet, room, passed, 1, n_passed);
}
