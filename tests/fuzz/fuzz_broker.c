/*
 * Fuzz target for the broker: processes that come, talk, lie in shared memory and die, over a kernel of a few lines.
 *
 * Input: operations of a byte each, and their arguments. Whatever they are:
 *   - no descriptor is closed twice, used after it was closed, or left open at the end;
 *   - the broker's lists agree with each other;
 *   - a connection that is given is open and has the key that was asked for, for which it was parked, and the slot's
 *     bytes are what the kernel counts;
 *   - no ticket is served beyond its limit, or waits for a place that is free.
 */
#include "pool/broker/broker.h"

#include <errno.h>
#include <linux/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "pool/conn/destination.h"

#define MAX_OPERATIONS 3000
#define MAX_PROCESSES 10 /* and tickets */
#define MAX_HELD 12
#define MAX_FDS (4 * MAX_OPERATIONS)
#define MAX_MAPPINGS 512
#define N_KEYS 8
#define EUID 1000
#define SECOND 1000000000ull
#define MUST(condition) ((condition) ? (void)0 : abort())

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A connection as the kernel knows it. */
struct connection {
	struct destination_key key; /* its peer and network */
	uint64_t sent, received;
	uint8_t state;
};

struct descriptor {
	bool is_open;
	int connection;		    /* index; -1: none */
	struct held *watcher;	    /* argument of the last watch(); its object may have gone */
	struct destination_key key; /* for which it was parked */
};

static struct connection connections[MAX_OPERATIONS];
static unsigned n_connections;
static struct descriptor fds[MAX_FDS];
static int n_fds, n_open;
static struct {
	void *memory;
	uint64_t length;
} mappings[MAX_MAPPINGS];
static unsigned n_mappings;
static uint64_t now;
static bool has_no_memory;

static struct broker broker;
static struct broker_process *processes[MAX_PROCESSES];
static struct destination_key keys[N_KEYS];

static const uint8_t *input, *input_end;

static uint8_t next(void)
{
	return input < input_end ? *input++ : 0;
}

static int open_fd(int connection)
{
	MUST(n_fds < MAX_FDS);
	fds[n_fds] = (struct descriptor){.is_open = true, .connection = connection};
	n_open++;
	return n_fds++;
}

static struct descriptor *get_open(int fd)
{
	MUST(fd >= 0 && fd < n_fds && fds[fd].is_open);
	return &fds[fd];
}

static int sys_getsockopt(int fd, int level, int name, void *value, socklen_t *length)
{
	int index = get_open(fd)->connection;
	const struct connection *connection;
	struct tcp_info info;
	uint64_t number;

	if (index < 0) {
		errno = ENOTSOCK;
		return -1;
	}
	connection = &connections[index];
	if (level == IPPROTO_TCP && name == TCP_INFO) {
		MUST(*length == sizeof(info));
		memset(&info, 0, sizeof(info));
		info.tcpi_state = connection->state;
		info.tcpi_bytes_sent = connection->sent;
		info.tcpi_bytes_received = connection->received;
		memcpy(value, &info, sizeof(info));
		return 0;
	}
	MUST(level == SOL_SOCKET);
	if (name == SO_PROTOCOL) {
		*(int *)value = IPPROTO_TCP;
		return 0;
	}
	MUST((name == SO_COOKIE || name == SO_NETNS_COOKIE) && *length == sizeof(number));
	number = name == SO_COOKIE ? (uint64_t)index + 1 : connection->key.netns_cookie;
	memcpy(value, &number, sizeof(number));
	return 0;
}

static int sys_setsockopt(int fd, int level, int name, const void *value, socklen_t length)
{
	(void)level;
	(void)name;
	(void)value;
	(void)length;
	get_open(fd);
	return 0;
}

static int sys_close(int fd)
{
	get_open(fd)->is_open = false;
	n_open--;
	return 0;
}

static uint64_t sys_now_ns(void)
{
	return now;
}

static void *sys_map(uint64_t length)
{
	if (has_no_memory || n_mappings == MAX_MAPPINGS)
		return NULL;
	mappings[n_mappings].memory = calloc(1, length);
	mappings[n_mappings].length = length;
	MUST(mappings[n_mappings].memory);
	return mappings[n_mappings++].memory;
}

static void sys_unmap(void *memory, uint64_t length)
{
	unsigned i = 0;

	while (i < n_mappings && mappings[i].memory != memory)
		i++;
	MUST(i < n_mappings && mappings[i].length == length);
	free(memory);
	mappings[i] = mappings[--n_mappings];
}

static int sys_disconnect(int fd)
{
	int index = get_open(fd)->connection;

	MUST(index >= 0);
	connections[index].state = 7;
	return 0;
}

static int sys_shutdown(int fd, int how)
{
	(void)how;
	MUST(get_open(fd)->connection >= 0);
	return 0;
}

static int sys_getpeername(int fd, struct sockaddr *address, socklen_t *length)
{
	int index = get_open(fd)->connection;
	struct sockaddr_in6 peer;
	socklen_t n;

	MUST(index >= 0);
	if (connections[index].state == 7) {
		errno = ENOTCONN;
		return -1;
	}
	n = destination_key_peer(&connections[index].key, &peer);
	memcpy(address, &peer, *length < n ? *length : n);
	*length = n;
	return 0;
}

static int sys_watch(int fd, void *held)
{
	struct descriptor *descriptor = get_open(fd);

	descriptor->watcher = held;
	return next() == 255 ? -1 : 0;
}

static bool is_given(const struct broker_head *answer)
{
	return answer->type == BROKER_ANSWER && answer->flags == BROKER_GIVEN;
}

static void take_answer(const struct broker_process *ticket, const struct broker_reply *reply, int passed);

/* To a ticket; its number is its place among the processes. */
static ssize_t sys_sendmsg(int fd, const struct msghdr *message, int flags)
{
	const struct cmsghdr *control = CMSG_FIRSTHDR(message);
	int passed = -1;

	(void)flags;
	MUST(fd >= 0 && fd < MAX_PROCESSES && processes[fd]);
	MUST(message->msg_iov->iov_len == sizeof(struct broker_reply));
	if (control)
		memcpy(&passed, CMSG_DATA(control), sizeof(passed));
	take_answer(processes[fd], message->msg_iov->iov_base, passed);
	if (next() < 250)
		return (ssize_t)message->msg_iov->iov_len;
	errno = EPIPE;
	return -1;
}

static ssize_t sys_recvmsg(int fd, struct msghdr *message, int flags)
{
	(void)fd;
	(void)message;
	(void)flags;
	errno = EAGAIN;
	return -1;
}

static const struct pool_sys sys = {
	.getsockopt = sys_getsockopt,
	.setsockopt = sys_setsockopt,
	.close = sys_close,
	.now_ns = sys_now_ns,
	.map = sys_map,
	.unmap = sys_unmap,
	.disconnect = sys_disconnect,
	.shutdown = sys_shutdown,
	.getpeername = sys_getpeername,
	.watch = sys_watch,
	.sendmsg = sys_sendmsg,
	.recvmsg = sys_recvmsg,
};

static struct slots_region *make_region(int *fd)
{
	struct slots_region *region = sys_map(sizeof(*region));

	*fd = region ? open_fd(-1) : -1;
	return region;
}

/* Keys that differ in one member each, half of which the kernel can't tell apart. */
static void make_keys(void)
{
	for (int i = 0; i < N_KEYS; i++)
		keys[i] =
			(struct destination_key){.euid = EUID, .family = AF_INET, .port = 80, .address = {10, 0, 0, 1}};
	keys[1].port = 81;
	keys[2].address[3] = 2;
	keys[3].family = AF_INET6;
	keys[4].netns_cookie = 1;
	keys[5].is_bound = 1;
	MUST(destination_key_add_option(&keys[6], 1, 2, "abc", 3) == 0);
	keys[7].euid++;
}

static void check_process(const struct broker_process *process)
{
	for (unsigned i = 0; i < SLOTS_PER_REGION; i++)
		if (process->held[i])
			MUST(process->held[i]->owner == process && process->held[i]->slot == i);
}

static unsigned check_tickets(const struct broker_destination *destination)
{
	const struct broker_process *head = destination->waiting;
	unsigned n_granted = 0, n_waiting = 0;

	for (const struct broker_process *ticket = destination->granted; ticket; ticket = ticket->ticket_next) {
		MUST(ticket->ticket == TICKET_GRANTED && ticket->destination == destination);
		n_granted++;
	}
	MUST(n_granted == destination->n_granted);
	for (const struct broker_process *ticket = head; ticket; ticket = ticket->ticket_next) {
		MUST(ticket->ticket == TICKET_WAITING && ticket->destination == destination &&
		     ticket->principal->region);
		n_waiting++;
	}
	if (head)
		MUST(destination->n_held + n_granted >= head->request.max_conns);
	return n_waiting;
}

static void check_lists(void)
{
	unsigned n = 0, n_at_destinations = 0, n_processes = 0, n_waiting = 0;

	for (const struct held *held = broker.oldest; held; held = held->age_next, n++) {
		MUST(get_open(held->fd)->watcher == held);
		MUST(!held->owner || held->owner->held[held->slot] == held);
		MUST(n < broker.n_held);
	}
	MUST(n == broker.n_held && n <= MAX_HELD);
	for (const struct destination *d = broker.destinations.recent; d; d = d->recent_next) {
		const struct broker_destination *destination = (const struct broker_destination *)d;
		unsigned n_here = 0;

		for (const struct held *held = destination->held; held; held = held->destination_next, n_here++)
			MUST(held->destination == destination);
		MUST(n_here == destination->n_held);
		n_waiting += check_tickets(destination);
		n_at_destinations += n_here;
	}
	MUST(n_at_destinations == n && n_waiting == broker.n_waiting);
	for (int i = 0; i < MAX_PROCESSES; i++)
		n_processes += processes[i] != NULL;
	MUST(n_processes == broker.n_processes);
}

static bool is_same_key(const struct destination_key *a, const struct destination_key *b)
{
	return destination_key_length(a) == destination_key_length(b) && memcmp(a, b, destination_key_length(a)) == 0;
}

static void check_given(const struct broker_process *process, const struct broker_request *request, int fd)
{
	const struct descriptor *descriptor = get_open(fd);
	const struct connection *connection = &connections[descriptor->connection];
	const struct slot_contents *contents = &process->region->slots[request->slot].contents;

	MUST(is_same_key(&descriptor->key, &request->key));
	MUST(request->key.euid == EUID);
	MUST(connection->state == 1);
	MUST(connection->key.family == request->key.family && connection->key.port == request->key.port);
	MUST(memcmp(connection->key.address, request->key.address, sizeof(connection->key.address)) == 0);
	MUST(connection->key.netns_cookie == request->key.netns_cookie);
	MUST(contents->cookie == (uint64_t)descriptor->connection + 1);
	MUST(contents->ledger.sent == connection->sent && contents->ledger.received == connection->received);
	MUST(contents->expires_ns > now);
	MUST(process->held[request->slot] && process->held[request->slot]->fd == fd);
}

static void take_answer(const struct broker_process *ticket, const struct broker_reply *reply, int passed)
{
	const struct broker_destination *destination = ticket->destination;

	MUST(reply->head.type == BROKER_ANSWER && reply->ticket == ticket->number);
	MUST((reply->head.flags == BROKER_GIVEN) == (passed >= 0));
	if (reply->head.flags == BROKER_GIVEN)
		check_given(ticket->principal, &ticket->request, passed);
	if (reply->head.flags == BROKER_NONE && !(ticket->request.head.flags & BROKER_IS_FORCED))
		MUST(destination->n_held + destination->n_granted <= ticket->request.max_conns);
}

static void dismiss(int i)
{
	processes[i]->has_ended = next() % 2;
	broker_dismiss(&broker, processes[i]);
	processes[i] = NULL;
}

static void send_packet(int i, const union broker_packet *packet, size_t length, int passed, unsigned n_passed)
{
	struct broker_process *process = processes[i];
	struct broker_out out;
	/* At the end of an allocation, so that the sanitizer sees every byte too far. */
	char *copy = malloc(length ? length : 1);
	int error;

	MUST(copy);
	memcpy(copy, packet, length);
	error = broker_receive(&broker, process, (const union broker_packet *)copy, length, passed, n_passed, &out);
	free(copy);
	if (out.length) {
		MUST(out.length <= sizeof(out.packet) && out.packet.head.version == broker_wire_stamp());
		MUST((out.memory >= 0) == (out.packet.head.type == BROKER_WELCOME && !error));
		if (is_given(&out.packet.head))
			check_given(process, &packet->request, out.passed);
		else if (out.length == sizeof(out.packet.welcome) && is_given(&out.packet.welcome.first.head))
			check_given(process, &packet->hello.first, out.passed);
		else
			MUST(out.passed < 0);
	} else {
		MUST(out.passed < 0 && out.memory < 0);
	}
	if (process->region_fd >= 0) {
		sys_close(process->region_fd);
		process->region_fd = -1;
	}
	if (error && next() % 2)
		dismiss(i);
}

/* Few keys, so that they are met again. */
static unsigned pick_slot(void)
{
	unsigned n = next() % 10;

	return n == 9 ? SLOTS_PER_REGION - 1 : n;
}

static int pick_connection(void)
{
	return n_connections ? (int)(next() % n_connections) : -1;
}

static void say_hello(int i)
{
	union broker_packet packet = {.hello = {.head = broker_wire_head(BROKER_HELLO, 0, next() % 2)}};

	packet.hello.max_idle_conns = next() % 16;
	packet.hello.max_idle_conns_per_host = next() % 8;
	packet.hello.program = next() % 8;
	memset(packet.hello.name, next(), sizeof(packet.hello.name));
	if (next() % 2)
		packet.hello.first = (struct broker_request){.head = broker_wire_head(BROKER_LEASE, 1, BROKER_IS_ASKED),
							     .slot = SLOTS_FIRST,
							     .generation = SLOTS_FIRST_GENERATION,
							     .key = keys[next() % N_KEYS]};
	send_packet(i, &packet, sizeof(packet.hello), -1, 0);
}

static struct slot *get_slot(int i, unsigned slot)
{
	return processes[i]->region ? &processes[i]->region->slots[slot] : NULL;
}

/* A process's park: what is known of the connection, then that it is idle. */
static void publish(int i, unsigned slot, int connection)
{
	struct slot *at = get_slot(i, slot);

	if (!at || connection < 0)
		return;
	at->contents.cookie = (uint64_t)connection + 1;
	at->contents.ledger.sent = connections[connection].sent;
	at->contents.ledger.received = connections[connection].received;
	at->contents.idle_since_ns = now;
	at->contents.expires_ns = now + (next() + 1) * SECOND;
	at->contents.keep_alive_timeout_ns = next() % 4 ? 0 : next() * SECOND;
	at->word = (at->word & ~(uint64_t)0xff) | SLOT_IDLE;
}

static void request(int i, enum broker_message type, unsigned slot, const struct destination_key *key, int connection)
{
	const struct slot *at = get_slot(i, slot);
	int fd = type == BROKER_PARK ? open_fd(connection) : -1;
	union broker_packet packet = {
		.request = {.head = broker_wire_head(type, 0, type == BROKER_PARK && next() > 200),
			    .slot = slot,
			    .generation = at ? at->word >> 8 : 0,
			    .cookie = (uint64_t)connection + 1,
			    .ticket = type == BROKER_PARK ? next() : 0,
			    .key = *key}};

	if (fd >= 0)
		fds[fd].key = *key;
	send_packet(i, &packet, sizeof(packet.request), fd, fd >= 0);
}

/* For one of the others, or for a number of no process. */
static void ask_ticket(int i)
{
	int other = next() % MAX_PROCESSES;
	unsigned slot = pick_slot();
	struct slot *at = processes[other] ? get_slot(other, slot) : NULL;
	union broker_packet packet = {
		.request = {.head = broker_wire_head(BROKER_TICKET, 0, next() > 240 ? BROKER_IS_FORCED : 0),
			    .slot = slot,
			    .ticket = processes[other] ? processes[other]->number : next(),
			    .max_conns = next() % 4,
			    .key = keys[next() % N_KEYS]}};

	if (at && next() < 240)
		at->word = ((at->word >> 8) + 1) << 8 | SLOT_LEASED;
	packet.request.generation = at ? at->word >> 8 : 0;
	send_packet(i, &packet, sizeof(packet.request), -1, 0);
}

static void tell_idle(int i)
{
	union broker_packet packet = {.head = broker_wire_head(BROKER_IDLE, 0, 0)};

	send_packet(i, &packet, sizeof(packet.head), -1, 0);
}

static void park(int i)
{
	unsigned slot = pick_slot();
	const struct destination_key *key = &keys[next() % N_KEYS];
	struct slot *at = get_slot(i, slot);
	int connection = (int)n_connections;

	connections[n_connections++] = (struct connection){.key = *key, .state = 1, .sent = next(), .received = next()};
	if (at)
		at->word += 1 << 8;
	publish(i, slot, connection);
	request(i, BROKER_PARK, slot, key, connection);
}

static void lease(int i)
{
	unsigned slot = pick_slot();
	struct slot *at = get_slot(i, slot);

	if (at)
		at->word = ((at->word >> 8) + 1) << 8 | SLOT_LEASED;
	request(i, BROKER_LEASE, slot, &keys[next() % N_KEYS], -1);
}

/* Parked again, by another process, with the wrong key or slot, or without a socket. */
static void lie(int i)
{
	int connection = next() % 8 ? pick_connection() : -1;
	unsigned slot = pick_slot();
	bool is_park = next() % 2;

	if (is_park && next() % 4) {
		if (get_slot(i, slot))
			get_slot(i, slot)->word += 1 << 8;
		publish(i, slot, connection);
	}
	if (connection >= 0 || is_park)
		request(i, is_park ? BROKER_PARK : BROKER_DROP, slot, &keys[next() % N_KEYS], connection);
}

static void send_raw(int i)
{
	union broker_packet packet = {{0}};
	size_t length = next() % (sizeof(packet) + 1);
	unsigned n_passed = next() % 3;
	int passed = n_passed && next() % 8 ? open_fd(next() % 8 ? pick_connection() : -1) : -1;

	for (size_t at = 0; at < length && input < input_end; at++)
		((uint8_t *)&packet)[at] = next();
	if (length >= sizeof(packet.head) && next() % 8)
		packet.head.version = broker_wire_stamp();
	if (passed >= 0)
		fds[passed].key = packet.request.key;
	send_packet(i, &packet, length, passed, n_passed);
}

static void write_garbage(int i)
{
	struct slots_region *region = processes[i]->region;
	unsigned slot = pick_slot();
	size_t at, length;

	if (!region)
		return;
	switch (next() % 4) {
	case 0:
		region->slots[slot].word = (uint64_t)next() << 8 | next() % 6;
		break;
	case 1:
		region->slots[slot].word = (region->slots[slot].word & ~(uint64_t)0xff) | next() % 6;
		break;
	case 2:
		region->n_taken = next() % 2 ? UINT32_MAX : next();
		break;
	default:
		at = next() | (size_t)next() << 8;
		length = next();
		for (size_t j = 0; j < length && at + j < sizeof(*region); j++)
			((uint8_t *)region)[at + j] = next();
	}
}

static void happen_to_a_connection(void)
{
	int connection = pick_connection();

	if (connection < 0)
		return;
	switch (next() % 3) {
	case 0:
		connections[connection].state = 8;
		connections[connection].received++;
		break;
	case 1:
		connections[connection].received++;
		break;
	default:
		connections[connection].sent++;
	}
}

/* The object may have gone, or belong to another connection. */
static void give_notice(void)
{
	int fd = n_fds ? (next() | next() << 8) % n_fds : 0;

	if (n_fds && fds[fd].watcher)
		broker_note_end(&broker, fds[fd].watcher);
}

static void list(void)
{
	struct held *cursor = NULL;
	struct broker_held packet;
	unsigned n = 0;

	while (broker_list(&broker, &cursor, &packet))
		n++;
	MUST(n == broker.n_held);
}

static void operate(void)
{
	unsigned what = next() % 20;
	int i = next() % MAX_PROCESSES;

	if (!processes[i]) {
		processes[i] = broker_admit(&broker, i, i);
		if (processes[i] && what >= 12)
			ask_ticket(i);
		else if (processes[i] && what)
			say_hello(i);
		return;
	}
	switch (what) {
	case 0:
		say_hello(i);
		break;
	case 1:
	case 2:
	case 3:
		park(i);
		break;
	case 4:
	case 5:
	case 6:
		lease(i);
		break;
	case 7:
		publish(i, pick_slot(), pick_connection());
		break;
	case 8:
		lie(i);
		break;
	case 9:
		send_raw(i);
		break;
	case 10:
		write_garbage(i);
		break;
	case 11:
		happen_to_a_connection();
		break;
	case 12:
		give_notice();
		break;
	case 13:
		now += next() * (SECOND / 16);
		broker_tick(&broker);
		break;
	case 14:
		if (next() % 4 == 0)
			has_no_memory = !has_no_memory;
		else if (next() % 4 == 0)
			request(i, next() % 2 ? BROKER_LOOKED : BROKER_RELIEVE, 0, &keys[next() % N_KEYS], -1);
		else
			list();
		break;
	case 15:
		ask_ticket(i);
		break;
	case 16:
	case 17:
		tell_idle(i);
		break;
	default:
		dismiss(i);
	}
	if (processes[i])
		check_process(processes[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	input = data;
	input_end = data + size;
	now = 1000 * SECOND;
	n_connections = 0;
	n_fds = n_open = 0;
	has_no_memory = false;
	make_keys();
	broker_init(&broker, &sys, make_region, EUID, MAX_HELD);
	for (int n = 0; n < MAX_OPERATIONS && input < input_end; n++) {
		operate();
		check_lists();
	}
	for (int i = 0; i < MAX_PROCESSES; i++)
		if (processes[i])
			dismiss(i);
	check_lists();
	broker_fini(&broker);
	check_lists();
	MUST(broker.n_held == 0 && n_open == 0);
	while (n_mappings)
		free(mappings[--n_mappings].memory);
	return 0;
}
