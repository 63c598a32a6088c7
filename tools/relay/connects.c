/* See connects.h. */
#include "tools/relay/connects.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <utlist.h>

#include "pool/base/kernel.h"
#include "pool/base/clock.h"
#include "tools/relay/client.h"
#include "tools/relay/core.h"
#include "tools/relay/listener.h"
#include "tools/relay/made_sockets.h"
#include "tools/relay/notice.h"
#include "tools/relay/own_ports.h"
#include "tools/relay/program_socket.h"
#include "tools/relay/target.h"
#include "tools/relay/upstream.h"

/* Of the relay itself: listeners, pidfds, the broker. */
#define OWN_FDS 64
/* So long a connect() may wait here, without its program's timeouts and signal handlers. */
#define HOLD_NS (100 * MILLISECOND_NS)

/* A connect() whose server is being dialled. */
struct hold {
	uint64_t id;
	struct program_socket socket;
	struct destination_key key;
	struct upstream *upstream;
	uint64_t until_ns;
	bool fails_then; /* with ETIMEDOUT, as the dial timeout asks; else the kernel goes on with it */
	struct hold *prev, *next;
};

static struct hold *holds;
static unsigned n_holds;

static bool leaves_all; /* to the kernel: we can't be reached, or might connect where the program may not */

/* A duplicate of the program's descriptor in the call's first argument, to be closed; or -errno. */
static int take_fd(const struct seccomp_notif *notice)
{
	pid_t thread = (pid_t)notice->pid;
	int fd = (int)notice->data.args[0];

	return made_sockets_is_on() ? made_sockets_take_fd(thread, fd) : target_take_fd(thread, fd);
}

/* The program's socket becomes a client of ours, with what was dialled for it (NULL: nothing). NULL: it is as it
 * was. */
static struct client *make_client(const struct program_socket *socket, const struct destination_key *key,
				  struct upstream *upstream)
{
	struct connection_ends ends;
	int error = program_socket_connect(socket, &ends);
	struct client *client;
	struct stat status;

	if (error == -EHOSTUNREACH)
		leaves_all = true;
	client = error ? NULL : client_expect(key, &ends, upstream);
	if (client && made_sockets_is_on() && fstat(socket->fd, &status) == 0)
		client->inode = status.st_ino;
	return client;
}

/* Serves the call by a connection to ourselves. Takes the socket. */
static void attach(uint64_t id, const struct program_socket *socket, const struct destination_key *key,
		   struct upstream *upstream)
{
	struct client *client = notice_is_valid(id) ? make_client(socket, key, upstream) : NULL;

	if (client) {
		notice_answer(id, program_socket_is_non_blocking(socket) ? EINPROGRESS : 0);
		listener_take_in(client);
	} else {
		if (upstream)
			upstream_end(upstream, REFUSAL_NONE);
		notice_let_pass(id);
	}
	close(socket->fd);
}

static void let_go(struct hold *hold)
{
	DL_DELETE(holds, hold);
	n_holds--;
	free(hold);
}

static void dialled(struct upstream *upstream, int error)
{
	struct hold *hold = upstream->object;

	if (error) {
		notice_answer(hold->id, error);
		close(hold->socket.fd);
	} else {
		attach(hold->id, &hold->socket, &hold->key, upstream);
	}
	let_go(hold);
}

static const struct upstream_user dialled_for_hold = {.dialled = dialled};

/* Our duplicate goes first: what the program then does to its own has its whole effect. */
static void let_pass(uint64_t id, int fd)
{
	if (fd >= 0)
		close(fd);
	notice_let_pass(id);
}

/* Dials; the program waits meanwhile. Takes the socket. */
static void hold(uint64_t id, const struct program_socket *socket, struct destination *destination)
{
	struct hold *new = calloc(1, sizeof(*new));
	int error;

	if (!new) {
		let_pass(id, socket->fd);
		return;
	}
	*new = (struct hold){.id = id, .socket = *socket, .key = destination->key};
	/* A program that waits itself has its own idea of how long. */
	new->fails_then = destination->policy->dial_timeout_ns && !program_socket_is_non_blocking(socket);
	new->until_ns = relay_now_ns() + (new->fails_then ? destination->policy->dial_timeout_ns : HOLD_NS);
	new->upstream = upstream_dial(destination, &dialled_for_hold, new);
	error = errno;
	if (new->upstream) {
		DL_APPEND(holds, new);
		n_holds++;
		return;
	}
	free(new);
	/* The program may have the memory or the descriptors that we lack. */
	if (error == ENOMEM || error == EMFILE || error == ENFILE || error == ENOBUFS)
		notice_let_pass(id);
	else
		notice_answer(id, error);
	close(socket->fd);
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

	/* The library marks its own calls by other lengths. */
	if (length != sizeof(struct sockaddr_in) && length != sizeof(struct sockaddr_in6) && length != sizeof(address))
		return false;
	if (target_read((pid_t)notice->pid, notice->data.args[1], &address, length) < 0)
		return false;
	memset(key, 0, sizeof(*key));
	key->netns_cookie = relay_core.netns_cookie;
	key->euid = relay_own_user();
	return destination_key_set_peer(key, (struct sockaddr *)&address, length) == 0;
}

/* Rules on connections came with version 4 of Landlock (landlock(7)). */
static bool can_restrict_connects(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) >= 4;
}

/* A made socket is used in a way in which we have no part. */
static void use_otherwise(const struct seccomp_notif *notice)
{
	int fd = made_sockets_is_on() ? take_fd(notice) : -1;

	let_pass(notice->id, fd);
}

/* One client more has the descriptors that it will need, for its own end and a server's. Behind its connect() a want of
 * them would break its connection. */
static bool has_fds_for_one(void)
{
	static uint64_t limit;
	struct rlimit files;

	if (!limit)
		limit = getrlimit(RLIMIT_NOFILE, &files) == 0 ? files.rlim_cur : OWN_FDS;
	return 2 * ((uint64_t)client_n() + n_holds + 1) + relay_core.pool.n_idle + made_sockets_n() + OWN_FDS <= limit;
}

static void take_connect(const struct seccomp_notif *notice)
{
	struct destination_key key;
	struct destination *destination = read_key(notice, &key) ? idle_pool_find(&relay_core.pool, &key) : NULL;
	struct program_socket socket;
	int fd;

	if (!destination || destination->policy->mode != CONFIG_MODE_FULL || leaves_all || !has_fds_for_one()) {
		use_otherwise(notice);
		return;
	}
	if (own_ports_has((pid_t)notice->pid, &key)) {
		stats_count(destination->stats, STATS_CONNECTS);
		stats_refuse(destination->stats, REFUSAL_POLICY);
		use_otherwise(notice);
		return;
	}
	if (bypass_is_on(&destination->bypass, relay_now_ns())) {
		stats_count(destination->stats, STATS_CONNECTS);
		stats_refuse(destination->stats, REFUSAL_BYPASSED);
		use_otherwise(notice);
		return;
	}
	fd = take_fd(notice);
	if (fd < 0 || !program_socket_look(&socket, fd) || !program_socket_takes(&socket, &key)) {
		let_pass(notice->id, fd);
		return;
	}
	stats_count(destination->stats, STATS_CONNECTS);
	if (needs_no_dial(destination))
		attach(notice->id, &socket, &key, NULL);
	else
		hold(notice->id, &socket, destination);
}

static bool read_name(int (*get)(int, struct sockaddr *, socklen_t *), int fd, struct sockaddr_in6 *name)
{
	socklen_t length = sizeof(*name);

	if (get(fd, (struct sockaddr *)name, &length) < 0 ||
	    (name->sin6_family != AF_INET && name->sin6_family != AF_INET6))
		return false;
	ends_simplify(name);
	return true;
}

static int name_peer(int fd, struct sockaddr *name, socklen_t *length)
{
	return getpeername(fd, name, length);
}

static int name_own(int fd, struct sockaddr *name, socklen_t *length)
{
	return getsockname(fd, name, length);
}

/* The client behind the program's socket; NULL: none of ours. */
static const struct client *client_of(const struct seccomp_notif *notice)
{
	int fd = (int)notice->data.args[0];
	struct connection_ends ends = {0};
	bool is_tcp;

	if (made_sockets_is_on())
		return client_find_socket(made_sockets_inode((pid_t)notice->pid, fd));
	fd = target_take_fd((pid_t)notice->pid, fd);
	is_tcp = fd >= 0 && read_name(name_peer, fd, &ends.ours) && read_name(name_own, fd, &ends.program);
	if (fd >= 0)
		close(fd);
	return is_tcp ? client_find(&ends) : NULL;
}

/* As the kernel writes it: as much as there is room for, and how long it is. */
static int write_peer(const struct seccomp_notif *notice, const struct destination_key *key)
{
	struct sockaddr_in6 address;
	socklen_t length = destination_key_peer(key, &address), room;
	struct iovec parts[] = {{&address, length}, {&length, sizeof(length)}}, places[] = {parts[0], parts[1]};

	if (target_read((pid_t)notice->pid, notice->data.args[2], &room, sizeof(room)) < 0 || (int)room < 0)
		return -EFAULT;
	if (room < length)
		parts[0].iov_len = places[0].iov_len = room;
	places[0].iov_base = (void *)(uintptr_t)notice->data.args[1];
	places[1].iov_base = (void *)(uintptr_t)notice->data.args[2];
	return target_write((pid_t)notice->pid, parts, places, 2);
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
	case SYS_landlock_restrict_self:
		leaves_all |= can_restrict_connects();
		notice_let_pass(notice->id);
		break;
	case SYS_listen:
		own_ports_take_listen(notice);
		break;
	case SYS_socket:
		made_sockets_take_call(notice);
		break;
	default:
		use_otherwise(notice);
	}
}

static void end_hold(struct hold *hold)
{
	if (hold->fails_then) {
		stats_count_failure(hold->upstream->conn->destination->stats, ETIMEDOUT);
		notice_answer(hold->id, ETIMEDOUT);
		close(hold->socket.fd);
	} else {
		let_pass(hold->id, hold->socket.fd);
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
