/* See exchange.h. */
#include "tools/relay/exchange.h"

#include <sys/socket.h>

#include "pool/base/clock.h"
#include "pool/exchange/plan.h"
#include "tools/relay/answer.h"
#include "tools/relay/client.h"
#include "tools/relay/core.h"
#include "tools/relay/peer.h"
#include "tools/relay/pipeline.h"
#include "tools/relay/sharing.h"
#include "tools/relay/upstream.h"
#include "tools/relay/waiting.h"

/* One send on a connection: always fits into a replay's block. */
#define SEND_MAX (16u << 10)
/* So much of an answer is read for nobody, to have the connection back. */
#define DRAIN_MAX (256u << 10)
/* After that a program that has said nothing waits for the server. */
#define SILENT_NS SECOND_NS

static const struct client *being_served; /* of those that waited */

static struct destination *destination_of(const struct client *client)
{
	return client->upstream ? client->upstream->conn->destination : idle_pool_find(&relay_core.pool, &client->key);
}

/* Sends the next part of a request, with what makes the server keep the connection. An error is told by the reading
 * side, behind what the server still said. */
static void send_part(struct client *client)
{
	size_t length = client->in.length < SEND_MAX ? client->in.length : SEND_MAX, going;
	struct iovec vector = {queue_bytes(&client->in), length};
	struct replay *replay = &client->replay;
	struct plan plan = {0};
	bool wants_copy;

	if (replay->length + length > PLAN_ROOM_MAX)
		replay_forget_answered(replay, &client->state);
	/* Then it has all the room, and is planned as a whole. */
	if (replay->length + length > PLAN_ROOM_MAX)
		replay_give_up(replay);
	wants_copy = plan_begin(&plan, &client->state, replay, length);
	if (wants_copy && block_store_grow(&relay_core.blocks, &replay->block, replay->length, plan_room(&plan))) {
		plan_make(&plan, &client->state, NULL, replay, &vector, 1);
		going = plan.copied + plan.inserted;
		(void)!upstream_send(client->upstream, replay->block.bytes + plan.base, going);
	} else {
		plan_give_up(&plan, &client->state, wants_copy);
		going = length;
		(void)!upstream_send(client->upstream, vector.iov_base, going);
	}
	plan_account_all(&plan, &client->state, &vector, 1, going);
	if (!plan_keep_copy(&plan, replay, going))
		block_store_put(&relay_core.blocks, &replay->block);
	queue_drop(&client->in, length);
}

static bool is_at_limit(const struct destination *destination)
{
	uint32_t limit = destination->policy->max_conns_per_host;

	return limit && destination->n_open + destination->n_idle >= limit;
}

static void wait_in_queue(struct client *client)
{
	client->stage = CLIENT_QUEUED;
	if (!waiting_add(client))
		answer_finish(client, true);
}

/* Puts the request behind those of others. */
static bool join(struct client *client, const struct destination *destination)
{
	struct upstream *upstream = pipeline_find(destination, client);

	if (upstream)
		pipeline_join(upstream, client);
	return upstream != NULL;
}

/* A fresh connection, or a place in the queue for one. */
static void take_fresh(struct client *client, struct destination *destination)
{
	/* A server that serves one connection at a time must not wait for the end of an idle one. */
	if (client->needs == CLIENT_NEEDS_FRESH)
		idle_pool_retire(&relay_core.pool, destination,
				 client->was_replayed ? REFUSAL_STALE : REFUSAL_UNSAFE_METHOD);
	if (is_at_limit(destination) && !idle_pool_retire(&relay_core.pool, destination, REFUSAL_POOL_FULL)) {
		if (!join(client, destination))
			wait_in_queue(client);
		return;
	}
	client->upstream = upstream_dial(destination, &answer_in_exchange, client);
	if (!client->upstream)
		answer_finish(client, true);
}

/* A kept connection, if there is one that may carry the request. */
static struct upstream *lease(struct client *client, struct destination *destination)
{
	struct upstream *upstream = upstream_lease(destination, &answer_in_exchange, client);

	if (!upstream || client->needs == CLIENT_NEEDS_ANY || upstream->last_client == client->serial ||
	    (client->needs == CLIENT_NEEDS_YOUNG && upstream_is_young(upstream)))
		return upstream;
	upstream_end(upstream, REFUSAL_UNSAFE_METHOD);
	return NULL;
}

/* A connection for the exchange: kept, shared, or dialled. False: none now. */
static bool take_connection(struct client *client)
{
	struct destination *destination = destination_of(client);

	if (client->upstream)
		return true;
	if (!destination) {
		answer_finish(client, true);
		return false;
	}
	/* Nobody overtakes those who wait. */
	if (client != being_served && waiting_is_any(&client->key)) {
		wait_in_queue(client);
		return false;
	}
	if (destination->policy->pipeline_when == CONFIG_PIPELINE_ALWAYS && join(client, destination))
		return true;
	if (client->needs != CLIENT_NEEDS_FRESH)
		client->upstream = lease(client, destination);
	if (!client->upstream)
		take_fresh(client, destination);
	return client->upstream != NULL;
}

/* Which kept connection may carry what begins so. */
static enum client_needs needs(const struct client *client, const struct destination *destination,
			       enum framing_first first)
{
	/* A request that was sent in vain goes to a connection that nobody had before. */
	if (!destination || client->was_replayed || first == FRAMING_FIRST_UNKNOWN)
		return CLIENT_NEEDS_FRESH;
	if (first == FRAMING_FIRST_SAFE || destination->policy->unsafe_methods == CONFIG_UNSAFE_REUSE)
		return CLIENT_NEEDS_ANY;
	if (destination->policy->unsafe_methods == CONFIG_UNSAFE_YOUNG)
		return CLIENT_NEEDS_YOUNG;
	/* A program that keeps its connection sends its POSTs on it, too. */
	return upstream_newest_of(destination) == client->serial ? CLIENT_NEEDS_OWN : CLIENT_NEEDS_FRESH;
}

/* Begins an exchange with what the program has sent: as soon as there is a byte, since a program may wait for an answer
 * to that. (What it is then shows on a connection that nobody had before.) False: not yet. */
static bool begin(struct client *client)
{
	struct destination *destination = destination_of(client);
	enum framing_first first = protocol_classify(queue_bytes(&client->in), client->in.length);

	client->needs = needs(client, destination, first);
	if (!take_connection(client))
		return false;
	if (first == FRAMING_FIRST_UNKNOWN) {
		answer_tunnel_foreign(client, protocol_is_tls(queue_bytes(&client->in), client->in.length)
						      ? REFUSAL_TLS_OPAQUE
						      : REFUSAL_UNKNOWN_PROTOCOL);
		return true;
	}
	if (!client->is_behind) {
		upstream_give(client->upstream, &answer_in_exchange, client);
		client->upstream->head_since_ns = relay_now_ns();
	}
	destination = client->upstream->conn->destination;
	client->upstream->conn->began_unfit = first != FRAMING_FIRST_SAFE && client->needs == CLIENT_NEEDS_FRESH;
	client->has_spoken = true;
	habit_looks_note(&destination->looks, RELAY_WHO, false);
	protocol_begin(&client->state, destination->policy->rewrite);
	client->stage = CLIENT_IN_EXCHANGE;
	return true;
}

/* Sends what the program asks. False: no more can be done for now. */
static bool go_on(struct client *client)
{
	bool is_shared = client->behind || client->was_behind;

	if (client->upstream->link.out.length > UPSTREAM_BACKLOG)
		return false;
	/* More would come behind the others' requests: it waits for the answer. */
	if (is_shared && client->replay.length)
		return false;
	send_part(client);
	/* Others may come behind it now. */
	upstream_has_room |= pipeline_is_allowed(client->upstream->conn->destination);
	answer_settle(client);
	return true;
}

static bool pass_on(struct client *client)
{
	if (client->upstream->link.out.length > UPSTREAM_BACKLOG)
		return false;
	(void)!upstream_send(client->upstream, queue_bytes(&client->in), client->in.length);
	queue_drop(&client->in, client->in.length);
	return true;
}

/* The program has closed its socket, and its end of file has not been read yet. An end of file of ours would leave it
 * in TIME_WAIT then. */
static bool has_closed_first(const struct client *client)
{
	char byte;

	return recv(client->link.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0 && peer_has_closed(&client->ends);
}

/* Sends the end of file that is due, once the program has been sent all that waited. */
static void make_end(struct client *client)
{
	if (client->link.out.length || client->link.fd < 0)
		return;
	if (client->ends_abruptly || client->has_ended || has_closed_first(client))
		client_end(client);
	else
		shutdown(client->link.fd, SHUT_WR);
}

/* The program has said its last word in a request and not closed its socket: it waits for the answer. A server need not
 * know of that where the request is complete, unless it does not answer: exchange_tell_end(). */
static void take_half_end(struct client *client)
{
	if (protocol_status(&client->state).has_more_to_send && !client->upstream->was_asked)
		upstream_shut(client->upstream);
}

void exchange_tell_end(struct client *client)
{
	if (client->stage == CLIENT_IN_EXCHANGE && client->has_ended && !client->in.length && !client->is_behind &&
	    !client->behind && !client->upstream->was_asked && !protocol_status(&client->state).answer_started)
		upstream_shut(client->upstream);
}

/* Nothing more comes of the program, and all has been sent. */
static bool has_delivered(const struct client *client)
{
	return client->has_ended && !client->in.length && !upstream_has_waiting(client->upstream);
}

/* In a tunnel each direction ends for itself, and when both have, what was sent has arrived. */
static void take_end_of_tunnel(struct client *client)
{
	if (!client->upstream->was_asked)
		upstream_shut(client->upstream);
	if (client->upstream->has_ended && has_delivered(client))
		answer_end_tunnel(client);
}

/* The program has gone, and the server is to have what it sent, and then its end, as from the kernel. */
static void deliver_last(struct client *client)
{
	link_close(&client->link, !client->is_orderly);
	client->stage = CLIENT_DELIVERING;
	client->since_ns = relay_now_ns();
	upstream_give(client->upstream, &answer_unheard, client);
}

static void end_delivery(struct client *client)
{
	if (has_delivered(client))
		client_end(client);
}

/* A connect without a word: it asks whether the server is there. */
static void note_look(const struct client *client)
{
	struct destination *destination = client->has_spoken ? NULL : destination_of(client);

	if (!destination)
		return;
	habit_looks_note(&destination->looks, RELAY_WHO, true);
	sharing_note_look(destination);
}

/* The program sends no more. */
static void take_end(struct client *client)
{
	/* Of a program that closes later the next bytes for it tell. */
	bool has_closed = !client->is_orderly && peer_has_closed(&client->ends);

	client->is_orderly = !has_closed;
	switch (client->stage) {
	case CLIENT_BETWEEN:
		note_look(client);
		answer_finish(client, false);
		make_end(client);
		break;
	case CLIENT_IN_EXCHANGE:
		if (!has_closed)
			take_half_end(client);
		else if (upstream_has_waiting(client->upstream) && !client->is_behind && !client->behind)
			deliver_last(client);
		else
			exchange_abandon(client);
		break;
	case CLIENT_TUNNEL:
		take_end_of_tunnel(client);
		break;
	case CLIENT_DELIVERING:
		end_delivery(client);
		break;
	case CLIENT_FINISHING:
	case CLIENT_QUEUED:
	case CLIENT_DRAINING:
	case CLIENT_GONE:
		break;
	}
}

/* The server's end of file, in a tunnel whose other direction goes on. */
static void pass_end(const struct client *client)
{
	if (client->upstream && client->upstream->has_ended && !client->link.out.length && client->link.fd >= 0 &&
	    !has_delivered(client))
		shutdown(client->link.fd, SHUT_WR);
}

static bool is_full(const struct client *client)
{
	switch (client->stage) {
	case CLIENT_QUEUED:
	case CLIENT_IN_EXCHANGE:
	case CLIENT_TUNNEL:
		return client->in.length >= SEND_MAX;
	case CLIENT_BETWEEN:
	case CLIENT_FINISHING:
	case CLIENT_DRAINING:
	case CLIENT_DELIVERING:
	case CLIENT_GONE:
		return false;
	}
	return false;
}

/* Room is made in this file: by an answer, a connection or an end. */
static void want_input(struct client *client)
{
	if (client->link.fd >= 0)
		link_want_input(&client->link, !client->has_ended && !is_full(client));
}

void exchange_go(struct client *client)
{
	bool goes_on = true;

	while (goes_on && client->in.length) {
		switch (client->stage) {
		case CLIENT_BETWEEN:
			goes_on = begin(client);
			break;
		case CLIENT_IN_EXCHANGE:
			goes_on = go_on(client);
			break;
		case CLIENT_TUNNEL:
		case CLIENT_DELIVERING:
			goes_on = pass_on(client);
			break;
		case CLIENT_QUEUED:
		case CLIENT_FINISHING:
		case CLIENT_DRAINING:
		case CLIENT_GONE:
			goes_on = false;
			break;
		}
	}
	if (client->stage == CLIENT_TUNNEL)
		pass_end(client);
	if (client->stage == CLIENT_FINISHING)
		make_end(client);
	else if (client->has_ended && !client->in.length)
		take_end(client);
	want_input(client);
}

bool exchange_is_idle(const struct client *client)
{
	return client->stage == CLIENT_BETWEEN && client->has_spoken && !client->in.length && !client->has_ended &&
	       client->link.fd >= 0;
}

void exchange_end_idle(struct client *client)
{
	answer_finish(client, false);
	exchange_go(client);
}

uint64_t exchange_may_be_alone_ns(const struct client *client)
{
	const struct destination *destination;

	if (client->stage != CLIENT_BETWEEN || client->in.length || client->has_ended || client->link.fd < 0 ||
	    client->upstream)
		return UINT64_MAX;
	if (!client->has_spoken)
		return SILENT_NS;
	/* By then the pool has ended what it kept for the program's last exchange. */
	destination = destination_of(client);
	return destination && destination->policy->idle_conn_timeout_ns ? destination->policy->idle_conn_timeout_ns
									: UINT64_MAX;
}

void exchange_dial_for_idle(struct client *client)
{
	struct destination *destination = destination_of(client);

	if (destination && !is_at_limit(destination))
		client->upstream = upstream_dial(destination, &answer_unused, client);
}

void exchange_hang_up(struct client *client)
{
	deliver_last(client);
	exchange_go(client);
}

void exchange_resume(struct client *client)
{
	if (client->upstream && !client->upstream->is_dialling && !client->upstream->has_ended)
		link_want_input(&client->upstream->link, true);
}

/* True if the rest of an answer is worth reading for its connection. */
static bool is_worth_draining(const struct client *client)
{
	struct protocol_status status = protocol_status(&client->state);

	if (client->stage != CLIENT_IN_EXCHANGE || status.has_more_to_send)
		return false;
	/* Others would lose theirs. */
	if (client->is_behind || client->behind)
		return true;
	return status.answer_started && !status.in_answer_head && status.known_answer <= DRAIN_MAX;
}

void exchange_abandon(struct client *client)
{
	if (client->stage == CLIENT_QUEUED)
		waiting_remove(client);
	if (!is_worth_draining(client)) {
		client_end(client);
		return;
	}
	link_close(&client->link, true);
	client->stage = CLIENT_DRAINING;
	client->since_ns = relay_now_ns();
	exchange_resume(client);
}

bool exchange_pass_over(struct client *client, size_t length)
{
	client->n_drained += length;
	if (client->n_drained <= DRAIN_MAX || client->behind)
		return true;
	client_end(client);
	return false;
}

static bool has_place(const struct client *client)
{
	struct destination *destination = destination_of(client);

	return !destination || !is_at_limit(destination) || destination->n_idle || pipeline_find(destination, client);
}

static void serve_waiting(struct client *client)
{
	client->stage = CLIENT_BETWEEN;
	being_served = client;
	exchange_go(client);
	being_served = NULL;
}

void exchange_serve_queue(void)
{
	while (upstream_has_room) {
		upstream_has_room = false;
		waiting_serve(has_place, serve_waiting);
	}
}
