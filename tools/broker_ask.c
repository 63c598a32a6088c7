/* See broker_ask.h. The list comes in pages, so that the broker never waits for a reader. */
#include "tools/broker_ask.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "pool/fdpass.h"
#include "tools/broker_place.h"

#define PATIENCE_MS 5000

static const struct pool_sys sys = {.sendmsg = sendmsg, .recvmsg = recvmsg, .close = close};

static int receive(int fd, union broker_packet *packet)
{
	struct pollfd entry = {.fd = fd, .events = POLLIN};
	unsigned n_passed;
	int passed;
	ssize_t length;

	if (poll(&entry, 1, PATIENCE_MS) <= 0)
		return -ETIMEDOUT;
	length = fdpass_receive(&sys, fd, packet, sizeof(*packet), &passed, &n_passed);
	if (length < 0)
		return (int)length;
	if (passed >= 0)
		close(passed);
	/* Another version's broker has hung up on us. */
	return (size_t)length < sizeof(packet->head) || packet->head.version != broker_wire_stamp() ? -EPROTONOSUPPORT
												    : 0;
}

static int ask_page(int fd, uint32_t *first, void (*each)(void *context, const struct broker_held *held), void *context,
		    uint32_t *flags)
{
	struct broker_head question = broker_wire_head(BROKER_LIST, *first, 0);
	union broker_packet packet;
	int error = fdpass_send(&sys, fd, &question, sizeof(question), -1);

	while (!error && !(error = receive(fd, &packet)) && packet.head.type == BROKER_HELD) {
		each(context, &packet.held);
		(*first)++;
	}
	*flags = packet.head.flags;
	return error;
}

int broker_ask_list(const char *path, void (*each)(void *context, const struct broker_held *held), void *context,
		    uint32_t *flags)
{
	int fd = broker_place_connect(path);
	uint32_t first = 0;
	int error = fd < 0 ? fd : 0;

	for (*flags = BROKER_HAS_MORE; !error && *flags & BROKER_HAS_MORE;)
		error = ask_page(fd, &first, each, context, flags);
	if (fd >= 0)
		close(fd);
	return error;
}
