/* See list.h. The list comes in pages, so that the broker never waits for a reader. */
#include "tools/broker/list.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "pool/base/fdpass.h"
#include "tools/broker/path.h"

static const struct pool_sys sys = {.sendmsg = sendmsg, .recvmsg = recvmsg, .close = close};

static int receive(int fd, union broker_packet *packet, int patience_ms)
{
	struct pollfd entry = {.fd = fd, .events = POLLIN};
	unsigned n_passed;
	int passed;
	ssize_t length;

	if (poll(&entry, 1, patience_ms) <= 0)
		return -ETIMEDOUT;
	length = fdpass_receive(&sys, fd, packet, sizeof(*packet), &passed, &n_passed);
	if (length < 0)
		return (int)length;
	if (passed >= 0)
		close(passed);
	/* A broker of another version has hung up on us. */
	return (size_t)length < sizeof(packet->head) || packet->head.version != broker_wire_stamp() ? -EPROTONOSUPPORT
												    : 0;
}

struct asking {
	int fd, patience_ms;
	void (*each)(void *context, const struct broker_held *held);
	void *context;
	uint32_t first;
};

static int ask_page(struct asking *asking, uint32_t *flags)
{
	struct broker_head question = broker_wire_head(BROKER_LIST, asking->first, 0);
	union broker_packet packet;
	int error = fdpass_send(&sys, asking->fd, &question, sizeof(question), -1);

	while (!error && !(error = receive(asking->fd, &packet, asking->patience_ms)) &&
	       packet.head.type == BROKER_HELD) {
		asking->each(asking->context, &packet.held);
		asking->first++;
	}
	*flags = packet.head.flags;
	return error;
}

int broker_list_held(const char *path, void (*each)(void *context, const struct broker_held *held), void *context,
		     int patience_ms, uint32_t *flags)
{
	struct asking asking = {broker_path_connect(path), patience_ms, each, context, 0};
	int error = asking.fd < 0 ? asking.fd : 0;

	for (*flags = BROKER_HAS_MORE; !error && *flags & BROKER_HAS_MORE;)
		error = ask_page(&asking, flags);
	if (asking.fd >= 0)
		close(asking.fd);
	return error;
}
