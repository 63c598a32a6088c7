/* See listener.h. */
#include "tools/relay/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tools/relay/client.h"
#include "tools/relay/link.h"

/* A part of 127/8 that nothing else is known to use: it is seen where a program asks for its peer. */
#define ADDRESS "127.80.64.1"
#define BACKLOG 4096

static struct place {
	struct link link;
	struct sockaddr_in6 address;
	socklen_t length;
} v4, v6;

static void take_in(int fd, const struct sockaddr_in6 *name)
{
	static const int on = 1;
	struct client *client = client_find(name);

	if (!client || client->link.fd >= 0 || memcmp(&client->name, name, sizeof(struct sockaddr_in)) != 0) {
		link_reset(fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	client_accept(client, fd);
}

static void accept_all(struct place *place)
{
	while (place->link.fd >= 0) {
		struct sockaddr_in6 name = {0};
		socklen_t length = sizeof(name);
		int fd = accept4(place->link.fd, (struct sockaddr *)&name, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0)
			break;
		take_in(fd, &name);
	}
}

static void on_event(struct link *link, uint32_t events)
{
	(void)events;
	accept_all((struct place *)link);
}

void listener_take_in(void)
{
	accept_all(&v4);
	accept_all(&v6);
}

static int open_place(struct place *place)
{
	int fd = socket(place->address.sin6_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), error;

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&place->address, place->length) == 0 && listen(fd, BACKLOG) == 0 &&
	    getsockname(fd, (struct sockaddr *)&place->address, &place->length) == 0)
		return link_open(&place->link, fd, on_event);
	error = -errno;
	close(fd);
	return error;
}

int listener_begin(void)
{
	struct sockaddr_in *address = (struct sockaddr_in *)&v4.address;

	address->sin_family = AF_INET;
	inet_pton(AF_INET, ADDRESS, &address->sin_addr);
	v4.length = sizeof(*address);
	v4.link.fd = -1;
	v6.address = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	v6.length = sizeof(v6.address);
	v6.link.fd = -1;
	(void)!open_place(&v6);
	return open_place(&v4);
}

socklen_t listener_address(int family, bool is_v6_only, struct sockaddr_in6 *address)
{
	const struct sockaddr_in *source = (const struct sockaddr_in *)&v4.address;

	if (family == AF_INET) {
		memset(address, 0, sizeof(*address));
		memcpy(address, source, sizeof(*source));
		return sizeof(*source);
	}
	if (is_v6_only && v6.link.fd < 0)
		return 0;
	*address = v6.address;
	if (is_v6_only)
		return sizeof(*address);
	memset(&address->sin6_addr, 0, sizeof(address->sin6_addr));
	address->sin6_addr.s6_addr[10] = address->sin6_addr.s6_addr[11] = 0xff;
	memcpy(&address->sin6_addr.s6_addr[12], &source->sin_addr, sizeof(source->sin_addr));
	address->sin6_port = source->sin_port;
	return sizeof(*address);
}

void listener_simplify(struct sockaddr_in6 *name)
{
	struct sockaddr_in simple = {.sin_family = AF_INET, .sin_port = name->sin6_port};

	if (name->sin6_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&name->sin6_addr))
		return;
	memcpy(&simple.sin_addr, &name->sin6_addr.s6_addr[12], sizeof(simple.sin_addr));
	memset(name, 0, sizeof(*name));
	memcpy(name, &simple, sizeof(simple));
}

static bool is_same(const struct sockaddr_in6 *one, const struct place *place)
{
	const struct sockaddr_in *address = (const struct sockaddr_in *)one,
				 *other = (const struct sockaddr_in *)&place->address;

	if (place->link.fd < 0 || one->sin6_family != place->address.sin6_family ||
	    one->sin6_port != place->address.sin6_port)
		return false;
	return one->sin6_family == AF_INET ? address->sin_addr.s_addr == other->sin_addr.s_addr
					   : IN6_ARE_ADDR_EQUAL(&one->sin6_addr, &place->address.sin6_addr);
}

bool listener_is_ours(const struct sockaddr_in6 *address)
{
	return is_same(address, &v4) || is_same(address, &v6);
}
