/* See exchange.h. */
#include "tools/relay/exchange.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <utlist.h>

#include "pool/base/clock.h"
#include "pool/conn/idle_timeout.h"
#include "pool/exchange/plan.h"
#include "pool/exchange/verdict.h"
#include "tools/relay/client.h"
#include "tools/relay/core.h"
#include "tools/relay/listener.h"
#include "tools/relay/upstream.h"

/* One send on a connection: always fits into a replay's block. */
#define SEND_MAX (16u << 10)
#define FIRST_BYTES 32u
/* So much of an answer is read for nobody, to have the connection back. */
#define DRAIN_MAX (256u << 10)

static const struct upstream_user in_exchange, in_tunnel, unused;

static struct client *queue; /* those that wait at a limit */

static struct destination *destination_of(const struct client *client)
{
	return client->upstream ? client->upstream->conn->destination : idle_pool_find(&relay_core.pool, &client->key);
}

/* The end of what can be done for the program, after what waits to be sent. */
static void finish(struct client *client, bool is_abrupt)
{
	client->stage = CLIENT_FINISHING;
	client->ends_abruptly = is_abrupt;
	queue_clear(&client->in);
}

static void forget_exchange(struct client *client)
{
	block_store_put(&relay_core.blocks, &client->replay.block);
	replay_reset(&client->replay);
}

/* The connection is none of the client's any more: kept where that may be. */
static void let_go(struct client *client)
{
	struct upstream *upstream = client->upstream;
	struct verdict_facts facts = {
		.state = &client->state, .mode = CONFIG_MODE_FULL, .unfit = upstream->unfit, .is_ours = true};
	struct protocol_status status = protocol_status(&client->state);
	enum refusal why = verdict_keep(&facts);

	client->upstream = NULL;
	if (upstream->is_leased && !client->is_counted) {
		client->is_counted = true;
		stats_count(upstream->conn->destination->stats, STATS_REUSED);
		bypass_note_reuse(&upstream->conn->destination->bypass);
	}
	if (why != REFUSAL_NONE) {
		bypass_note_failure(&upstream->conn->destination->bypass, why, relay_now_ns());
		upstream_end(upstream, why);
		return;
	}
	idle_timeout_announced(upstream->conn->destination, status.keep_alive_s);
	upstream->conn->n_requests += status.n_requests;
	if (status.requests_left != UINT32_MAX)
		upstream->conn->requests_left = status.requests_left;
	upstream_park(upstream);
}

static void enter_tunnel(struct client *client)
{
	client->stage = CLIENT_TUNNEL;
	forget_exchange(client);
	upstream_give(client->upstream, &in_tunnel, client);
}

/* What follows when bytes have moved. */
static void settle(struct client *client)
{
	struct upstream *upstream = client->upstream;
	struct protocol_status status = protocol_status(&client->state);

	switch (verdict_next(&client->state, upstream->was_asked)) {
	case VERDICT_END:
		let_go(client);
		forget_exchange(client);
		if (client->stage == CLIENT_IN_EXCHANGE)
			finish(client, false);
		break;
	case VERDICT_RELEASE:
		if (client->stage == CLIENT_IN_EXCHANGE)
			enter_tunnel(client);
		break;
	case VERDICT_ASK_SERVER:
		upstream_shut(upstream);
		break;
	case VERDICT_GO_ON:
		/* A server that ends its connection makes the end itself, and the program sees it. */
		if (!status.at_boundary || status.in_request || status.awaits_answer || status.server_ends)
			break;
		let_go(client);
		forget_exchange(client);
		if (client->stage == CLIENT_IN_EXCHANGE)
			client->stage = CLIENT_BETWEEN;
		break;
	}
}

/* Sends the next part of a request, with what makes the server keep the connection. 0 or errno. */
static int send_part(struct client *client)
{
	size_t length = client->in.length < SEND_MAX ? client->in.length : SEND_MAX, going;
	struct iovec vector = {queue_bytes(&client->in), length};
	struct replay *replay = &client->replay;
	struct plan plan = {0};
	bool wants_copy;
	int error;

	/* Then it has all the room, and is planned as a whole. */
	if (replay->length + length > PLAN_ROOM_MAX)
		replay_give_up(replay);
	wants_copy = plan_begin(&plan, &client->state, replay, length);
	if (wants_copy && block_store_grow(&relay_core.blocks, &replay->block, replay->length, plan_room(&plan))) {
		plan_make(&plan, &client->state, NULL, replay, &vector, 1);
		going = plan.copied + plan.inserted;
		error = upstream_send(client->upstream, replay->block.bytes + plan.base, going);
	} else {
		plan_give_up(&plan, &client->state, wants_copy);
		going = length;
		error = upstream_send(client->upstream, vector.iov_base, going);
	}
	plan_account_all(&plan, &client->state, &vector, 1, going);
	if (!plan_keep_copy(&plan, replay, going))
		block_store_put(&relay_core.blocks, &replay->block);
	queue_drop(&client->in, length);
	return error;
}

/* True if a request may go out on a kept connection. */
static bool may_lease(enum framing_first first, const struct policy *policy)
{
	return first == FRAMING_FIRST_SAFE ||
	       (first == FRAMING_FIRST_UNSAFE && policy->unsafe_methods == CONFIG_UNSAFE_REUSE);
}

static bool is_at_limit(const struct destination *destination)
{
	uint32_t limit = destination->policy->max_conns_per_host;

	return limit && destination->n_open + destination->n_idle >= limit;
}

static void wait_in_queue(struct client *client)
{
	client->stage = CLIENT_QUEUED;
	DL_APPEND2(queue, client, queue_previous, queue_next);
}

/* A connection for the exchange: kept, or dialled. False: none now. */
static bool take_connection(struct client *client)
{
	struct destination *destination = destination_of(client);

	if (client->upstream)
		return true;
	if (!destination) {
		finish(client, true);
		return false;
	}
	if (client->may_lease)
		client->upstream = upstream_lease(destination, &in_exchange, client);
	if (client->upstream)
		return true;
	if (is_at_limit(destination) && !idle_pool_retire(&relay_core.pool, destination, REFUSAL_POOL_FULL)) {
		wait_in_queue(client);
		return false;
	}
	client->upstream = upstream_dial(destination, &in_exchange, client);
	if (!client->upstream)
		finish(client, true);
	return client->upstream != NULL;
}

/* What is not HTTP goes to a connection of its own, and the next of its kind won't come here. */
static void begin_tunnel(struct client *client)
{
	struct destination *destination = client->upstream->conn->destination;
	enum refusal why = protocol_is_tls(queue_bytes(&client->in), client->in.length) ? REFUSAL_TLS_OPAQUE
											: REFUSAL_UNKNOWN_PROTOCOL;

	stats_refuse(destination->stats, why);
	while (!bypass_is_on(&destination->bypass, relay_now_ns()) &&
	       !bypass_note_failure(&destination->bypass, why, relay_now_ns()))
		;
	enter_tunnel(client);
}

/* Begins an exchange with what the program has sent. False: not yet. */
static bool begin(struct client *client)
{
	struct destination *destination = destination_of(client);
	enum framing_first first = protocol_classify(queue_bytes(&client->in), client->in.length);

	if (first == FRAMING_FIRST_PARTIAL && !client->has_ended && client->in.length < FIRST_BYTES)
		return false;
	client->may_lease = destination && may_lease(first, destination->policy);
	if (!take_connection(client))
		return false;
	upstream_give(client->upstream, &in_exchange, client);
	if (first != FRAMING_FIRST_SAFE && first != FRAMING_FIRST_UNSAFE) {
		begin_tunnel(client);
		return true;
	}
	destination = client->upstream->conn->destination;
	habit_looks_note(&destination->looks, RELAY_WHO, false);
	protocol_begin(&client->state, destination->policy->rewrite);
	replay_reset(&client->replay);
	client->was_replayed = false;
	client->stage = CLIENT_IN_EXCHANGE;
	return true;
}

/* Sends what the program asks. False: no more can be done for now. */
static bool go_on(struct client *client)
{
	if (!client->in.length || client->upstream->link.out.length > UPSTREAM_BACKLOG)
		return false;
	/* An error is told by the reading side, behind what the server still said. */
	(void)!send_part(client);
	settle(client);
	return true;
}

static bool pass_on(struct client *client)
{
	if (!client->in.length || client->upstream->link.out.length > UPSTREAM_BACKLOG)
		return false;
	(void)!upstream_send(client->upstream, queue_bytes(&client->in), client->in.length);
	queue_drop(&client->in, client->in.length);
	return true;
}

/* Sends the end of file that is due, once the program has been sent all that waited. */
static void make_end(struct client *client)
{
	if (client->link.out.length || client->link.fd < 0)
		return;
	if (client->ends_abruptly || client->has_ended)
		client_end(client);
	else
		shutdown(client->link.fd, SHUT_WR);
}

/* A connect without a word: it asks whether the server is there. */
static void note_look(const struct client *client)
{
	if (client->upstream)
		habit_looks_note(&client->upstream->conn->destination->looks, RELAY_WHO, true);
}

/* The program has said its last word and not closed its socket: it waits for an answer to a request, or for the rest
 * of one. A server need not know of that where the request is complete. */
static void take_half_end(struct client *client)
{
	if (protocol_status(&client->state).has_more_to_send && !client->upstream->was_asked)
		upstream_shut(client->upstream);
}

/* The program sends no more. */
static void take_end(struct client *client)
{
	bool has_closed = listener_peer_has_closed(&client->name);

	client->is_orderly = !has_closed;
	switch (client->stage) {
	case CLIENT_BETWEEN:
		note_look(client);
		finish(client, false);
		make_end(client);
		break;
	case CLIENT_IN_EXCHANGE:
		if (has_closed)
			exchange_abandon(client);
		else
			take_half_end(client);
		break;
	case CLIENT_TUNNEL:
		if (client->upstream->has_ended)
			client_end(client);
		else if (!client->upstream->was_asked)
			upstream_shut(client->upstream);
		break;
	case CLIENT_FINISHING:
	case CLIENT_QUEUED:
	case CLIENT_DRAINING:
	case CLIENT_GONE:
		break;
	}
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
	if (client->stage == CLIENT_FINISHING)
		make_end(client);
	else if (client->has_ended && !client->in.length)
		take_end(client);
}

bool exchange_is_full(const struct client *client)
{
	switch (client->stage) {
	case CLIENT_QUEUED:
	case CLIENT_IN_EXCHANGE:
	case CLIENT_TUNNEL:
		return client->in.length >= SEND_MAX;
	case CLIENT_BETWEEN:
	case CLIENT_FINISHING:
	case CLIENT_DRAINING:
	case CLIENT_GONE:
		return false;
	}
	return false;
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

	return client->stage == CLIENT_IN_EXCHANGE && status.answer_started && !status.in_answer_head &&
	       !status.has_more_to_send && status.known_answer <= DRAIN_MAX;
}

void exchange_abandon(struct client *client)
{
	if (client->stage == CLIENT_QUEUED)
		DL_DELETE2(queue, client, queue_previous, queue_next);
	if (!is_worth_draining(client)) {
		client_end(client);
		return;
	}
	link_close(&client->link, true);
	client->stage = CLIENT_DRAINING;
	client->since_ns = relay_now_ns();
	exchange_resume(client);
}

/* The dial for an exchange has ended. The program believes that it is connected since long: a refusal is a reset. */
static void dialled(struct upstream *upstream, int error)
{
	struct client *client = upstream->object;

	if (!error)
		return;
	client->upstream = NULL;
	finish(client, true);
	exchange_go(client);
}

/* Nobody has had a byte of an answer, and all that was sent may be sent again. */
static bool can_replay(const struct client *client)
{
	struct protocol_status status = protocol_status(&client->state);

	return client->upstream->is_leased && !client->upstream->was_heard && !client->was_replayed &&
	       client->replay.is_complete && client->replay.length && status.awaits_answer && status.can_replay;
}

static bool replay(struct client *client)
{
	struct destination *destination = client->upstream->conn->destination;

	upstream_end(client->upstream, REFUSAL_STALE);
	client->was_replayed = true;
	stats_count(destination->stats, STATS_REPLAYED);
	client->upstream = upstream_dial(destination, &in_exchange, client);
	return client->upstream &&
	       upstream_send(client->upstream, client->replay.block.bytes, client->replay.length) == 0;
}

static void lose(struct client *client, int error)
{
	struct upstream *upstream = client->upstream;

	if (can_replay(client)) {
		if (!replay(client)) {
			finish(client, true);
			exchange_go(client);
		}
		return;
	}
	if (!error)
		protocol_feed_end(&client->state);
	client->upstream = NULL;
	upstream_end(upstream, verdict_at_server_end(&client->state));
	if (client->stage == CLIENT_DRAINING) {
		client_end(client);
		return;
	}
	forget_exchange(client);
	finish(client, error != 0);
	exchange_go(client);
}

static void ended(struct upstream *upstream, int error)
{
	lose(upstream->object, error);
}

/* Bytes for the program. False: it has gone, and so has the client. */
static bool deliver(struct client *client, const char *bytes, size_t length)
{
	if (client->stage == CLIENT_DRAINING)
		return true;
	if (client->link.fd < 0)
		return link_send_later(&client->link, bytes, length) == 0;
	if (link_send(&client->link, bytes, length, NULL) < 0) {
		exchange_abandon(client);
		return client->stage == CLIENT_DRAINING;
	}
	if (client->link.out.length > UPSTREAM_BACKLOG && client->upstream)
		link_want_input(&client->upstream->link, false);
	return true;
}

static void came(struct upstream *upstream, char *bytes, size_t length)
{
	struct client *client = upstream->object;
	const struct protocol *protocol = protocol_of(&client->state);
	struct framing_plan changes = {0};
	bool is_first = !upstream->was_heard;

	if (is_first && upstream->is_leased && protocol_is_late_goodbye(&client->state, bytes, length) &&
	    can_replay(client)) {
		lose(client, 0);
		return;
	}
	upstream->was_heard = true;
	protocol_feed_response(&client->state, NULL, bytes, length, &changes);
	plan_show_end(&changes, protocol, bytes);
	if (!deliver(client, bytes, length))
		return;
	settle(client);
	if (client->stage == CLIENT_DRAINING) {
		if (!client->upstream)
			client_end(client);
		return;
	}
	exchange_go(client);
}

static void drained(struct upstream *upstream)
{
	struct client *client = upstream->object;

	exchange_go(client);
	if (client->link.fd >= 0 && !client->has_ended)
		link_want_input(&client->link, !exchange_is_full(client));
}

static const struct upstream_user in_exchange = {.dialled = dialled, .came = came, .ended = ended, .drained = drained};

static void tunnel_came(struct upstream *upstream, char *bytes, size_t length)
{
	(void)deliver(upstream->object, bytes, length);
}

static void tunnel_ended(struct upstream *upstream, int error)
{
	struct client *client = upstream->object;

	if (error || client->has_ended) {
		client->upstream = NULL;
		upstream_end(upstream, REFUSAL_NONE);
		finish(client, error != 0);
		exchange_go(client);
		return;
	}
	/* The other direction may go on. */
	if (client->link.out.length == 0)
		shutdown(client->link.fd, SHUT_WR);
}

static const struct upstream_user in_tunnel = {
	.dialled = dialled, .came = tunnel_came, .ended = tunnel_ended, .drained = drained};

/* What was dialled for a client that has not asked for anything yet. A server that speaks first speaks no HTTP. */
static void unused_came(struct upstream *upstream, char *bytes, size_t length)
{
	struct client *client = upstream->object;

	begin_tunnel(client);
	(void)deliver(client, bytes, length);
}

static void unused_ended(struct upstream *upstream, int error)
{
	struct client *client = upstream->object;

	client->upstream = NULL;
	upstream_end(upstream, REFUSAL_SERVER_CLOSE);
	finish(client, error != 0);
	exchange_go(client);
}

static const struct upstream_user unused = {
	.dialled = dialled, .came = unused_came, .ended = unused_ended, .drained = drained};

void exchange_accept(struct client *client)
{
	if (client->stage == CLIENT_FINISHING)
		make_end(client);
}

void exchange_adopt(struct client *client)
{
	if (client->upstream)
		upstream_give(client->upstream, &unused, client);
}

void exchange_serve_queue(void)
{
	struct client *client, *next;

	DL_FOREACH_SAFE2(queue, client, next, queue_next)
	{
		struct destination *destination = destination_of(client);

		if (destination && is_at_limit(destination) && !destination->n_idle)
			continue;
		DL_DELETE2(queue, client, queue_previous, queue_next);
		client->stage = CLIENT_BETWEEN;
		exchange_go(client);
	}
}
