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
#define FIRST_ADDRESS 0x7f504001u /* 127.80.64.1 */
#define BACKLOG 4096

struct place {
	struct link link;
	struct sockaddr_in6 address;
	socklen_t length;
};

static struct family {
	struct place places[LISTENER_PLACES];
	unsigned n_open, current;
} v4, v6;

static struct family *family_of(const struct sockaddr_in6 *simple)
{
	return simple->sin6_family == AF_INET ? &v4 : &v6;
}

/* Hands it to whom it is for. NULL: a stranger's, whom its end tells nothing. */
static struct client *hand_in(int fd, const struct connection_ends *ends)
{
	struct client *client = client_find(ends);

	if (!client || client->link.fd >= 0) {
		close(fd);
		return NULL;
	}
	client_accept(client, fd);
	return client;
}

/* Takes in the next; *client: whose it was. False: there was none. */
static bool accept_next(struct place *place, struct client **client)
{
	struct connection_ends ends = {.ours = place->address};
	socklen_t length = sizeof(ends.program);
	int fd = accept4(place->link.fd, (struct sockaddr *)&ends.program, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0)
		return false;
	*client = hand_in(fd, &ends);
	return true;
}

static void on_event(struct link *link, uint32_t events)
{
	struct client *client;

	(void)events;
	while (accept_next((struct place *)link, &client))
		;
}

void listener_take_in(const struct client *client)
{
	struct family *family = family_of(&client->ends.ours);
	struct client *came = NULL;

	for (unsigned i = 0; i < family->n_open; i++) {
		struct place *place = &family->places[i];

		if (memcmp(&place->address, &client->ends.ours, sizeof(place->address)) != 0)
			continue;
		while (came != client && accept_next(place, &came))
			;
		return;
	}
}

/* Options that accepted sockets inherit: nothing that we send waits for more, and a close(2) is an RST, which leaves no
 * TIME_WAIT. */
static void set_options(int fd)
{
	static const int on = 1;
	static const struct linger abrupt = {1, 0};

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &abrupt, sizeof(abrupt));
}

static int open_place(struct place *place)
{
	int fd = socket(place->address.sin6_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), error;

	if (fd < 0)
		return -errno;
	set_options(fd);
	if (bind(fd, (struct sockaddr *)&place->address, place->length) == 0 && listen(fd, BACKLOG) == 0 &&
	    getsockname(fd, (struct sockaddr *)&place->address, &place->length) == 0)
		return link_open(&place->link, fd, on_event);
	error = -errno;
	close(fd);
	return error;
}

/* One address more: of IPv4 with the port of the first, so that no more of the few are taken; IPv6 has one loopback
 * address only. */
static int open_next(struct family *family)
{
	struct place *place = &family->places[family->n_open];
	struct sockaddr_in *address = (struct sockaddr_in *)&place->address;
	int error;

	*place = (struct place){.link = {.fd = -1}, .length = sizeof(*address)};
	if (family == &v4) {
		address->sin_family = AF_INET;
		address->sin_addr.s_addr = htonl(FIRST_ADDRESS + family->n_open);
		address->sin_port = family->places[0].address.sin6_port;
	} else {
		place->length = sizeof(place->address);
		place->address.sin6_family = AF_INET6;
		place->address.sin6_addr = (struct in6_addr)IN6ADDR_LOOPBACK_INIT;
	}
	error = open_place(place);
	if (!error)
		family->n_open++;
	return error;
}

int listener_begin(void)
{
	(void)!open_next(&v6);
	return open_next(&v4);
}

socklen_t listener_address(sa_family_t family, bool is_v6_only, struct sockaddr_in6 *address)
{
	const struct place *place = is_v6_only ? &v6.places[v6.current] : &v4.places[v4.current];
	const struct sockaddr_in *source = (const struct sockaddr_in *)&place->address;

	if (is_v6_only && !v6.n_open)
		return 0;
	*address = place->address;
	if (family == AF_INET || is_v6_only)
		return place->length;
	*address = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = source->sin_port};
	address->sin6_addr.s6_addr[10] = address->sin6_addr.s6_addr[11] = 0xff;
	memcpy(&address->sin6_addr.s6_addr[12], &source->sin_addr, sizeof(source->sin_addr));
	return sizeof(*address);
}

bool listener_move(const struct sockaddr_in6 *address)
{
	struct sockaddr_in6 simple = *address;
	struct family *family;

	ends_simplify(&simple);
	family = family_of(&simple);
	if (family->current + 1 == family->n_open && family->n_open < LISTENER_PLACES)
		(void)!open_next(family);
	family->current = (family->current + 1) % family->n_open;
	return family->n_open > 1;
}
