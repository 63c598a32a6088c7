/* IPv6: exchanges over ::1 and over mapped addresses; names, options and mistakes that only these sockets know. */
#include "tests/lib/probe.h"

static struct sockaddr_in6 loopback(void)
{
	return (struct sockaddr_in6){
		.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)probe_port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
}

static struct sockaddr_in6 mapped(void)
{
	struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)probe_port)};

	inet_pton(AF_INET6, "::ffff:127.0.0.1", &address.sin6_addr);
	return address;
}

static void print_name(const char *when, int fd, bool peer)
{
	struct sockaddr_in6 name = {.sin6_family = 99};
	socklen_t length = sizeof name;
	char text[64] = "";
	int result = peer ? getpeername(fd, (struct sockaddr *)&name, &length)
			  : getsockname(fd, (struct sockaddr *)&name, &length);

	if (result) {
		say("%s: %s", when, error_name(errno));
		return;
	}
	inet_ntop(AF_INET6, &name.sin6_addr, text, sizeof text);
	say("%s: %s length %u family %d flow %u scope %u port %d", when, text, length, name.sin6_family,
	    name.sin6_flowinfo, name.sin6_scope_id, peer ? ntohs(name.sin6_port) == probe_port : name.sin6_port != 0);
}

static int dial6(struct sockaddr_in6 address)
{
	int fd = (int)CALL(socket(AF_INET6, SOCK_STREAM, 0));

	CALL(connect(fd, (struct sockaddr *)&address, sizeof address));
	return fd;
}

static void exchange(struct sockaddr_in6 address)
{
	int fd = dial6(address);

	print_name("peer", fd, true);
	print_name("own", fd, false);
	probe_ask(fd, "/bytes/100");
	probe_drain(fd);
	probe_poll("ended", fd, POLLIN | POLLOUT | POLLRDHUP, 100);
	print_name("peer, ended", fd, true);
	print_name("own, ended", fd, false);
	CALL(shutdown(fd, SHUT_RDWR));
	print_name("peer, shut", fd, true);
	CALL(close(fd));
}

static void run_loopback(void)
{
	for (int i = 0; i < 3; i++)
		exchange(loopback());
}

static void run_mapped(void)
{
	for (int i = 0; i < 3; i++)
		exchange(mapped());
	/* A socket of the other family to the same server has its own connection. */
	probe_exchange("/bytes/10");
	exchange(mapped());
}

static void run_nonblocking(void)
{
	struct sockaddr_in6 address = loopback();

	for (int i = 0; i < 2; i++) {
		int fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0);

		CALL(connect(fd, (struct sockaddr *)&address, sizeof address));
		probe_poll("connecting", fd, POLLOUT, 2000);
		CALL(connect(fd, (struct sockaddr *)&address, sizeof address));
		probe_ask(fd, "/bytes/100");
		probe_drain(fd);
		CALL(close(fd));
	}
}

static void run_addresses(void)
{
	struct sockaddr_in6 address = loopback();
	int fd;

	for (unsigned scope = 0; scope < 3; scope++) {
		address = loopback();
		address.sin6_scope_id = scope;
		address.sin6_flowinfo = htonl(scope);
		exchange(address);
	}
	fd = socket(AF_INET6, SOCK_STREAM, 0);
	address = loopback();
	CALL(connect(fd, (struct sockaddr *)&address, sizeof address - 4));
	CALL(close(fd));
	fd = socket(AF_INET6, SOCK_STREAM, 0);
	CALL(connect(fd, (struct sockaddr *)&address, sizeof address - 5));
	CALL(connect(fd, (struct sockaddr *)&probe_server, sizeof probe_server));
	CALL(connect(fd, (struct sockaddr *)&address, sizeof address));
	probe_ask(fd, "/bytes/10");
	probe_drain(fd);
	CALL(connect(fd, (struct sockaddr *)&address, sizeof address));
	CALL(close(fd));
	/* An address that does not belong to this machine. */
	fd = socket(AF_INET6, SOCK_STREAM, 0);
	memset(&address.sin6_addr, 0, sizeof address.sin6_addr);
	address.sin6_addr.s6_addr[0] = 0xfe;
	address.sin6_addr.s6_addr[1] = 0x80;
	address.sin6_addr.s6_addr[15] = 1;
	address.sin6_scope_id = 0;
	CALL(connect(fd, (struct sockaddr *)&address, sizeof address));
	CALL(close(fd));
}

/* The unspecified address means the machine's own. */
static void run_unspecified(void)
{
	struct sockaddr_in any = probe_server;
	struct sockaddr_in6 any6 = loopback();

	any.sin_addr.s_addr = 0;
	any6.sin6_addr = in6addr_any;
	for (int i = 0; i < 2; i++) {
		struct sockaddr_in peer;
		socklen_t length = sizeof peer;
		int fd = probe_socket();

		CALL(connect(fd, (struct sockaddr *)&any, sizeof any));
		CALL(getpeername(fd, (struct sockaddr *)&peer, &length));
		say("%s", inet_ntoa(peer.sin_addr));
		probe_ask(fd, "/bytes/10");
		probe_drain(fd);
		CALL(getpeername(fd, (struct sockaddr *)&peer, &length));
		say("%s", inet_ntoa(peer.sin_addr));
		CALL(connect(fd, (struct sockaddr *)&any, sizeof any));
		CALL(close(fd));
		exchange(any6);
	}
}

static const struct {
	int level, name;
	const char *text;
} options[] = {
	{IPPROTO_IPV6, IPV6_V6ONLY, "IPV6_V6ONLY"},
	{IPPROTO_IPV6, IPV6_UNICAST_HOPS, "IPV6_UNICAST_HOPS"},
	{IPPROTO_IPV6, IPV6_TCLASS, "IPV6_TCLASS"},
	{IPPROTO_IPV6, IPV6_RECVERR, "IPV6_RECVERR"},
	{IPPROTO_IPV6, IPV6_RECVPKTINFO, "IPV6_RECVPKTINFO"},
	{IPPROTO_IP, 1 /* IP_TOS */, "IP_TOS"},
	{SOL_SOCKET, SO_DOMAIN, "SO_DOMAIN"},
	{IPPROTO_TCP, TCP_NODELAY, "TCP_NODELAY"},
};

static void print_options(const char *when, int fd)
{
	say("%s:", when);
	for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
		int value = -1;
		socklen_t length = sizeof value;
		int result = getsockopt(fd, options[i].level, options[i].name, &value, &length);

		say("  %s: %d %d %u", options[i].text, result, result ? errno : value, length);
	}
}

static void run_options(void)
{
	struct sockaddr_in6 address = loopback();
	int values[] = {1, 33, 40};

	for (int round = 0; round < 2; round++) {
		int fd = socket(AF_INET6, SOCK_STREAM, 0);

		print_options("new", fd);
		CALL(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &values[0], sizeof(int)));
		CALL(setsockopt(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &values[1], sizeof(int)));
		CALL(connect(fd, (struct sockaddr *)&address, sizeof address));
		CALL(setsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &values[2], sizeof(int)));
		print_options("set", fd);
		probe_ask(fd, "/bytes/10");
		probe_drain(fd);
		print_options("ended", fd);
		CALL(close(fd));
		fd = dial6(address);
		print_options("next", fd);
		CALL(close(fd));
	}
}

/* IPV6_ADDRFORM turns a socket with a mapped peer into one of the other family. */
static void run_address_form(void)
{
	int fd = dial6(mapped()), family = AF_INET;
	struct sockaddr_storage name = {0};
	socklen_t length = sizeof name;

	CALL(setsockopt(fd, IPPROTO_IPV6, IPV6_ADDRFORM, &family, sizeof family));
	CALL(getpeername(fd, (struct sockaddr *)&name, &length));
	say("family %d length %u", name.ss_family, length);
	probe_ask(fd, "/bytes/100");
	probe_drain(fd);
	CALL(getpeername(fd, (struct sockaddr *)&name, &length));
	say("family %d length %u", name.ss_family, length);
	CALL(close(fd));
	exchange(mapped());
}

static void run_bound(void)
{
	struct sockaddr_in6 local = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT}, address = loopback();

	for (int i = 0; i < 2; i++) {
		int fd = socket(AF_INET6, SOCK_STREAM, 0);

		CALL(bind(fd, (struct sockaddr *)&local, sizeof local));
		print_name("bound", fd, false);
		CALL(connect(fd, (struct sockaddr *)&address, sizeof address));
		probe_ask(fd, "/bytes/10");
		probe_drain(fd);
		print_name("ended", fd, false);
		CALL(close(fd));
	}
	exchange(loopback());
}

static const struct probe_case cases[] = {
	{"loopback", run_loopback},	    {"mapped", run_mapped},
	{"nonblocking", run_nonblocking},   {"addresses", run_addresses},
	{"unspecified", run_unspecified},   {"options", run_options},
	{"address-form", run_address_form}, {"bound", run_bound},
};
PROBE_MAIN(cases)
