/* See broker.h. */
#include "pool/broker/broker.h"

#include <errno.h>
#include <string.h>
#include <utlist.h>

#include "pool/base/kernel.h"
#include "pool/broker/private.h"

static bool is_in_use(const struct destination *base)
{
	const struct broker_destination *destination = (const struct broker_destination *)base;

	return destination->n_held || destination->n_granted || destination->waiting;
}

void broker_init(struct broker *broker, const struct pool_sys *sys, struct slots_region *(*make_region)(int *fd),
		 uint32_t euid, uint32_t max_held)
{
	memset(broker, 0, sizeof(*broker));
	broker->sys = sys;
	broker->make_region = make_region;
	broker->euid = euid;
	broker->max_held = max_held;
	destination_table_init(&broker->destinations, sys, sizeof(struct broker_destination), is_in_use);
	arena_init(&broker->held_arena, sys, sizeof(struct held));
	arena_init(&broker->process_arena, sys, sizeof(struct broker_process));
}

void broker_open_shelf(struct broker *broker, pid_t pid, int bell, uint64_t bell_cookie)
{
	broker_board_open_shelf(&broker->counts, pid, bell, bell_cookie);
	if (broker->counts.board)
		broker->shelf = &broker->counts.board->shelf;
}

struct broker_process *broker_admit(struct broker *broker, int fd, pid_t pid)
{
	struct broker_process *process = arena_take(&broker->process_arena);

	if (!process)
		return NULL;
	memset(process, 0, sizeof(*process));
	process->fd = fd;
	process->pid = pid;
	process->region_fd = -1;
	process->session = -1;
	process->number = (uint32_t)++broker->n_numbers;
	DL_APPEND2(broker->processes, process, all_prev, all_next);
	broker->n_processes++;
	return process;
}

static void answer(struct broker_out *out, const struct broker_request *request, enum broker_answer status, int passed)
{
	out->packet.reply = (struct broker_reply){broker_wire_head(BROKER_ANSWER, request->head.sequence, status),
						  request->slot, request->generation, 0};
	out->length = sizeof(out->packet.reply);
	out->passed = passed;
}

static void lease(struct broker *broker, struct broker_process *process, const struct broker_request *request,
		  struct broker_out *out)
{
	struct broker_destination *destination = NULL;
	struct destination_key key = request->key;
	struct held *held = process->held[request->slot];

	if (request->head.flags & BROKER_IS_ASKED)
		slots_begin_asked(process->region);
	/* The process ended the held connection without telling us, and now uses its slot for another one. */
	if (held && held->generation != request->generation)
		held_forget(broker, held);
	held_salt_key(process, request->session, &key);
	if (key.euid == broker->euid && !process->held[request->slot])
		destination = (struct broker_destination *)destination_table_find(&broker->destinations, &key);
	if (!destination) {
		answer(out, request, BROKER_NONE, -1);
		return;
	}
	shelved_catch_up(broker, destination);
	/* A server that serves one connection at a time must not wait for the end of an idle one. */
	if (habit_streak_lasts(&destination->base.unfit)) {
		held_retire(broker, destination, HELD_LOOKS);
		answer(out, request, BROKER_UNFIT, -1);
		return;
	}
	held = held_find(broker, process, destination, request, HELD_LOOKS);
	if (held) {
		answer(out, request, BROKER_GIVEN, held->fd);
		out->session = held->session;
	} else if (held_wants_truth(destination, process, request) && held_has_idle(broker, destination)) {
		answer(out, request, BROKER_UNHEARD, -1);
	} else {
		answer(out, request, BROKER_NONE, -1);
	}
}

/* Does the descriptor match what the process says of it? TCP, connected to the key's peer, in the key's network. */
static bool is_as_said(const struct broker *broker, const struct broker_request *request, int fd)
{
	struct destination_key key = {0};
	struct sockaddr_in6 address;
	socklen_t length = sizeof(address);
	uint64_t cookie = 0;
	socklen_t cookie_length = sizeof(cookie);
	int protocol = 0;
	socklen_t protocol_length = sizeof(protocol);

	if (broker->sys->getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &protocol_length) < 0 ||
	    protocol != IPPROTO_TCP)
		return false;
	if (broker->sys->getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &cookie_length) < 0 || !cookie ||
	    cookie != request->cookie)
		return false;
	cookie = 0;
	cookie_length = sizeof(cookie);
	if (broker->sys->getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &cookie_length) == 0 &&
	    cookie != request->key.netns_cookie)
		return false;
	if (broker->sys->getpeername(fd, (struct sockaddr *)&address, &length) < 0 ||
	    destination_key_set_peer(&key, (struct sockaddr *)&address, length))
		return false;
	return key.family == request->key.family && key.port == request->key.port &&
	       memcmp(key.address, request->key.address, sizeof(key.address)) == 0;
}

static void drop_session(const struct broker *broker, struct broker_process *process)
{
	if (process->session >= 0)
		broker->sys->close(process->session);
	process->session = -1;
}

/* The session of a connection that is about to be parked. */
static void keep_session(const struct broker *broker, struct broker_process *process,
			 const struct broker_request *request, int fd)
{
	drop_session(broker, process);
	process->session = fd;
	process->session_slot = request->slot;
	process->session_generation = request->generation;
}

static bool has_session(const struct broker_process *process, const struct broker_request *request)
{
	return process->session >= 0 && process->session_slot == request->slot &&
	       process->session_generation == request->generation;
}

static void take_session(struct broker *broker, struct broker_process *process, struct held *held)
{
	held->session = process->session;
	process->session = -1;
	if (held->session >= 0)
		broker->n_sessions++;
}

static void note_unfit(struct broker *broker, struct broker_destination *destination)
{
	habit_streak_add(&destination->base.unfit);
	if (habit_streak_lasts(&destination->base.unfit))
		shelved_withdraw(broker, destination);
}

/* The first park of a connection. If it can't be held, it stays the process's own. */
static void park(struct broker *broker, struct broker_process *process, const struct broker_request *request, int fd)
{
	struct destination_key key = request->key;
	struct broker_destination *destination;
	struct held *held = NULL;

	if (process->held[request->slot])
		held_forget(broker, process->held[request->slot]);
	if (!has_session(process, request))
		drop_session(broker, process);
	if (request->key.euid != broker->euid || !is_as_said(broker, request, fd) ||
	    (request->session != 0) != (process->session >= 0) ||
	    slots_state(process->region, (unsigned)request->slot, request->generation) == SLOT_FREE) {
		broker->sys->close(fd);
		return;
	}
	held_salt_key(process, request->session, &key);
	destination = (struct broker_destination *)destination_table_take(&broker->destinations, &key);
	if (destination) {
		shelved_catch_up(broker, destination);
		habit_looks_note(&destination->base.looks, process->program, false);
		if (request->head.flags & BROKER_WAS_UNFIT)
			note_unfit(broker, destination);
		else
			habit_streak_break(&destination->base.unfit);
		if (held_make_room(broker, process, destination))
			held = held_add(broker, process, destination, request, fd);
	}
	if (held)
		take_session(broker, process, held);
	if (!held)
		broker->sys->close(fd);
	else if (broker->sys->watch(fd, held) < 0)
		held_forget(broker, held);
	else if (request->ticket)
		tickets_convert(broker, destination, request->ticket);
}

static void note_look(struct broker *broker, struct broker_process *process, const struct broker_request *request)
{
	struct destination_key key = request->key;
	struct broker_destination *destination;

	held_salt_key(process, request->session, &key);
	destination = (struct broker_destination *)destination_table_take(&broker->destinations, &key);
	if (!destination)
		return;
	habit_looks_note(&destination->base.looks, process->program, true);
	shelved_withdraw(broker, destination);
}

static void relieve(struct broker *broker, const struct broker_process *process, const struct broker_request *request)
{
	struct destination_key key = request->key;
	struct destination *destination;

	if (!(request->head.flags & BROKER_JUST_ONE)) {
		held_relieve(broker, &key);
		return;
	}
	held_salt_key(process, request->session, &key);
	destination = destination_table_find(&broker->destinations, &key);
	if (destination)
		held_retire(broker, (struct broker_destination *)destination, HELD_LOOKS);
}

/* Leaves the reply in the welcome, and the descriptor in `out`. */
static void answer_first(struct broker *broker, struct broker_process *process, const struct broker_request *first,
			 struct broker_out *out)
{
	struct broker_reply reply = {0};

	if (first->head.type) {
		lease(broker, process, first, out);
		reply = out->packet.reply;
	}
	out->packet.welcome.first = reply;
}

static int welcome(struct broker *broker, struct broker_process *process, const struct broker_hello *hello,
		   struct broker_out *out)
{
	if (process->region || process->ticket != TICKET_NONE)
		return -EPROTO;
	process->region = broker->make_region(&process->region_fd);
	if (!process->region)
		return -ENOMEM;
	process->program = hello->program;
	memcpy(process->name, hello->name, sizeof(process->name));
	process->name[sizeof(process->name) - 1] = '\0';
	process->is_private = hello->head.flags & BROKER_IS_PRIVATE;
	process->max_idle_conns = hello->max_idle_conns;
	process->max_idle_conns_per_host = hello->max_idle_conns_per_host;
	atomic_store(&process->region->has_waiters, broker->n_waiting != 0);
	answer_first(broker, process, &hello->first, out);
	out->packet.welcome.head = broker_wire_head(BROKER_WELCOME, process->number, 0);
	out->length = sizeof(out->packet.welcome);
	out->memory = process->region_fd;
	return 0;
}

static int receive(struct broker *broker, struct broker_process *process, const union broker_packet *packet,
		   size_t length, int passed, unsigned n_passed, struct broker_out *out)
{
	int error = broker_wire_check(packet, length, n_passed);

	out->length = 0;
	out->memory = out->passed = out->session = -1;
	if (error == -EPROTONOSUPPORT) {
		/* The number of the version tells the process that it must do without us. */
		out->packet.head = broker_wire_head(BROKER_WELCOME, 0, 0);
		out->length = sizeof(out->packet.head);
	}
	if (!error && packet->head.type == BROKER_HELLO)
		return welcome(broker, process, &packet->hello, out);
	if (!error && packet->head.type == BROKER_TICKET)
		return tickets_take(broker, process, &packet->request);
	if (!error && packet->head.type != BROKER_LIST && !process->region)
		error = -EPROTO;
	/* The loop, which has the epoll set, handles such packets itself. */
	if (!error && packet->head.type == BROKER_RUN)
		error = -EPROTO;
	if (!error && packet->head.type == BROKER_PARK && passed >= 0) {
		park(broker, process, &packet->request, passed);
		return 0;
	}
	if (!error && packet->head.type == BROKER_SESSION && passed >= 0) {
		keep_session(broker, process, &packet->request, passed);
		return 0;
	}
	if (passed >= 0)
		broker->sys->close(passed);
	if (error)
		return error;
	if (packet->head.type == BROKER_LEASE)
		lease(broker, process, &packet->request, out);
	else if (packet->head.type == BROKER_DROP && process->held[packet->request.slot] &&
		 process->held[packet->request.slot]->generation == packet->request.generation)
		held_forget(broker, process->held[packet->request.slot]);
	else if (packet->head.type == BROKER_RELIEVE)
		relieve(broker, process, &packet->request);
	else if (packet->head.type == BROKER_LOOKED)
		note_look(broker, process, &packet->request);
	return 0;
}

int broker_receive(struct broker *broker, struct broker_process *process, const union broker_packet *packet,
		   size_t length, int passed, unsigned n_passed, struct broker_out *out)
{
	int error;

	process->has_spoken = true;
	error = receive(broker, process, packet, length, passed, n_passed, out);

	tickets_serve(broker);
	return error;
}

void broker_dismiss(struct broker *broker, struct broker_process *process)
{
	if (!process->has_spoken)
		shelved_end_executed(broker, process->pid);
	tickets_dismiss(broker, process);
	for (unsigned i = 0; process->region && i < SLOTS_PER_REGION; i++)
		if (process->held[i])
			held_inherit(broker, process->held[i]);
	if (process->region)
		broker->sys->unmap(process->region, sizeof(*process->region));
	if (process->region_fd >= 0)
		broker->sys->close(process->region_fd);
	drop_session(broker, process);
	process->region = NULL;
	process->fd = -1;
	DL_DELETE2(broker->processes, process, all_prev, all_next);
	broker->n_processes--;
	arena_put(&broker->process_arena, process);
	tickets_serve(broker);
}

bool broker_list(struct broker *broker, struct held **cursor, struct broker_held *packet)
{
	uint64_t now_ns = broker->sys->now_ns();
	struct held *held = *cursor ? (*cursor)->age_next : broker->oldest;
	enum slot_state state = SLOT_LEFT;
	pid_t user = 0;

	/* A connection that was given up is gone when the broker looks next. */
	while (held && (state = held_look(broker, held, &user)) == SLOT_LEFT)
		held = held->age_next;
	if (!held)
		return false;
	*cursor = held;
	*packet = (struct broker_held){
		.head = broker_wire_head(BROKER_HELD, 0, 0),
		.cookie = held->cookie,
		.key = held->destination->base.key,
		.idle_ns = now_ns > held->contents.idle_since_ns ? now_ns - held->contents.idle_since_ns : 0,
		.age_ns = now_ns > held->contents.created_ns ? now_ns - held->contents.created_ns : 0,
		.n_requests = held->contents.n_requests,
		.is_idle = state == SLOT_IDLE,
		.pid = (uint32_t)user,
	};
	memcpy(packet->name, held->parker_name, sizeof(packet->name));
	return true;
}

void broker_fini(struct broker *broker)
{
	for (struct held *held = broker->oldest, *next; held; held = next) {
		next = held->age_next;
		held_give_up(broker, held);
	}
	broker_board_close(&broker->counts);
}
