/* See connects.h. */
#include "tools/relay/connects.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <utlist.h>

#include "pool/base/clock.h"
#include "tools/ports/netns.h"
#include "tools/relay/client.h"
#include "tools/relay/core.h"
#include "tools/relay/listener.h"
#include "tools/relay/notice.h"
#include "tools/relay/target.h"
#include "tools/relay/upstream.h"

/* So long a connect() may wait here, without its program's timeouts and signal handlers. */
#define HOLD_NS (100 * MILLISECOND_NS)
/* For a connection to ourselves, which takes microseconds. */
#define CONNECT_MS 50

/* A connect() whose server is being dialled. */
struct hold {
	uint64_t id;
	int socket; /* the program's, a duplicate of ours */
	struct destination_key key;
	struct upstream *upstream;
	uint64_t until_ns;
	bool fails_then; /* with ETIMEDOUT, as the dial timeout asks; else the kernel goes on with it */
	struct hold *prev, *next;
};

static struct hold *holds;

static int number_option(int fd, int level, int name)
{
	int value = 0;
	socklen_t length = sizeof(value);

	return getsockopt(fd, level, name, &value, &length) == 0 ? value : -1;
}

static int tcp_state(int fd)
{
	struct tcp_info info;
	socklen_t length = sizeof(info);

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0 ? info.tcpi_state : -1;
}

static bool is_unconnected(int fd)
{
	return tcp_state(fd) == TCP_CLOSE;
}

static bool is_bound(int fd)
{
	struct sockaddr_in6 name = {0};
	socklen_t length = sizeof(name);

	return getsockname(fd, (struct sockaddr *)&name, &length) < 0 || name.sin6_port != 0 ||
	       (name.sin6_family == AF_INET ? ((struct sockaddr_in *)&name)->sin_addr.s_addr != 0
					    : !IN6_IS_ADDR_UNSPECIFIED(&name.sin6_addr));
}

/* Bound to an interface, or marked for a route of its own: a connection of ours would take another way. */
static bool has_way_of_its_own(int fd)
{
	char interface[16] = "";
	socklen_t length = sizeof(interface);

	getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, interface, &length);
	return (length && interface[0]) || number_option(fd, SOL_SOCKET, SO_MARK) > 0;
}

/* Made by our own user: what we dial is ours. (Root's program may have become another user.) */
static bool is_of_our_user(int fd)
{
	struct stat status;

	return fstat(fd, &status) == 0 && status.st_uid == geteuid();
}

/* A TCP socket on which another connection of ours can stand in for the program's. */
static bool can_serve(int fd)
{
	return number_option(fd, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_TCP && is_of_our_user(fd) &&
	       netns_cookie_of(fd) == relay_core.netns_cookie && is_unconnected(fd) && !is_bound(fd) &&
	       !has_way_of_its_own(fd);
}

static bool is_out_of_reach; /* ourselves: everything is left to the kernel */

/* Connects as a non-blocking socket, whatever the program has made it: where something on this machine drops packets to
 * ourselves (a firewall), nobody may be kept waiting for that. 0, or -errno: it is as it was. */
static int connect_at_once(int fd, const struct sockaddr_in6 *to, socklen_t length)
{
	static const struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
	struct pollfd entry = {.fd = fd, .events = POLLOUT};
	int flags = fcntl(fd, F_GETFL), error;

	fcntl(fd, F_SETFL, flags | O_NONBLOCK);
	error = connect(fd, (const struct sockaddr *)to, length) < 0 ? errno : 0;
	if (error == EINPROGRESS && poll(&entry, 1, CONNECT_MS) > 0 && tcp_state(fd) == TCP_ESTABLISHED)
		error = 0;
	else if (error == EINPROGRESS) {
		connect(fd, &nowhere, sizeof(nowhere));
		is_out_of_reach = true;
	}
	/* To a blocking socket the kernel says "in progress" no more. */
	if (!error && !(flags & O_NONBLOCK))
		connect(fd, (const struct sockaddr *)to, length);
	fcntl(fd, F_SETFL, flags);
	return -error;
}

/* Connects the program's own socket to us. 0, or -errno: it is as it was. *name is what it is called then, *ours its
 * other end. */
static int connect_to_us(int fd, struct sockaddr_in6 *name, struct sockaddr_in6 *ours)
{
	int family = number_option(fd, SOL_SOCKET, SO_DOMAIN);
	bool is_v6_only = family == AF_INET6 && number_option(fd, IPPROTO_IPV6, IPV6_V6ONLY) == 1;
	socklen_t length = listener_address(family, is_v6_only, ours);
	int error;

	if (!length)
		return -EAFNOSUPPORT;
	/* With an empty queue before it this does not wait. */
	listener_take_in();
	error = connect_at_once(fd, ours, length);
	if (error)
		return error;
	length = sizeof(*name);
	memset(name, 0, sizeof(*name));
	if (getsockname(fd, (struct sockaddr *)name, &length) < 0)
		return -errno;
	listener_simplify(name);
	listener_simplify(ours);
	return 0;
}

static bool is_non_blocking(int fd)
{
	return fcntl(fd, F_GETFL) & O_NONBLOCK;
}

/* The program's socket becomes a client of ours, with what was dialled for it (NULL: nothing). Takes `fd`. */
static void attach(uint64_t id, int fd, const struct destination_key *key, struct upstream *upstream)
{
	struct sockaddr_in6 name, ours;

	if (!notice_is_valid(id) || connect_to_us(fd, &name, &ours) < 0 ||
	    !client_expect(key, &name, &ours, upstream)) {
		if (upstream)
			upstream_end(upstream, REFUSAL_NONE);
		notice_let_pass(id);
	} else {
		notice_answer(id, is_non_blocking(fd) ? EINPROGRESS : 0);
		listener_take_in();
	}
	close(fd);
}

static void let_go(struct hold *hold)
{
	DL_DELETE(holds, hold);
	free(hold);
}

static void dialled(struct upstream *upstream, int error)
{
	struct hold *hold = upstream->object;

	if (error) {
		notice_answer(hold->id, error);
		close(hold->socket);
	} else {
		attach(hold->id, hold->socket, &hold->key, upstream);
	}
	let_go(hold);
}

static const struct upstream_user dialled_for_hold = {.dialled = dialled};

static void let_pass(uint64_t id, int fd)
{
	notice_let_pass(id);
	if (fd >= 0)
		close(fd);
}

/* Dials; the program waits meanwhile. Takes `fd`. */
static void hold(uint64_t id, int fd, struct destination *destination)
{
	struct hold *new = calloc(1, sizeof(*new));
	int error;

	if (!new) {
		let_pass(id, fd);
		return;
	}
	*new = (struct hold){.id = id, .socket = fd, .key = destination->key};
	/* A program that waits itself has its own idea of how long. */
	new->fails_then = destination->policy->dial_timeout_ns && !is_non_blocking(fd);
	new->until_ns = relay_now_ns() + (new->fails_then ? destination->policy->dial_timeout_ns : HOLD_NS);
	new->upstream = upstream_dial(destination, &dialled_for_hold, new);
	error = errno;
	if (new->upstream) {
		DL_APPEND(holds, new);
		return;
	}
	free(new);
	/* The program may have the memory or the descriptors that we lack. */
	if (error == ENOMEM || error == EMFILE || error == ENFILE || error == ENOBUFS)
		notice_let_pass(id);
	else
		notice_answer(id, error);
	close(fd);
}

/* A connection dialled in advance is of no use where a kept one can serve, or none may be opened. */
static bool needs_no_dial(struct destination *destination)
{
	uint32_t limit = destination->policy->max_conns_per_host;

	return (!habit_looks_often(&destination->looks, RELAY_WHO) && upstream_can_lease(destination)) ||
	       (limit && destination->n_open + destination->n_idle >= limit);
}

static bool read_key(const struct seccomp_notif *notice, struct destination_key *key)
{
	struct sockaddr_storage address = {0};
	socklen_t length = (socklen_t)notice->data.args[2];

	if (target_read((pid_t)notice->pid, notice->data.args[1], &address, length) < 0)
		return false;
	memset(key, 0, sizeof(*key));
	key->netns_cookie = relay_core.netns_cookie;
	key->euid = geteuid();
	return destination_key_set_peer(key, (struct sockaddr *)&address, length) == 0;
}

static void take_connect(const struct seccomp_notif *notice)
{
	struct destination_key key;
	struct destination *destination = read_key(notice, &key) ? idle_pool_find(&relay_core.pool, &key) : NULL;
	int fd;

	if (!destination || destination->policy->mode != CONFIG_MODE_FULL || is_out_of_reach) {
		notice_let_pass(notice->id);
		return;
	}
	if (bypass_is_on(&destination->bypass, relay_now_ns())) {
		stats_count(destination->stats, STATS_CONNECTS);
		stats_refuse(destination->stats, REFUSAL_BYPASSED);
		notice_let_pass(notice->id);
		return;
	}
	fd = target_take_fd((pid_t)notice->pid, (int)notice->data.args[0]);
	if (fd < 0 || !can_serve(fd)) {
		let_pass(notice->id, fd);
		return;
	}
	stats_count(destination->stats, STATS_CONNECTS);
	if (needs_no_dial(destination))
		attach(notice->id, fd, &key, NULL);
	else
		hold(notice->id, fd, destination);
}

/* The client behind the program's socket; NULL: none of ours. */
static const struct client *client_of(const struct seccomp_notif *notice)
{
	int fd = target_take_fd((pid_t)notice->pid, (int)notice->data.args[0]);
	struct sockaddr_in6 name = {0}, peer = {0};
	socklen_t name_length = sizeof(name), peer_length = sizeof(peer);
	bool is_ours = fd >= 0 && getpeername(fd, (struct sockaddr *)&peer, &peer_length) == 0 &&
		       getsockname(fd, (struct sockaddr *)&name, &name_length) == 0;

	if (fd >= 0)
		close(fd);
	listener_simplify(&peer);
	listener_simplify(&name);
	return is_ours && listener_is_ours(&peer) ? client_find(&name) : NULL;
}

/* As the kernel writes it: as much as there is room for, and how long it is. */
static int write_peer(const struct seccomp_notif *notice, const struct destination_key *key)
{
	struct sockaddr_in6 address;
	socklen_t length = destination_key_peer(key, &address), room;
	pid_t thread = (pid_t)notice->pid;

	if (target_read(thread, notice->data.args[2], &room, sizeof(room)) < 0 || (int)room < 0)
		return -EFAULT;
	if (target_write(thread, notice->data.args[1], &address, room < length ? room : length) < 0)
		return -EFAULT;
	return target_write(thread, notice->data.args[2], &length, sizeof(length));
}

static void take_getpeername(const struct seccomp_notif *notice)
{
	const struct client *client = client_of(notice);

	if (client && notice_is_valid(notice->id) && write_peer(notice, &client->key) == 0)
		notice_answer(notice->id, 0);
	else
		notice_let_pass(notice->id);
}

void connects_take(const struct seccomp_notif *notice)
{
	switch (notice->data.nr) {
	case SYS_connect:
		take_connect(notice);
		break;
	case SYS_getpeername:
		take_getpeername(notice);
		break;
	default:
		notice_let_pass(notice->id);
	}
}

static void end_hold(struct hold *hold)
{
	if (hold->fails_then) {
		stats_count_failure(hold->upstream->conn->destination->stats, ETIMEDOUT);
		notice_answer(hold->id, ETIMEDOUT);
		close(hold->socket);
	} else {
		let_pass(hold->id, hold->socket);
	}
	upstream_end(hold->upstream, REFUSAL_NONE);
	let_go(hold);
}

void connects_tick(void)
{
	uint64_t now_ns = relay_now_ns();
	struct hold *one, *next;

	DL_FOREACH_SAFE(holds, one, next)
	if (now_ns >= one->until_ns || !notice_is_valid(one->id))
		end_hold(one);
}

int connects_wait_ms(void)
{
	uint64_t now_ns = relay_now_ns();
	struct deadline first = {UINT64_MAX};
	const struct hold *one;

	DL_FOREACH(holds, one)
	if (one->until_ns < first.at_ns)
		first.at_ns = one->until_ns;
	return holds ? deadline_left_ms(first, now_ns) : -1;
}
