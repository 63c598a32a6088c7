/* See program_socket.h. */
#include "tools/relay/program_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/ports/netns.h"
#include "tools/relay/core.h"

/* For a connection to ourselves, which takes microseconds. */
#define CONNECT_MS 50

static int number_option(int fd, int level, int name)
{
	int value = 0;
	socklen_t length = sizeof(value);

	return getsockopt(fd, level, name, &value, &length) == 0 ? value : -1;
}

static bool is_unconnected(int fd)
{
	struct tcp_info info;
	socklen_t length = offsetof(struct tcp_info, tcpi_ca_state);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0 && info.tcpi_state == TCP_CLOSE;
}

/* Also tells the family, as the kernel has it. */
static bool is_bound(int fd, sa_family_t *family)
{
	struct sockaddr_in6 name = {0};
	socklen_t length = sizeof(name);

	if (getsockname(fd, (struct sockaddr *)&name, &length) < 0 || name.sin6_port != 0)
		return true;
	*family = name.sin6_family;
	return name.sin6_family == AF_INET ? ((struct sockaddr_in *)&name)->sin_addr.s_addr != 0
					   : !IN6_IS_ADDR_UNSPECIFIED(&name.sin6_addr);
}

bool program_socket_is_unused(int fd)
{
	sa_family_t family;

	return is_unconnected(fd) && !is_bound(fd, &family);
}

/* Only a privileged program can mark its sockets (SO_MARK, socket(7)), and ours has no more privileges than we. */
static bool can_be_marked(void)
{
	static enum { UNKNOWN, NEVER, PERHAPS } answer;
	int none = 0, fd;

	if (answer == UNKNOWN) {
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		answer = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_MARK, &none, sizeof(none)) < 0 ? NEVER : PERHAPS;
		if (fd >= 0)
			close(fd);
	}
	return answer == PERHAPS;
}

/* Bound to an interface, or marked for a route of its own: a connection of ours would take another way. */
static bool has_way_of_its_own(int fd)
{
	char interface[16] = "";
	socklen_t length = sizeof(interface);

	getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface, &length);
	return (length && interface[0]) || (can_be_marked() && number_option(fd, SOL_SOCKET, SO_MARK) > 0);
}

/* Made by our own user: what we dial is ours. Only root's program can have become another user. */
static bool is_of_our_user(int fd)
{
	struct stat status;

	return relay_own_user() != 0 || (fstat(fd, &status) == 0 && status.st_uid == 0);
}

bool program_socket_look(struct program_socket *socket, int fd)
{
	*socket = (struct program_socket){.fd = fd};
	if (number_option(fd, SOL_SOCKET, SO_PROTOCOL) != IPPROTO_TCP || !is_of_our_user(fd) ||
	    netns_cookie_of(fd) != relay_core.netns_cookie || !is_unconnected(fd) || is_bound(fd, &socket->family) ||
	    has_way_of_its_own(fd))
		return false;
	socket->flags = fcntl(fd, F_GETFL);
	return socket->flags >= 0;
}

static bool is_v6_only(const struct program_socket *socket)
{
	return socket->family == AF_INET6 && number_option(socket->fd, IPPROTO_IPV6, IPV6_V6ONLY) == 1;
}

bool program_socket_takes(const struct program_socket *socket, const struct destination_key *key)
{
	struct sockaddr_in6 peer;

	if (socket->family != key->family)
		return false;
	destination_key_peer(key, &peer);
	return key->family == AF_INET || !IN6_IS_ADDR_V4MAPPED(&peer.sin6_addr) || !is_v6_only(socket);
}

bool program_socket_is_non_blocking(const struct program_socket *socket)
{
	return socket->flags & O_NONBLOCK;
}

/* Waits for a connect() that is in progress. Where something on this machine drops packets to ourselves (a firewall),
 * nobody may be kept waiting for that. */
static int await(int fd)
{
	static const struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
	struct pollfd entry = {.fd = fd, .events = POLLOUT};
	int n = poll(&entry, 1, CONNECT_MS);

	if (n > 0 && !(entry.revents & (POLLERR | POLLHUP)))
		return 0;
	connect(fd, &nowhere, sizeof(nowhere));
	/* The error that the kernel notes then is not for the program: it is read away. */
	number_option(fd, SOL_SOCKET, SO_ERROR);
	return -EHOSTUNREACH;
}

/* As a non-blocking socket, whatever the program has made it. */
static int connect_at_once(const struct program_socket *socket, const struct sockaddr_in6 *to, socklen_t length)
{
	const struct sockaddr *address = (const struct sockaddr *)to;
	bool is_blocking = !program_socket_is_non_blocking(socket);
	int error = 0;

	if (is_blocking)
		fcntl(socket->fd, F_SETFL, socket->flags | O_NONBLOCK);
	if (connect(socket->fd, address, length) < 0)
		error = errno == EINPROGRESS ? await(socket->fd) : -errno;
	if (is_blocking) {
		/* To a blocking socket the kernel says "in progress" no more. */
		if (!error)
			connect(socket->fd, address, length);
		fcntl(socket->fd, F_SETFL, socket->flags);
	}
	return error;
}

int program_socket_connect(const struct program_socket *socket, struct connection_ends *ends)
{
	bool only_v6 = is_v6_only(socket);
	socklen_t length;
	int error = -EADDRNOTAVAIL;

	for (unsigned i = 0; i < LISTENER_PLACES; i++) {
		length = listener_address(socket->family, only_v6, &ends->ours);
		error = length ? connect_at_once(socket, &ends->ours, length) : -EAFNOSUPPORT;
		if (error != -EADDRNOTAVAIL || !listener_move(&ends->ours))
			break;
	}
	if (error)
		return error;
	length = sizeof(ends->program);
	ends->program = (struct sockaddr_in6){0};
	if (getsockname(socket->fd, (struct sockaddr *)&ends->program, &length) < 0)
		return -errno;
	ends_simplify(&ends->program);
	ends_simplify(&ends->ours);
	return 0;
}
