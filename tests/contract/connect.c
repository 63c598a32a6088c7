/* connect() and the addresses of a socket: results, errors and names at every stage, blocking and not. */
#include "tests/lib/probe.h"

static struct sockaddr *server(void)
{
	return (struct sockaddr *)&probe_server;
}

/* The client's ports differ from run to run; their presence and constancy do not. */
static void print_names(const char *when, int fd)
{
	struct sockaddr_in name = {0}, peer = {0};
	socklen_t name_length = sizeof name, peer_length = sizeof peer;
	int r1 = getsockname(fd, (struct sockaddr *)&name, &name_length);
	int e1 = r1 ? errno : 0;
	int r2 = getpeername(fd, (struct sockaddr *)&peer, &peer_length);
	int e2 = r2 ? errno : 0;

	say("%s: name %d %s family %d %s port %s; peer %d %s family %d %s port %s", when, r1, error_name(e1),
	    name.sin_family, inet_ntoa(name.sin_addr), name.sin_port ? "some" : "none", r2, error_name(e2),
	    peer.sin_family, inet_ntoa(peer.sin_addr), peer.sin_port == probe_server.sin_port ? "server's" : "other");
}

static in_port_t port_of(int fd)
{
	struct sockaddr_in name = {0};
	socklen_t length = sizeof name;

	getsockname(fd, (struct sockaddr *)&name, &length);
	return name.sin_port;
}

static void run_names(void)
{
	int fd = probe_socket();
	in_port_t port;

	print_names("new", fd);
	CALL(connect(fd, server(), sizeof probe_server));
	print_names("connected", fd);
	port = port_of(fd);
	probe_ask(fd, "/bytes/10");
	print_names("asked", fd);
	probe_drain(fd);
	print_names("after EOF", fd);
	say("the port stayed: %d", port == port_of(fd));
	CALL(close(fd));
	print_names("closed", fd);
}

static void run_name_arguments(void)
{
	int fd = probe_dial();
	char storage[128];
	socklen_t length;

	for (int stage = 0; stage < 2; stage++) {
		length = 4;
		CALL(getpeername(fd, (struct sockaddr *)storage, &length));
		say("length %u", length);
		length = sizeof storage;
		CALL(getsockname(fd, (struct sockaddr *)storage, &length));
		say("length %u", length);
		length = (socklen_t)-1;
		CALL(getpeername(fd, (struct sockaddr *)storage, &length));
		length = sizeof storage;
		CALL(getpeername(fd, NULL, &length));
		CALL(getpeername(fd, (struct sockaddr *)storage, NULL));
		CALL(getsockname(fd, (struct sockaddr *)8, &length));
		if (stage == 0) {
			probe_ask(fd, "/bytes/10");
			probe_drain(fd);
		}
	}
	close(fd);
}

static void run_twice(void)
{
	int fd = probe_socket();

	CALL(connect(fd, server(), sizeof probe_server));
	CALL(connect(fd, server(), sizeof probe_server));
	probe_ask(fd, "/bytes/10");
	CALL(connect(fd, server(), sizeof probe_server));
	probe_drain(fd);
	CALL(connect(fd, server(), sizeof probe_server));
	CALL(close(fd));
	CALL(connect(fd, server(), sizeof probe_server));
}

static void run_nonblocking(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), error = -1;
	socklen_t length = sizeof error;

	say("fd %d", fd);
	CALL(connect(fd, server(), sizeof probe_server));
	probe_poll("connecting", fd, POLLOUT | POLLIN | POLLRDHUP, 2000);
	CALL(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length));
	say("SO_ERROR %d", error);
	CALL(connect(fd, server(), sizeof probe_server));
	CALL(connect(fd, server(), sizeof probe_server));
	probe_read(fd, 10);
	probe_ask(fd, "/bytes/10");
	probe_drain(fd);
	CALL(connect(fd, server(), sizeof probe_server));
	CALL(fcntl(fd, F_GETFL));
	CALL(fcntl(fd, F_GETFD));
	CALL(close(fd));
}

/* No poll and no second connect: written to as soon as it is writable. */
static void run_nonblocking_once(void)
{
	int fd = probe_dial_nonblocking();

	probe_ask(fd, "/bytes/10");
	probe_drain(fd);
	CALL(connect(fd, server(), sizeof probe_server));
	CALL(close(fd));
}

static void run_made_nonblocking(void)
{
	int fd = probe_dial();

	CALL(fcntl(fd, F_GETFL));
	CALL(fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK));
	probe_read(fd, 10);
	probe_ask(fd, "/bytes/10");
	probe_drain(fd);
	CALL(fcntl(fd, F_GETFL));
	CALL(fcntl(fd, F_SETFL, O_RDWR));
	CALL(fcntl(fd, F_GETFL));
	probe_read(fd, 10);
	CALL(close(fd));
	fd = probe_dial();
	CALL(fcntl(fd, F_GETFL));
	CALL(close(fd));
}

static void run_ioctl_nonblocking(void)
{
	int fd = probe_dial(), on = 1, off = 0;

	CALL(ioctl(fd, FIONBIO, &on));
	CALL(fcntl(fd, F_GETFL));
	probe_read(fd, 10);
	probe_ask(fd, "/bytes/10");
	probe_drain(fd);
	CALL(fcntl(fd, F_GETFL));
	CALL(ioctl(fd, FIONBIO, &off));
	CALL(fcntl(fd, F_GETFL));
	CALL(close(fd));
	fd = probe_dial();
	CALL(fcntl(fd, F_GETFL));
	CALL(close(fd));
}

static void run_flags(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CALL(connect(fd, server(), sizeof probe_server));
	CALL(fcntl(fd, F_GETFD));
	probe_ask(fd, "/bytes/10");
	probe_drain(fd);
	CALL(fcntl(fd, F_GETFD));
	CALL(fcntl(fd, F_GETFL));
	CALL(fcntl(fd, F_SETFD, 0));
	CALL(fcntl(fd, F_GETFD));
	CALL(close(fd));
	fd = probe_dial();
	CALL(fcntl(fd, F_GETFD));
	CALL(fcntl(fd, F_SETFD, FD_CLOEXEC));
	probe_ask(fd, "/bytes/10");
	probe_drain(fd);
	CALL(fcntl(fd, F_GETFD));
	CALL(fcntl(fd, F_GETOWN));
	CALL(close(fd));
}

static void run_bad_arguments(void)
{
	int fd = probe_socket(), pipes[2];
	struct sockaddr_in other = probe_server;
	struct sockaddr_in6 six = {
		.sin6_family = AF_INET6, .sin6_port = probe_server.sin_port, .sin6_addr = IN6ADDR_LOOPBACK_INIT};

	CALL(connect(fd, NULL, sizeof probe_server));
	CALL(connect(fd, (struct sockaddr *)8, sizeof probe_server));
	CALL(connect(fd, server(), 3));
	CALL(connect(fd, server(), 0));
	CALL(connect(fd, server(), (socklen_t)-1));
	CALL(connect(fd, server(), 4096));
	CALL(connect(fd, (struct sockaddr *)&six, sizeof six));
	other.sin_family = 77;
	CALL(connect(fd, (struct sockaddr *)&other, sizeof other));
	CALL(connect(fd, server(), sizeof probe_server));
	probe_ask(fd, "/bytes/10");
	probe_drain(fd);
	CALL(close(fd));
	CALL(connect(fd, server(), sizeof probe_server));
	CALL(connect(-1, server(), sizeof probe_server));
	CALL(connect(100000, server(), sizeof probe_server));
	CALL(pipe(pipes));
	CALL(connect(pipes[0], server(), sizeof probe_server));
	close(pipes[0]);
	close(pipes[1]);
}

static void run_longer_address(void)
{
	struct sockaddr_storage storage = {0};
	int fd = probe_socket();

	memcpy(&storage, &probe_server, sizeof probe_server);
	CALL(connect(fd, (struct sockaddr *)&storage, sizeof storage));
	probe_ask(fd, "/bytes/10");
	probe_drain(fd);
	CALL(close(fd));
}

static int refused_port(void)
{
	struct sockaddr_in nobody = {.sin_family = AF_INET, .sin_addr = probe_server.sin_addr};
	int fd = probe_socket();
	in_port_t port;

	if (bind(fd, (struct sockaddr *)&nobody, sizeof nobody))
		say("bind failed");
	port = port_of(fd);
	close(fd);
	return port;
}

static void run_refused(void)
{
	struct sockaddr_in nobody = probe_server;
	int fd = probe_socket(), error = -1;
	socklen_t length = sizeof error;

	nobody.sin_port = (in_port_t)refused_port();
	CALL(connect(fd, (struct sockaddr *)&nobody, sizeof nobody));
	probe_poll("refused", fd, POLLIN | POLLOUT, 0);
	CALL(connect(fd, server(), sizeof probe_server));
	probe_ask(fd, "/bytes/10");
	probe_drain(fd);
	CALL(close(fd));
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	CALL(connect(fd, (struct sockaddr *)&nobody, sizeof nobody));
	probe_poll("refused", fd, POLLIN | POLLOUT, 1000);
	CALL(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length));
	say("SO_ERROR %d", error);
	CALL(close(fd));
}

static void run_disconnect(void)
{
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	struct sockaddr_in name;
	socklen_t length = sizeof name;
	int fd = probe_dial();

	probe_ask(fd, "/bytes/10");
	probe_drain(fd);
	CALL(connect(fd, &none, sizeof none));
	CALL(getpeername(fd, (struct sockaddr *)&name, &length));
	CALL(connect(fd, server(), sizeof probe_server));
	probe_ask(fd, "/bytes/10");
	probe_drain(fd);
	CALL(close(fd));
	fd = probe_dial();
	CALL(connect(fd, &none, sizeof none));
	CALL(connect(fd, server(), sizeof probe_server));
	probe_ask(fd, "/bytes/10");
	probe_drain(fd);
	CALL(close(fd));
}

static void run_bound(void)
{
	struct sockaddr_in local = {.sin_family = AF_INET};
	int fd = probe_socket(), one = 1;

	local.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
	CALL(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
	CALL(bind(fd, (struct sockaddr *)&local, sizeof local));
	print_names("bound", fd);
	CALL(connect(fd, server(), sizeof probe_server));
	print_names("connected", fd);
	probe_ask(fd, "/bytes/10");
	probe_drain(fd);
	print_names("after EOF", fd);
	CALL(close(fd));
	fd = probe_dial();
	print_names("unbound", fd);
	CALL(close(fd));
}

static void run_bound_port(void)
{
	struct sockaddr_in local = {.sin_family = AF_INET, .sin_addr = probe_server.sin_addr};
	int fd = probe_socket();

	local.sin_port = (in_port_t)refused_port();
	CALL(bind(fd, (struct sockaddr *)&local, sizeof local));
	CALL(connect(fd, server(), sizeof probe_server));
	say("bound port kept: %d", port_of(fd) == local.sin_port);
	probe_ask(fd, "/bytes/10");
	probe_drain(fd);
	say("bound port kept: %d", port_of(fd) == local.sin_port);
	CALL(close(fd));
}

/* A port that the kernel chose because the program asked for one: others may have been told it. */
static void run_bound_name(void)
{
	struct sockaddr_in local = {.sin_family = AF_INET};
	int fd;
	in_port_t port;

	/* For the mode "hit": a connection to the same address, from a socket that is bound like this one. */
	for (int i = 0; i < 2; i++) {
		fd = probe_socket();
		CALL(bind(fd, (struct sockaddr *)&local, sizeof local));
		CALL(connect(fd, server(), sizeof probe_server));
		probe_ask(fd, "/bytes/10");
		probe_drain(fd);
		CALL(close(fd));
	}
	fd = probe_socket();
	CALL(bind(fd, (struct sockaddr *)&local, sizeof local));
	port = port_of(fd);
	CALL(connect(fd, server(), sizeof probe_server));
	say("bound port kept: %d", port_of(fd) == port);
	probe_ask(fd, "/bytes/10");
	say("bound port kept: %d", port_of(fd) == port);
	probe_drain(fd);
	CALL(close(fd));
}

static void run_unconnected(void)
{
	int fd = probe_socket();

	probe_poll("unconnected", fd, POLLIN | POLLOUT | POLLRDHUP, 0);
	probe_read(fd, 10);
	CALL(send(fd, "x", 1, MSG_NOSIGNAL));
	CALL(shutdown(fd, SHUT_RDWR));
	CALL(close(fd));
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	CALL(connect(fd, server(), sizeof probe_server));
	CALL(connect(fd, server(), sizeof probe_server));
	CALL(close(fd));
}

#ifndef MSG_FASTOPEN
#define MSG_FASTOPEN 0x20000000
#endif

static const char fast_request[] = "GET /bytes/50 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

static void ask_fast(int fd, const struct sockaddr *address, socklen_t length)
{
	CALL(sendto(fd, fast_request, sizeof fast_request - 1, MSG_FASTOPEN | MSG_NOSIGNAL, address, length));
}

/* Connects and sends by one call. */
static void run_fast_open(void)
{
	const struct sockaddr *address = (const struct sockaddr *)&probe_server;

	for (int i = 0; i < 3; i++) {
		struct iovec iov = {(char *)fast_request, sizeof fast_request - 1};
		struct msghdr message = {.msg_name = (void *)address,
					 .msg_namelen = sizeof probe_server,
					 .msg_iov = &iov,
					 .msg_iovlen = 1};
		int fd = probe_socket();

		if (i == 1)
			CALL(sendmsg(fd, &message, MSG_FASTOPEN | MSG_NOSIGNAL));
		else
			ask_fast(fd, address, sizeof probe_server);
		probe_drain(fd);
		ask_fast(fd, address, sizeof probe_server);
		CALL(close(fd));
	}
}

static void run_fast_open_by_option(void)
{
	for (int i = 0; i < 3; i++) {
		int fd = probe_socket(), on = 1;

		CALL(setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof on));
		CALL(connect(fd, (const struct sockaddr *)&probe_server, sizeof probe_server));
		CALL(setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof on));
		CALL(send(fd, fast_request, sizeof fast_request - 1, MSG_NOSIGNAL));
		probe_drain(fd);
		CALL(setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &on, sizeof on));
		CALL(close(fd));
	}
}

static void run_fast_open_in_vain(void)
{
	struct sockaddr_in nobody = probe_server;
	struct sockaddr_in6 other = {.sin6_family = AF_INET6};
	int fd = probe_socket();

	nobody.sin_port = htons(9);
	ask_fast(fd, NULL, 0);
	ask_fast(fd, (const struct sockaddr *)&other, sizeof other);
	ask_fast(fd, (const struct sockaddr *)&probe_server, 2);
	ask_fast(fd, (const struct sockaddr *)8, sizeof probe_server);
	ask_fast(fd, (const struct sockaddr *)&nobody, sizeof nobody);
	ask_fast(fd, (const struct sockaddr *)&probe_server, sizeof probe_server);
	probe_drain(fd);
	CALL(close(fd));
}

static void run_fast_open_nonblocking(void)
{
	for (int i = 0; i < 2; i++) {
		int fd = probe_socket();

		CALL(fcntl(fd, F_SETFL, O_NONBLOCK));
		ask_fast(fd, (const struct sockaddr *)&probe_server, sizeof probe_server);
		probe_poll("connected", fd, POLLOUT, 2000);
		CALL(send(fd, fast_request, sizeof fast_request - 1, MSG_NOSIGNAL));
		probe_drain(fd);
		CALL(close(fd));
	}
}

/* A socket whose first address refuses may be connected to another one (Linux). The success says nothing about the
 * first address. */
static void run_second_address(void)
{
	struct sockaddr_in closed = probe_server;
	socklen_t length = sizeof closed;
	int fd, listener = socket(AF_INET, SOCK_STREAM, 0);
	struct pollfd pollfd;
	char bytes[512];

	closed.sin_port = 0;
	bind(listener, (struct sockaddr *)&closed, sizeof closed);
	getsockname(listener, (struct sockaddr *)&closed, &length);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	connect(fd, (struct sockaddr *)&closed, sizeof closed);
	pollfd = (struct pollfd){fd, POLLOUT, 0};
	poll(&pollfd, 1, 1000);
	connect(fd, (struct sockaddr *)&closed, sizeof closed);
	connect(fd, (struct sockaddr *)&probe_server, sizeof probe_server);
	poll(&pollfd, 1, 1000);
	fcntl(fd, F_SETFL, 0);
	probe_ask(fd, "/bytes/10");
	while (read(fd, bytes, sizeof bytes) > 0)
		;
	close(fd);
	fd = probe_socket();
	CALL(connect(fd, (struct sockaddr *)&closed, sizeof closed));
	close(fd);
	close(listener);
}

static const struct probe_case cases[] = {
	{"fast-open", run_fast_open},
	{"fast-open-by-option", run_fast_open_by_option},
	{"fast-open-in-vain", run_fast_open_in_vain},
	{"fast-open-nonblocking", run_fast_open_nonblocking},
	{"names", run_names},
	{"name-arguments", run_name_arguments},
	{"twice", run_twice},
	{"nonblocking", run_nonblocking},
	{"nonblocking-once", run_nonblocking_once},
	{"made-nonblocking", run_made_nonblocking},
	{"ioctl-nonblocking", run_ioctl_nonblocking},
	{"flags", run_flags},
	{"bad-arguments", run_bad_arguments},
	{"longer-address", run_longer_address},
	{"refused", run_refused},
	{"disconnect", run_disconnect},
	{"bound", run_bound},
	{"bound-port", run_bound_port},
	{"bound-name", run_bound_name},
	{"unconnected", run_unconnected},
	{"second-address", run_second_address},
};
PROBE_MAIN(cases)
