/* See sys.h. */
#include "tests/unit/fake/sys.h"

#include <check.h>
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "pool/base/kernel.h"

struct mapping {
	void *memory;
	uint64_t length;
	struct mapping *next;
};

struct failure {
	unsigned first, last; /* by number of the call */
	int error;
};

struct fake_kernel fake_kernel;
ssize_t (*fake_sys_on_send)(int fd, const void *packet, size_t length, int passed);
static struct failure failures[FAKE_CALL_COUNT];
static struct fake_socket *sockets;
static unsigned n_sockets_room;
static struct mapping *mappings;
static bool has_ended[FAKE_PIDS];

void fake_sys_stop(void)
{
	while (mappings) {
		struct mapping *mapping = mappings;

		mappings = mapping->next;
		free(mapping->memory);
		free(mapping);
	}
	free(sockets);
	sockets = NULL;
	n_sockets_room = 0;
	memset(&fake_kernel, 0, sizeof(fake_kernel));
	memset(failures, 0, sizeof(failures));
	memset(has_ended, 0, sizeof(has_ended));
	fake_sys_on_send = NULL;
}

void fake_sys_start(void)
{
	fake_sys_stop();
	fake_kernel.now_ns = 1000ull * 1000000000;
}

void fake_sys_fail(enum fake_call call, unsigned first, unsigned n, int error)
{
	failures[call].first = fake_kernel.n_calls[call] + first;
	failures[call].last = failures[call].first + n - 1;
	failures[call].error = error;
}

static bool fails(enum fake_call call)
{
	unsigned number = ++fake_kernel.n_calls[call];

	if (number < failures[call].first || number > failures[call].last)
		return false;
	errno = failures[call].error;
	return true;
}

static struct fake_socket *new_descriptor(int *fd)
{
	struct fake_socket *new;

	if (fake_kernel.n_sockets_ever == n_sockets_room) {
		n_sockets_room = n_sockets_room ? 2 * n_sockets_room : 64;
		sockets = realloc(sockets, n_sockets_room * sizeof(*sockets));
		ck_assert_ptr_nonnull(sockets);
	}
	new = &sockets[fake_kernel.n_sockets_ever];
	memset(new, 0, sizeof(*new));
	new->is_open = true;
	fake_kernel.n_open++;
	*fd = FAKE_FD_MIN + (int)fake_kernel.n_sockets_ever++;
	return new;
}

int fake_socket_new(void)
{
	struct sockaddr_in peer = {
		.sin_family = AF_INET, .sin_port = htons(80), .sin_addr.s_addr = htonl(10 << 24 | 1)};
	int fd;
	struct fake_socket *new = new_descriptor(&fd);

	new->n_descriptors = 1;
	new->protocol = IPPROTO_TCP;
	new->cookie = (uint64_t)fd;
	new->state = FAKE_ESTABLISHED;
	new->rtt_us = 50;
	new->info_length = sizeof(struct tcp_info);
	memcpy(&new->peer, &peer, sizeof(peer));
	new->peer_length = sizeof(peer);
	return fd;
}

struct fake_socket *fake_socket(int fd)
{
	/* No assertion: it would write to Check's pipe each time. */
	if (fd < FAKE_FD_MIN || fd >= FAKE_FD_MIN + (int)fake_kernel.n_sockets_ever)
		ck_abort_msg("no socket %d", fd);
	return &sockets[fd - FAKE_FD_MIN];
}

static struct fake_socket *open_socket(int fd)
{
	struct fake_socket *socket = fake_socket(fd);

	if (!socket->is_open)
		ck_abort_msg("%d is closed", fd);
	return socket;
}

struct fake_socket *fake_socket_original(int fd)
{
	struct fake_socket *socket = fake_socket(fd);

	return socket->duplicate_of ? fake_socket(socket->duplicate_of) : socket;
}

static struct fake_socket *open_original(int fd)
{
	open_socket(fd);
	return fake_socket_original(fd);
}

int fake_socket_duplicate(int fd)
{
	int original = open_socket(fd)->duplicate_of ? fake_socket(fd)->duplicate_of : fd;
	int duplicate;

	new_descriptor(&duplicate)->duplicate_of = original;
	fake_socket(original)->n_descriptors++;
	return duplicate;
}

static struct fake_option *find_option(struct fake_socket *socket, int level, int name)
{
	for (unsigned i = 0; i < socket->n_options; i++)
		if (socket->options[i].level == level && socket->options[i].name == name)
			return &socket->options[i];
	return NULL;
}

static void give(const void *from, socklen_t have, void *value, socklen_t *length)
{
	if (*length > have)
		*length = have;
	memcpy(value, from, *length);
}

static int fake_getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
	struct fake_socket *socket = open_original(fd);
	struct fake_option *option = find_option(socket, level, name);
	struct tcp_info info = {
		.tcpi_state = socket->state,
		.tcpi_rtt = socket->rtt_us,
		.tcpi_unacked = socket->unacked,
		.tcpi_notsent_bytes = socket->notsent_bytes,
		.tcpi_last_ack_recv = socket->last_ack_ms,
		.tcpi_last_data_recv = socket->last_data_ms,
		.tcpi_bytes_sent = socket->bytes_sent,
		.tcpi_bytes_retrans = socket->bytes_retrans,
		.tcpi_bytes_received = socket->bytes_received,
	};

	if (fails(FAKE_CALL_GETSOCKOPT))
		return -1;
	if (level == IPPROTO_TCP && name == TCP_INFO)
		give(&info, socket->info_length, value, length);
	else if (level == SOL_SOCKET && name == SO_PROTOCOL)
		give(&socket->protocol, sizeof(socket->protocol), value, length);
	else if (level == SOL_SOCKET && name == SO_COOKIE)
		give(&socket->cookie, sizeof(socket->cookie), value, length);
	else if (level == SOL_SOCKET && name == SO_NETNS_COOKIE)
		give(&socket->netns_cookie, sizeof(socket->netns_cookie), value, length);
	else if (option)
		give(option->value, option->length, value, length);
	else
		memset(value, 0, *length);
	return 0;
}

static int fake_setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
	struct fake_socket *socket = open_original(fd);
	struct fake_option *option = find_option(socket, level, name);

	if (fails(FAKE_CALL_SETSOCKOPT))
		return -1;
	ck_assert_uint_le(length, sizeof(option->value));
	if (!option) {
		ck_assert_uint_lt(socket->n_options, sizeof(socket->options) / sizeof(socket->options[0]));
		option = &socket->options[socket->n_options++];
	}
	option->level = level;
	option->name = name;
	option->length = length;
	memcpy(option->value, value, length);
	return 0;
}

static int fake_close(int fd)
{
	open_original(fd)->n_descriptors--;
	fake_socket(fd)->is_open = false;
	fake_socket(fd)->watcher = NULL;
	fake_kernel.n_open--;
	return fails(FAKE_CALL_CLOSE) ? -1 : 0; /* closed nonetheless, as on Linux */
}

static uint64_t fake_now_ns(void)
{
	return fake_kernel.now_ns;
}

static void *fake_map(uint64_t length)
{
	struct mapping *mapping;

	ck_assert_uint_gt(length, 0);
	if (fails(FAKE_CALL_MAP))
		return NULL;
	mapping = malloc(sizeof(*mapping));
	ck_assert_ptr_nonnull(mapping);
	mapping->memory = calloc(1, length);
	ck_assert_ptr_nonnull(mapping->memory);
	mapping->length = length;
	mapping->next = mappings;
	mappings = mapping;
	fake_kernel.n_mapped++;
	fake_kernel.mapped_bytes += length;
	return mapping->memory;
}

static void fake_unmap(void *memory, uint64_t length)
{
	struct mapping **at = &mappings, *found;

	while (*at && (*at)->memory != memory)
		at = &(*at)->next;
	found = *at;
	ck_assert_msg(found != NULL, "memory given back that is not mapped");
	ck_assert_uint_eq(found->length, length);
	*at = found->next;
	free(found->memory);
	free(found);
	fake_kernel.n_mapped--;
	fake_kernel.n_unmapped++;
	fake_kernel.mapped_bytes -= length;
}

static int fake_disconnect(int fd)
{
	struct fake_socket *socket = open_original(fd);

	/* Otherwise a server that reads gets ECONNRESET. */
	ck_assert_msg(socket->has_sent_end, "%d is reset before its end of file", fd);
	if (fails(FAKE_CALL_DISCONNECT))
		return -1;
	socket->was_disconnected = true;
	socket->state = FAKE_CLOSE;
	return 0;
}

static int fake_shutdown(int fd, int how)
{
	open_original(fd)->has_sent_end |= how != SHUT_RD;
	open_original(fd)->was_shut_down |= how == SHUT_RDWR;
	return 0;
}

static int fake_getpeername(int fd, struct sockaddr *address, socklen_t *length)
{
	struct fake_socket *socket = open_original(fd);

	if (fails(FAKE_CALL_GETPEERNAME))
		return -1;
	memcpy(address, &socket->peer, *length < socket->peer_length ? *length : socket->peer_length);
	*length = socket->peer_length;
	return 0;
}

static int fake_watch(int fd, void *object)
{
	struct fake_socket *socket = open_socket(fd);

	if (fails(FAKE_CALL_WATCH))
		return -1;
	if (socket->watcher)
		ck_abort_msg("%d is watched already", fd);
	socket->watcher = object;
	return 0;
}

void fake_sys_end_process(int pid)
{
	has_ended[pid] = true;
}

static int fake_watch_process(int pid, void *object)
{
	int fd;

	if (pid <= 0)
		ck_abort_msg("no process %d", pid);
	if (pid >= FAKE_PIDS || has_ended[pid])
		return -ESRCH;
	if (fails(FAKE_CALL_WATCH))
		return -EMFILE;
	fd = fake_socket_new();
	fake_socket(fd)->watcher = object;
	return fd;
}

static ssize_t fake_sendmsg(int fd, const struct msghdr *message, int flags)
{
	const struct cmsghdr *control = CMSG_FIRSTHDR(message);
	int passed = -1;
	ssize_t n;

	ck_assert_int_eq(flags & MSG_DONTWAIT, MSG_DONTWAIT);
	ck_assert_ptr_nonnull(fake_sys_on_send);
	if (control) {
		memcpy(&passed, CMSG_DATA(control), sizeof(passed));
		open_socket(passed);
	}
	n = fake_sys_on_send(fd, message->msg_iov->iov_base, message->msg_iov->iov_len, passed);
	if (n >= 0)
		return n;
	errno = (int)-n;
	return -1;
}

static ssize_t fake_recvmsg(int fd, struct msghdr *message, int flags)
{
	(void)fd;
	(void)message;
	(void)flags;
	errno = EAGAIN;
	return -1;
}

const struct pool_sys fake_sys = {
	.getsockopt = fake_getsockopt,
	.setsockopt = fake_setsockopt,
	.close = fake_close,
	.now_ns = fake_now_ns,
	.map = fake_map,
	.unmap = fake_unmap,
	.disconnect = fake_disconnect,
	.shutdown = fake_shutdown,
	.getpeername = fake_getpeername,
	.watch = fake_watch,
	.watch_process = fake_watch_process,
	.sendmsg = fake_sendmsg,
	.recvmsg = fake_recvmsg,
};
