/* See handshake.h. */
#include "tools/relay/handshake.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pool/base/fdpass.h"

/* For a process to be started and to say something. */
#define PATIENCE_MS 3000

static const struct pool_sys sys = {.sendmsg = sendmsg, .recvmsg = recvmsg};

int handshake_say(int fd, enum handshake_kind kind, struct handshake *packet, int passed)
{
	packet->kind = kind;
	packet->pid = getpid();
	return fdpass_send(&sys, fd, packet, sizeof(*packet), passed);
}

int handshake_hear(int fd, enum handshake_kind kind, struct handshake *packet, int *passed)
{
	struct pollfd entry = {.fd = fd, .events = POLLIN};
	unsigned n_passed;
	int n;

	*passed = -1;
	memset(packet, 0, sizeof(*packet));
	while ((n = poll(&entry, 1, PATIENCE_MS)) < 0 && errno == EINTR)
		;
	if (n <= 0)
		return -ETIMEDOUT;
	if (fdpass_receive(&sys, fd, packet, sizeof(*packet), passed, &n_passed) != sizeof(*packet) ||
	    packet->kind != kind)
		return -EPROTO;
	return -packet->error;
}
