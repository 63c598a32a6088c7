/* See broker.h. */
#include "tests/unit/fake/broker.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <string.h>

#define N_DESTINATIONS 256
#define MAX_HELD 100

struct broker fake_broker;
struct broker_out fake_broker_out;
static struct destination destinations[N_DESTINATIONS];
static unsigned n_fds; /* descriptors of the processes */
static int last_pid;
static struct broker_board board;

/* Check writes each assertion into a pipe. */
#define must(condition)                                         \
	do {                                                    \
		if (!(condition))                               \
			ck_abort_msg("not so: %s", #condition); \
	} while (0)

static struct slots_region *make_region(int *fd)
{
	struct slots_region *region = fake_sys.map(sizeof(*region));

	*fd = region ? fake_socket_new() : -1;
	return region;
}

void fake_broker_start(void)
{
	fake_sys_start();
	n_fds = 0;
	last_pid = 0;
	memset(destinations, 0, sizeof(destinations));
	for (unsigned i = 0; i < N_DESTINATIONS; i++) {
		struct destination_key *key = &destinations[i].key;

		key->euid = FAKE_EUID;
		key->family = AF_INET;
		key->port = htons(80);
		key->address[0] = 10;
		key->address[3] = (uint8_t)i;
	}
	broker_init(&fake_broker, &fake_sys, make_region, FAKE_EUID, MAX_HELD);
	memset(&board, 0, sizeof(board));
	broker_board_open(&fake_broker.counts, &board, 4711);
	broker_open_shelf(&fake_broker, 1, 2, 3);
}

static unsigned count_processes_held(const struct broker_process *process)
{
	unsigned n = 0;

	for (unsigned i = 0; i < SLOTS_PER_REGION; i++) {
		if (!process->held[i])
			continue;
		must(process->held[i]->owner == process && process->held[i]->slot == i);
		must(process->region->is_held[i]);
		n++;
	}
	return n;
}

static void check_place(const struct held *held)
{
	must(fake_broker.laid[held->place] == held);
	must(!held->owner && held->place < SLOTS_ON_SHELF && board.shelf.labels[held->place].fd == held->fd);
	must(destination_key_equal(&board.shelf.labels[held->place].key, &held->destination->base.key));
	for (const struct held *other = held->age_next; other; other = other->age_next)
		must(other->place != held->place);
}

static void check_held(const struct held *held)
{
	const struct fake_socket *socket = fake_socket(held->fd);
	const struct held *one = held->destination->held;

	must(socket->is_open && socket->watcher == held);
	must(!held->owner || held->owner->held[held->slot] == held);
	must(!held->owner || (held->owner->fd >= 0 && held->owner->region));
	must((held->user_fd >= 0) == (held->user > 0) && (held->user_fd < 0 || held->place >= 0));
	if (held->place >= 0)
		check_place(held);
	while (one && one != held)
		one = one->destination_next;
	must(one == held);
}

/* If the broker holds anything, every process learns it; elsewhere nobody asks. */
static void check_board(void)
{
	unsigned n_shown = 0;

	for (unsigned i = 0; i < BROKER_BOARD_PLACES; i++)
		n_shown += board.n_held[i];
	must(n_shown == fake_broker.n_held);
	for (struct destination *d = fake_broker.destinations.recent; d; d = d->recent_next)
		must(broker_board_n_held(&board, &d->key) >= ((const struct broker_destination *)d)->n_held);
}

void fake_broker_check(void)
{
	unsigned n_held = 0, n_at_destinations = 0;

	for (struct held *held = fake_broker.oldest; held; held = held->age_next) {
		must(++n_held <= fake_broker.n_held);
		check_held(held);
		if (held->owner)
			must(count_processes_held(held->owner) > 0);
	}
	must(n_held == fake_broker.n_held && n_held <= fake_broker.max_held);
	must(fake_broker.held_arena.n_used == n_held);
	must(fake_broker.process_arena.n_used == fake_broker.n_processes);
	for (struct destination *d = fake_broker.destinations.recent; d; d = d->recent_next) {
		const struct broker_destination *destination = (const struct broker_destination *)d;
		unsigned n = 0;

		for (const struct held *held = destination->held; held; held = held->destination_next) {
			must(held->destination == destination);
			n++;
		}
		must(n == destination->n_held);
		n_at_destinations += n;
	}
	must(n_at_destinations == n_held);
	if (board.is_open)
		check_board();
}

void fake_broker_stop(void)
{
	fake_broker_check();
	broker_fini(&fake_broker);
	must(fake_broker.n_held == 0 && !fake_broker.oldest);
	must(!board.is_open && broker_board_n_held(&board, &destinations[1].key) == UINT32_MAX);
	fake_broker_check();
	must(fake_kernel.n_open == n_fds);
	fake_sys_stop();
}

static void begin(struct fake_process *process, const char *name, uint32_t flags, uint32_t max_idle, uint32_t per_host,
		  struct broker_request first)
{
	static int n_connected;
	union broker_packet packet = {.hello = {.head = broker_wire_head(BROKER_HELLO, 0, flags),
						.max_idle_conns = max_idle,
						.max_idle_conns_per_host = per_host,
						.program = 100,
						.first = first}};

	strncpy(packet.hello.name, name, sizeof(packet.hello.name) - 1);
	packet.hello.program += (uint8_t)name[0];
	process->pid = ++last_pid;
	process->process = broker_admit(&fake_broker, n_connected++ % 100, process->pid);
	ck_assert_ptr_nonnull(process->process);
	must(fake_process_send(process, &packet, sizeof(packet.hello), -1, 0) == 0);
	must(fake_broker_out.packet.head.type == BROKER_WELCOME);
	must(fake_broker_out.length == sizeof(struct broker_welcome));
	must(first.head.type || fake_broker_out.passed < 0);
	must(fake_broker_out.memory == process->process->region_fd && fake_broker_out.memory >= 0);
	/* The loop closes it once it is sent. */
	fake_sys.close(process->process->region_fd);
	process->process->region_fd = -1;
	/* On the stack, with whatever the memory contained. */
	memset(process->entries, 0, sizeof(process->entries));
	slots_init(&process->slots, process->entries);
	slots_attach(&process->slots, process->process->region);
}

void fake_process_start(struct fake_process *process, const char *name, uint32_t flags)
{
	begin(process, name, flags, 0, 0, (struct broker_request){0});
}

void fake_process_start_limited(struct fake_process *process, uint32_t max_idle_conns, uint32_t max_per_host)
{
	begin(process, "limited", 0, max_idle_conns, max_per_host, (struct broker_request){0});
}

void fake_process_start_asking(struct fake_process *process, const struct destination_key *key)
{
	struct broker_request first = {
		.head = broker_wire_head(BROKER_LEASE, 1, BROKER_IS_ASKED),
		.slot = SLOTS_FIRST,
		.generation = SLOTS_FIRST_GENERATION,
		.key = *key,
	};

	begin(process, "asking", 0, 0, 0, first);
	slots_detach(&process->slots);
	slots_attach_asked(&process->slots, process->process->region);
}

void fake_process_end(struct fake_process *process)
{
	fake_sys_end_process(process->pid);
	fake_broker_notice_end(process->pid);
	broker_dismiss(&fake_broker, process->process);
	process->process = NULL;
	slots_leave_shelf(&process->slots);
	slots_detach(&process->slots);
}

void fake_broker_notice_end(int pid)
{
	for (struct held *held = fake_broker.oldest, *next; held; held = next) {
		next = held->age_next;
		if (held->user == pid)
			broker_note_user_end(&fake_broker, held);
	}
}

void fake_process_lose(struct conn *conn)
{
	fake_sys.close(conn->fd);
	n_fds--;
	conn->fd = -1;
	conn->state = CONN_FREE;
}

/* Descriptors first, as the kernel does. */
void fake_process_end_with(struct fake_process *process, struct conn *conn)
{
	fake_process_lose(conn);
	fake_process_end(process);
}

int fake_process_send(struct fake_process *process, const union broker_packet *packet, size_t length, int passed,
		      unsigned n_passed)
{
	int error;

	memset(&fake_broker_out, 0xee, sizeof(fake_broker_out));
	error = broker_receive(&fake_broker, process->process, packet, length, passed, n_passed, &fake_broker_out);
	must(fake_broker_out.length <= sizeof(fake_broker_out.packet));
	if (fake_broker_out.length)
		must(fake_broker_out.packet.head.version == broker_wire_stamp());
	return error;
}

int fake_process_request(struct fake_process *process, enum broker_message type, uint32_t flags,
			 const struct conn *conn, int passed)
{
	static uint32_t sequence;
	union broker_packet packet = {.request = {.head = broker_wire_head(type, ++sequence, flags),
						  .slot = (uint64_t)conn->slot,
						  .generation = conn->slot_generation,
						  .cookie = conn->cookie,
						  .ticket = conn->ticket_number,
						  .key = conn->destination->key}};
	int error = fake_process_send(process, &packet, sizeof(packet.request), passed, passed >= 0);

	if (type == BROKER_LEASE && !error) {
		must(fake_broker_out.length == sizeof(struct broker_reply));
		must(fake_broker_out.packet.head.type == BROKER_ANSWER);
		must(fake_broker_out.packet.head.sequence == sequence);
		must(fake_broker_out.packet.reply.slot == packet.request.slot);
		must(fake_broker_out.packet.reply.generation == packet.request.generation);
	} else {
		must(fake_broker_out.length == 0);
	}
	return error;
}

struct destination *fake_broker_destination(unsigned number)
{
	return &destinations[number];
}

void fake_process_exchange(struct conn *conn)
{
	struct fake_socket *socket = fake_socket_original(conn->fd);

	socket->bytes_sent += 100;
	socket->bytes_received += 1000;
	conn->ledger.sent += 100;
	conn->ledger.received += 1000;
	conn->n_requests++;
}

void fake_process_dial(struct conn *conn, unsigned destination)
{
	struct fake_socket *socket;

	*conn = (struct conn){.fd = fake_socket_new(),
			      .slot = -1,
			      .state = CONN_OPEN,
			      .destination = &destinations[destination],
			      .created_ns = fake_kernel.now_ns,
			      .requests_left = UINT32_MAX};
	n_fds++;
	conn->cookie = (uint64_t)conn->fd;
	socket = fake_socket(conn->fd);
	socket->peer_length = destination_key_peer(&conn->destination->key, &socket->peer);
	fake_process_exchange(conn);
}

void fake_process_park(struct fake_process *process, struct conn *conn)
{
	bool is_first = conn->slot < 0;

	conn->idle_since_ns = fake_kernel.now_ns;
	conn->expires_ns = fake_kernel.now_ns + FAKE_IDLE;
	if (is_first)
		must(slots_reserve(&process->slots, conn));
	slots_publish(&process->slots, conn);
	conn->state = CONN_IDLE;
	if (is_first)
		must(fake_process_request(process, BROKER_PARK, 0, conn, fake_socket_duplicate(conn->fd)) == 0);
}

void fake_process_claim(struct fake_process *process, struct conn *conn)
{
	ck_assert(slots_claim(&process->slots, conn));
	conn->state = CONN_OPEN;
}

void fake_process_receive(struct fake_process *process, struct conn *conn, int passed)
{
	conn->fd = fake_socket_duplicate(passed);
	n_fds++;
	conn->state = CONN_OPEN;
	slots_read(&process->slots, conn);
	must(conn->cookie == fake_socket_original(conn->fd)->cookie);
}

enum broker_answer fake_process_lease(struct fake_process *process, struct conn *conn, unsigned destination)
{
	enum broker_answer status;

	*conn = (struct conn){.fd = -1, .slot = -1, .destination = &destinations[destination]};
	must(slots_reserve(&process->slots, conn));
	must(fake_process_request(process, BROKER_LEASE, 0, conn, -1) == 0);
	status = fake_broker_out.packet.head.flags;
	must((status == BROKER_GIVEN) == (fake_broker_out.passed >= 0));
	if (status != BROKER_GIVEN) {
		slots_free(&process->slots, conn);
		return status;
	}
	fake_process_receive(process, conn, fake_broker_out.passed);
	return status;
}

bool fake_process_take(struct fake_process *process, struct conn *conn, unsigned destination)
{
	struct shelf_reader reader = {
		.key = &destinations[destination].key,
		.first = broker_board_shelf_place(board.salt, &destinations[destination].key),
		.now_ns = fake_kernel.now_ns,
		.user = process->pid,
		.name = "taker",
	};
	int fd;

	*conn = (struct conn){.fd = -1, .slot = -1, .destination = &destinations[destination]};
	fd = slots_take_from_shelf(&process->slots, &board.shelf, conn, &reader);
	if (fd >= 0)
		fake_process_receive(process, conn, fd);
	return fd >= 0;
}

enum slot_state fake_process_state(const struct fake_process *process, const struct conn *conn)
{
	uint64_t word;

	if (conn->slot < SLOTS_PER_REGION)
		return slots_state(process->process->region, (unsigned)conn->slot, conn->slot_generation);
	word = board.shelf.slots[conn->slot - SLOTS_PER_REGION].word;
	return slot_generation(word) == conn->slot_generation ? slot_state(word) : SLOT_FREE;
}

unsigned fake_process_let_go(struct fake_process *process)
{
	struct conn *conn;
	unsigned n = 0;

	for (; (conn = slots_next_taken(&process->slots)) || (conn = slots_next_taken_from_shelf(&process->slots)); n++)
		fake_process_close(process, conn);
	return n;
}

void fake_process_close(struct fake_process *process, struct conn *conn)
{
	fake_process_lose(conn);
	slots_free(&process->slots, conn);
}

void fake_process_leave(struct fake_process *process, struct conn *conn)
{
	fake_process_lose(conn);
	slots_leave(&process->slots, conn);
}

struct held *fake_broker_find(const struct conn *conn)
{
	for (struct held *held = fake_broker.oldest; held; held = held->age_next)
		if (held->cookie == conn->cookie)
			return held;
	return NULL;
}

void fake_broker_hang_up_silently(const struct conn *conn)
{
	struct fake_socket *socket = fake_socket((int)conn->cookie);

	socket->state = FAKE_CLOSE_WAIT;
	socket->bytes_received++; /* Linux counts a FIN as one byte */
}

void fake_broker_notice(const struct conn *conn)
{
	struct held *held = fake_broker_find(conn);

	if (held)
		broker_note_end(&fake_broker, held);
}

void fake_broker_hang_up(const struct conn *conn)
{
	fake_broker_hang_up_silently(conn);
	fake_broker_notice(conn);
}
