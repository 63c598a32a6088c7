/* See client.h. */
#include "pool/share/client.h"

#include <errno.h>
#include <string.h>

#include "pool/base/clock.h"
#include "pool/base/fdpass.h"
#include "pool/config/config.h"
#include "pool/conn/destination.h"

bool broker_client_trusts(const struct pool_sys *sys, int fd, uint32_t euid)
{
	struct ucred peer;
	socklen_t length = sizeof(peer);

	return sys->getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 && (peer.uid == euid || peer.uid == 0);
}

/* FNV-1a. */
uint64_t broker_client_program_number(const char *path, size_t length)
{
	uint64_t number = 14695981039346656037ull;

	for (size_t i = 0; i < length; i++)
		number = (number ^ (unsigned char)path[i]) * 1099511628211ull;
	return number;
}

static void reset(struct broker_client *client)
{
	client->fd = -1;
	client->sequence = 0;
	client->is_asked = false;
	client->first_fd = -1;
	slots_detach(&client->slots);
}

void broker_client_init(struct broker_client *client, const struct pool_sys *sys, struct slots_entry *entries)
{
	client->sys = sys;
	slots_init(&client->slots, entries);
	reset(client);
}

void broker_client_move(struct broker_client *to, struct broker_client *from)
{
	to->sequence = from->sequence;
	to->number = from->number;
	to->is_asked = from->is_asked;
	to->first = from->first;
	to->first_fd = from->first_fd;
	to->fd = from->fd;
	slots_move(&to->slots, &from->slots);
	reset(from);
}

/* The next packet, or -errno. Whatever descriptors came with it are the caller's. */
static ssize_t await_some(struct broker_client *client, union broker_packet *packet, struct deadline deadline,
			  int *passed, unsigned n_max)
{
	struct pollfd entry = {.fd = client->fd, .events = POLLIN};
	unsigned n_passed;

	for (;;) {
		ssize_t length =
			fdpass_receive_some(client->sys, client->fd, packet, sizeof(*packet), passed, n_max, &n_passed);
		int left_ms;

		if (length != -EAGAIN)
			return length ? length : -ECONNRESET;
		left_ms = deadline_left_ms(deadline, client->sys->now_ns());
		if (!left_ms)
			return -ETIMEDOUT;
		/* After a signal's handler has run, the wait goes on for what is left. */
		if (client->sys->poll(&entry, 1, left_ms) < 0 && errno != EINTR)
			return -errno;
	}
}

static ssize_t await_packet(struct broker_client *client, union broker_packet *packet, struct deadline deadline,
			    int *passed)
{
	return await_some(client, packet, deadline, passed, 1);
}

static void drop_passed(const struct broker_client *client, int passed)
{
	if (passed >= 0)
		client->sys->close(passed);
}

static bool is_ours(const union broker_packet *packet, ssize_t length, size_t expected, enum broker_message type)
{
	return length == (ssize_t)expected && packet->head.version == broker_wire_stamp() && packet->head.type == type;
}

static struct deadline deadline_of(const struct broker_client *client, int patience_ms)
{
	return deadline_after(client->sys->now_ns(), (uint64_t)patience_ms * MILLISECOND_NS);
}

/* A connection comes with nothing but the answer to the question. */
static bool is_welcome(const struct broker_client *client, const union broker_packet *packet, ssize_t length,
		       const int passed[FDPASS_MAX])
{
	const struct broker_head *first = &packet->welcome.first.head;

	if (!is_ours(packet, length, sizeof(packet->welcome), BROKER_WELCOME) || passed[0] < 0)
		return false;
	if (!client->is_asked)
		return passed[1] < 0;
	return first->type == BROKER_ANSWER && first->sequence == client->sequence;
}

static int open_memory(struct broker_client *client, int memory)
{
	struct slots_region *region = client->sys->map_shared(memory, sizeof(*region));

	if (!region)
		return -ENOMEM;
	if (client->is_asked)
		slots_attach_asked(&client->slots, region);
	else
		slots_attach(&client->slots, region);
	return 0;
}

static int read_welcome(struct broker_client *client, int patience_ms)
{
	union broker_packet packet;
	int passed[FDPASS_MAX], error = -EPROTO;
	ssize_t length = await_some(client, &packet, deadline_of(client, patience_ms), passed, FDPASS_MAX);

	if (length < 0)
		return (int)length;
	if (is_welcome(client, &packet, length, passed))
		error = open_memory(client, passed[0]);
	else if (length >= (ssize_t)sizeof(packet.head) && packet.head.version != broker_wire_stamp())
		error = -EPROTONOSUPPORT;
	drop_passed(client, passed[0]);
	if (error) {
		drop_passed(client, passed[1]);
		return error;
	}
	client->number = packet.welcome.head.sequence;
	client->first = packet.welcome.first;
	client->first_fd = passed[1];
	return 0;
}

/* Before there is an answer to anything. */
static struct broker_request first_question(struct broker_client *client, const struct destination_key *key)
{
	client->is_asked = true;
	return (struct broker_request){
		.head = broker_wire_head(BROKER_LEASE, ++client->sequence, BROKER_IS_ASKED),
		.slot = SLOTS_FIRST,
		.generation = SLOTS_FIRST_GENERATION,
		.key = *key,
	};
}

int broker_client_introduce(struct broker_client *client, int fd, const struct config *config, const char *name,
			    uint64_t program, const struct destination_key *first)
{
	struct broker_hello hello = {
		.head = broker_wire_head(BROKER_HELLO, 0, config->pool == CONFIG_POOL_LOCAL ? BROKER_IS_PRIVATE : 0),
		.max_idle_conns = config->max_idle_conns,
		.max_idle_conns_per_host = config->policy.max_idle_conns_per_host,
		.program = program,
	};
	int error;

	strncpy(hello.name, name, sizeof(hello.name) - 1);
	if (first)
		hello.first = first_question(client, first);
	client->fd = fd;
	error = fdpass_send(client->sys, fd, &hello, sizeof(hello), -1);
	if (error)
		broker_client_end(client);
	return error;
}

int broker_client_await_welcome(struct broker_client *client, int patience_ms)
{
	int error = read_welcome(client, patience_ms);

	if (error)
		broker_client_end(client);
	return error;
}

void broker_client_end(struct broker_client *client)
{
	struct slots_region *region = client->slots.region;

	slots_detach(&client->slots);
	if (region)
		client->sys->unmap(region, sizeof(*region));
	drop_passed(client, client->first_fd);
	client->first_fd = -1;
	client->fd = -1;
	client->is_asked = false;
}

bool broker_client_reserve(struct broker_client *client, struct conn *conn)
{
	if (!client->is_asked)
		return slots_reserve(&client->slots, conn);
	slots_reserve_asked(&client->slots, conn);
	return true;
}

static int send_request_of(struct broker_client *client, enum broker_message type, uint32_t flags,
			   const struct conn *conn, const struct destination_key *key, uint64_t kind, int passed)
{
	/* Only questions have one, and whoever asks is alone; others may park meanwhile. */
	uint32_t sequence = type == BROKER_LEASE ? client->sequence : 0;
	struct broker_request request = {.head = broker_wire_head(type, sequence, flags), .session = kind};

	if (client->fd < 0)
		return -ENOTCONN;
	if (conn) {
		request.slot = (uint64_t)conn->slot;
		request.generation = conn->slot_generation;
		request.cookie = conn->cookie;
		request.ticket = conn->ticket_number;
	}
	if (key)
		request.key = *key;
	return fdpass_send(client->sys, client->fd, &request, sizeof(request), passed);
}

static int send_request(struct broker_client *client, enum broker_message type, uint32_t flags, const struct conn *conn,
			const struct destination_key *key, int passed)
{
	return send_request_of(client, type, flags, conn, key, 0, passed);
}

/* Enum broker_answer or -errno. The descriptor is the caller's if it was given, else nobody's. */
static int read_answer(const struct broker_client *client, const struct broker_reply *reply, int passed, int *fd)
{
	switch (reply->head.flags) {
	case BROKER_GIVEN:
		*fd = passed;
		/* Without a descriptor: this process has no room for it. */
		return passed >= 0 ? BROKER_GIVEN : -EMFILE;
	case BROKER_NONE:
	case BROKER_DIAL:
	case BROKER_QUEUED:
	case BROKER_UNHEARD:
	case BROKER_UNFIT:
		if (passed < 0)
			return (int)reply->head.flags;
		break;
	}
	drop_passed(client, passed);
	return -EPROTO;
}

/* Only tickets are queued. */
static int only_leased(int answer)
{
	return answer == BROKER_QUEUED ? -EPROTO : answer;
}

/* To the question that was sent last. */
static int await_answer(struct broker_client *client, struct deadline deadline, int *fd)
{
	union broker_packet packet;
	int passed;

	*fd = -1;
	for (;;) {
		ssize_t length = await_packet(client, &packet, deadline, &passed);

		if (length < 0)
			return (int)length;
		/* What belonged to the answer to a question that a signal handler's longjmp left open. */
		if (is_ours(&packet, length, sizeof(packet.head), BROKER_SESSION_GIVEN)) {
			drop_passed(client, passed);
			continue;
		}
		if (!is_ours(&packet, length, sizeof(packet.reply), BROKER_ANSWER)) {
			drop_passed(client, passed);
			return -EPROTO;
		}
		if (packet.head.sequence == client->sequence)
			break;
		/* ... and that answer. */
		drop_passed(client, passed);
	}
	return only_leased(read_answer(client, &packet.reply, passed, fd));
}

static int take_first(struct broker_client *client, int *fd)
{
	int passed = client->first_fd;

	client->is_asked = false;
	client->first_fd = -1;
	return only_leased(read_answer(client, &client->first, passed, fd));
}

int broker_client_lease(struct broker_client *client, const struct conn *conn, bool wants_truth, int *fd)
{
	struct deadline deadline = deadline_of(client, BROKER_PATIENCE_MS);
	int error;

	*fd = -1;
	if (client->is_asked)
		return take_first(client, fd);
	client->sequence++;
	error = send_request(client, BROKER_LEASE, wants_truth ? BROKER_WANTS_TRUTH : 0, conn, &conn->destination->key,
			     -1);
	return error ? error : await_answer(client, deadline, fd);
}

int broker_client_lease_session(struct broker_client *client, const struct conn *conn, uint64_t kind, int *fd,
				int *session)
{
	struct deadline deadline = deadline_of(client, BROKER_PATIENCE_MS);
	union broker_packet packet;
	ssize_t length;
	int answer;

	*fd = *session = -1;
	client->sequence++;
	answer = send_request_of(client, BROKER_LEASE, 0, conn, &conn->destination->key, kind, -1);
	if (!answer)
		answer = await_answer(client, deadline, fd);
	if (answer != BROKER_GIVEN)
		return answer;
	length = await_packet(client, &packet, deadline, session);
	if (is_ours(&packet, length, sizeof(packet.head), BROKER_SESSION_GIVEN) && *session >= 0)
		return answer;
	drop_passed(client, *session);
	drop_passed(client, *fd);
	*fd = *session = -1;
	return length < 0 ? (int)length : -EPROTO;
}

static int offer(struct broker_client *client, struct conn *conn, bool was_unfit, uint64_t kind, int session)
{
	int error = 0;

	if (client->fd < 0 || !conn->cookie || !slots_reserve(&client->slots, conn))
		return 0;
	if (kind)
		error = send_request_of(client, BROKER_SESSION, 0, conn, &conn->destination->key, kind, session);
	slots_publish(&client->slots, conn);
	if (!error)
		error = send_request_of(client, BROKER_PARK, was_unfit ? BROKER_WAS_UNFIT : 0, conn,
					&conn->destination->key, kind, conn->fd);
	if (error)
		slots_free(&client->slots, conn);
	else
		conn->has_broker_dup = true;
	return error;
}

int broker_client_offer(struct broker_client *client, struct conn *conn, bool was_unfit)
{
	return offer(client, conn, was_unfit, 0, -1);
}

int broker_client_offer_session(struct broker_client *client, struct conn *conn, bool was_unfit, uint64_t kind,
				int session)
{
	return offer(client, conn, was_unfit, kind, session);
}

void broker_client_tell_idle(struct broker_client *client)
{
	struct broker_head idle = broker_wire_head(BROKER_IDLE, 0, 0);

	/* If the broker is behind it looks for itself, every second. */
	if (client->fd >= 0 && fdpass_send(client->sys, client->fd, &idle, sizeof(idle), -1))
		return;
}

int broker_client_ask_ticket(const struct broker_client *client, int fd, const struct conn *conn, uint32_t max_conns,
			     bool is_forced)
{
	struct broker_request request = {
		.head = broker_wire_head(BROKER_TICKET, 0, is_forced ? BROKER_IS_FORCED : 0),
		.slot = (uint64_t)conn->slot,
		.generation = conn->slot_generation,
		.ticket = client->number,
		.max_conns = max_conns,
		.key = conn->destination->key,
	};

	return fdpass_send(client->sys, fd, &request, sizeof(request), -1);
}

int broker_client_read_ticket(const struct broker_client *client, int ticket, uint64_t *number, int *fd)
{
	union broker_packet packet;
	unsigned n_passed;
	int answer, passed;
	ssize_t length = fdpass_receive(client->sys, ticket, &packet, sizeof(packet), &passed, &n_passed);

	*fd = -1;
	if (length < 0)
		return (int)length;
	if (!is_ours(&packet, length, sizeof(packet.reply), BROKER_ANSWER)) {
		drop_passed(client, passed);
		return -ECONNRESET;
	}
	*number = packet.reply.ticket;
	answer = read_answer(client, &packet.reply, passed, fd);
	return answer == BROKER_NONE ? BROKER_LEAVE : answer;
}

void broker_client_drop(struct broker_client *client, struct conn *conn)
{
	struct conn before = *conn;

	if (conn->slot < 0)
		return;
	slots_free(&client->slots, conn);
	if (before.slot >= SLOTS_PER_REGION) {
		if (client->sys->ring)
			client->sys->ring();
		return;
	}
	/* If the broker is behind it will find the slot freed when it looks. */
	if (send_request(client, BROKER_DROP, 0, &before, NULL, -1))
		return;
}

void broker_client_looked(struct broker_client *client, const struct destination_key *key)
{
	/* A look that goes unnoticed is followed by another. */
	if (send_request(client, BROKER_LOOKED, 0, NULL, key, -1))
		return;
}

void broker_client_relieve(struct broker_client *client, const struct destination_key *key, bool just_one)
{
	/* If the broker does not get it, the next dial asks again in a moment. */
	if (send_request(client, BROKER_RELIEVE, just_one ? BROKER_JUST_ONE : 0, NULL, key, -1))
		return;
}
