/* See answer.h. */
#include "tools/relay/answer.h"

#include <errno.h>
#include <sys/socket.h>

#include "pool/base/clock.h"
#include "pool/conn/idle_timeout.h"
#include "pool/exchange/plan.h"
#include "pool/exchange/verdict.h"
#include "tools/relay/client.h"
#include "tools/relay/core.h"
#include "tools/relay/exchange.h"
#include "tools/relay/pipeline.h"
#include "tools/relay/upstream.h"

/* Longer than this nobody waits behind somebody at a server of which it is not known whether it pipelines. */
#define OVERDUE_NS SECOND_NS

static void forget_exchange(struct client *client)
{
	block_store_put(&relay_core.blocks, &client->replay.block);
	replay_reset(&client->replay);
	client->is_behind = client->was_behind = client->was_replayed = false;
	client->behind = NULL;
	client->refused_status = 0;
}

void answer_finish(struct client *client, bool is_abrupt)
{
	client->stage = CLIENT_FINISHING;
	client->ends_abruptly = is_abrupt;
	queue_clear(&client->in);
}

void answer_tunnel(struct client *client)
{
	client->stage = CLIENT_TUNNEL;
	forget_exchange(client);
	upstream_give(client->upstream, &answer_in_tunnel, client);
}

void answer_tunnel_foreign(struct client *client, enum refusal why)
{
	struct destination *destination = client->upstream->conn->destination;
	uint64_t now_ns = relay_now_ns();

	stats_refuse(destination->stats, why);
	bypass_note_failure(&destination->bypass, why, now_ns);
	answer_tunnel(client);
}

/* Begins anew with what the program has sent, on another connection. */
static void start_over(struct client *client)
{
	struct queue in = {0};
	bool is_whole;

	replay_undo_edits(&client->replay, protocol_of(&client->state));
	is_whole = !client->was_replayed && queue_add(&in, client->replay.block.bytes, client->replay.length) &&
		   (!client->in.length || queue_add(&in, queue_bytes(&client->in), client->in.length));
	queue_clear(&client->in);
	client->in = in;
	forget_exchange(client);
	client->was_replayed = true;
	client->stage = CLIENT_BETWEEN;
	if (!is_whole)
		answer_finish(client, true);
	exchange_go(client);
}

/* Those who were behind somebody on a connection that is gone. One whose program has gone wants nothing. */
static void send_again(struct client *first, struct stats_destination *stats)
{
	struct client *client, *next;

	for (client = first; client; client = next) {
		next = client->behind;
		client->upstream = NULL;
		client->behind = NULL;
		if (client->stage == CLIENT_DRAINING) {
			client_end(client);
		} else {
			stats_count(stats, STATS_REPLAYED);
			start_over(client);
		}
	}
}

/* Ends the connection of a client, which is the next to be answered or alone on it. Returns those who were behind it,
 * for send_again(). */
static struct client *take_leave(struct client *client, enum refusal why)
{
	struct upstream *upstream = client->upstream;
	struct client *behind = client->behind;

	/* Ended by the server, or because of what it said. */
	if (why != REFUSAL_NONE && (behind || client->was_behind) && !upstream->n_answered_behind)
		pipeline_note_failure(upstream->conn->destination);
	client->upstream = NULL;
	client->behind = NULL;
	upstream_end(upstream, why);
	return behind;
}

static void end_connection(struct client *client, enum refusal why)
{
	struct stats_destination *stats = client->upstream->conn->destination->stats;

	send_again(take_leave(client, why), stats);
}

void answer_drop(struct client *client)
{
	/* A program that is told of the end may close before the server has. */
	if (client->upstream)
		end_connection(client,
			       protocol_status(&client->state).server_ends ? REFUSAL_SERVER_CLOSE : REFUSAL_NONE);
}

/* The next one's answer comes now. */
static void hand_over(struct client *client)
{
	struct upstream *upstream = client->upstream;
	struct client *next = client->behind;

	client->upstream = NULL;
	client->behind = NULL;
	next->is_behind = false;
	next->since_ns = upstream->head_since_ns = relay_now_ns();
	upstream->n_behind--;
	upstream->was_heard = false;
	upstream_give(upstream, &answer_in_exchange, next);
	/* It may have been stopped for one that reads slowly. */
	link_want_input(&upstream->link, !upstream->has_ended);
	upstream_has_room = true;
}

static void count_use(struct client *client)
{
	struct upstream *upstream = client->upstream;
	struct destination *destination = upstream->conn->destination;
	struct protocol_status status = protocol_status(&client->state);

	idle_timeout_announced(destination, status.keep_alive_s);
	upstream->conn->n_requests += status.n_requests;
	if (status.requests_left != UINT32_MAX)
		upstream->conn->requests_left = status.requests_left;
	upstream->n_answered_behind += client->was_behind;
	if (client->was_behind)
		pipeline_note_answer(destination, &status);
	/* It was about what was asked after all. */
	if (client->refused_status && client->refused_status == status.answer_status)
		destination->pipelining = PIPELINING_UNTRIED;
	if (!upstream->is_leased || client->is_counted)
		return;
	client->is_counted = true;
	stats_count(destination->stats, STATS_REUSED);
	bypass_note_reuse(&destination->bypass);
}

/* The exchange is over: its connection is none of the client's any more, and kept where that may be. False: the server
 * has ended it without a word. */
static bool let_go(struct client *client)
{
	struct upstream *upstream = client->upstream;
	struct verdict_facts facts = {
		.state = &client->state, .mode = CONFIG_MODE_FULL, .unfit = upstream->unfit, .is_ours = true};
	enum refusal why = verdict_keep(&facts);

	count_use(client);
	if (why != REFUSAL_NONE) {
		bypass_note_failure(&upstream->conn->destination->bypass, why, relay_now_ns());
		end_connection(client, why);
	} else if (client->behind) {
		hand_over(client);
	} else {
		client->upstream = NULL;
		upstream->last_client = client->serial;
		return upstream_park(upstream);
	}
	return true;
}

static bool end_exchange(struct client *client)
{
	bool goes_on = let_go(client);

	forget_exchange(client);
	return goes_on;
}

/* The server ends the connection behind this answer. The others need not wait for that. */
static void end_for_all(struct client *client)
{
	end_exchange(client);
	if (client->stage == CLIENT_IN_EXCHANGE)
		answer_finish(client, false);
}

/* The connection has to be this client's alone, and others are behind it: it ends, for all of them. The program begins
 * again on another one, where nobody will be. */
static void part(struct client *client)
{
	client->upstream->conn->destination->pipelining = PIPELINING_REFUSED;
	end_exchange(client);
	if (client->stage == CLIENT_IN_EXCHANGE)
		answer_finish(client, false);
}

void answer_settle(struct client *client)
{
	struct protocol_status status = protocol_status(&client->state);
	bool goes_on;

	switch (verdict_next(&client->state, client->upstream->was_asked)) {
	case VERDICT_END:
		end_exchange(client);
		if (client->stage == CLIENT_IN_EXCHANGE)
			answer_finish(client, false);
		break;
	case VERDICT_RELEASE:
		if (client->stage == CLIENT_IN_EXCHANGE && !client->behind)
			answer_tunnel(client);
		else if (status.at_boundary && client->behind)
			part(client);
		break;
	case VERDICT_ASK_SERVER:
		upstream_shut(client->upstream);
		break;
	case VERDICT_GO_ON:
		if (!status.at_boundary || status.in_request || status.awaits_answer)
			break;
		/* A server that ends its connection, or was asked to, makes the end itself, and the program sees it. */
		if (status.server_ends || status.wants_end) {
			if (client->behind)
				end_for_all(client);
			break;
		}
		client->since_ns = relay_now_ns();
		goes_on = end_exchange(client);
		if (client->stage == CLIENT_IN_EXCHANGE && goes_on)
			client->stage = CLIENT_BETWEEN;
		else if (client->stage == CLIENT_IN_EXCHANGE)
			answer_finish(client, false);
		break;
	}
}

/* The dial for an exchange has ended. The program believes that it is connected since long: a refusal is a reset. */
static void dialled(struct upstream *upstream, int error)
{
	struct client *client = upstream->object;

	if (!error)
		return;
	client->upstream = NULL;
	answer_finish(client, true);
	exchange_go(client);
}

/* Nobody has had a byte of the next answer, and all that awaits one may be sent again. */
static bool can_replay(struct client *client)
{
	return client->stage == CLIENT_IN_EXCHANGE && client->upstream->is_leased && !client->was_replayed &&
	       protocol_status(&client->state).awaits_answer && replay_prepare(&client->replay, &client->state);
}

/* Sends again what was sent, with its edits, and goes on with the exchange as it stands. */
static bool replay(struct client *client)
{
	struct destination *destination = client->upstream->conn->destination;
	struct client *behind = take_leave(client, REFUSAL_STALE);
	bool goes_on;

	stats_count(destination->stats, STATS_REPLAYED);
	client->was_replayed = true;
	client->was_behind = false;
	/* In the place of the one that has just ended: before others take it. */
	client->upstream = upstream_dial(destination, &answer_in_exchange, client);
	goes_on = client->upstream &&
		  upstream_send(client->upstream, client->replay.block.bytes, client->replay.length) == 0;
	send_again(behind, destination->stats);
	return goes_on;
}

static void lose(struct client *client, int error)
{
	if (can_replay(client)) {
		if (!replay(client)) {
			answer_finish(client, true);
			exchange_go(client);
		}
		return;
	}
	if (!error)
		protocol_feed_end(&client->state);
	end_connection(client, verdict_at_server_end(&client->state));
	if (client->stage == CLIENT_DRAINING) {
		client_end(client);
		return;
	}
	forget_exchange(client);
	answer_finish(client, error != 0);
	exchange_go(client);
}

static void ended(struct upstream *upstream, int error)
{
	lose(upstream->object, error);
}

/* The answer before has come, and then nothing: the server may have thrown away what it had read behind that. */
static bool is_overdue(const struct upstream *upstream, uint64_t now_ns)
{
	struct client *client = pipeline_head(upstream);

	return client && client->was_behind && upstream->conn->destination->pipelining == PIPELINING_UNTRIED &&
	       now_ns - upstream->head_since_ns > OVERDUE_NS && can_replay(client);
}

void answer_tick(void)
{
	uint64_t now_ns = relay_now_ns();
	struct upstream *upstream = NULL;

	while ((upstream = upstream_next_in_use(NULL, upstream)))
		if (is_overdue(upstream, now_ns))
			lose(upstream->object, ETIMEDOUT);
}

/* Bytes for the program. False: it has gone, and so has the client. */
static bool deliver(struct client *client, const char *bytes, size_t length)
{
	if (client->stage == CLIENT_DRAINING)
		return exchange_pass_over(client, length);
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

/* Takes what belongs to the next answer. How much that was; 0: the connection is none of its any more, and the rest
 * with it. */
static size_t take_answer(struct client *client, char *bytes, size_t length)
{
	const struct protocol *protocol = protocol_of(&client->state);
	struct framing_plan changes = {0};
	size_t shown_length;
	char *shown;

	client->upstream->was_heard = true;
	if (client->behind)
		length = protocol_feed_answer(&client->state, bytes, length, &changes);
	else
		protocol_feed_response(&client->state, NULL, bytes, length, &changes);
	plan_show_end(&changes, protocol, bytes);
	shown_length = length;
	shown = plan_insert_end(&changes, protocol, bytes, &shown_length);
	if (!deliver(client, shown, shown_length))
		return 0;
	answer_settle(client);
	if (client->stage != CLIENT_DRAINING)
		exchange_go(client);
	else if (!client->upstream)
		client_end(client);
	return length;
}

/* The bytes behind the answer to another's request are too much of that, or an error that may be about the place of
 * the request and not about what it asks. */
static bool is_refused(struct client *client, const char *bytes, size_t length)
{
	struct protocol_state scratch = client->state;
	struct framing_plan unused;
	struct protocol_status status;

	protocol_feed_answer(&scratch, bytes, length, &unused);
	status = protocol_status(&scratch);
	if (!status.is_lost && !pipeline_is_refusal(client->upstream->conn->destination, &status))
		return false;
	client->upstream->conn->destination->pipelining = PIPELINING_REFUSED;
	client->refused_status = status.is_lost ? 0 : status.answer_status;
	return true;
}

/* It is to be asked again: this is no answer. */
static bool is_no_answer(struct client *client, const char *bytes, size_t length)
{
	if (protocol_is_late_goodbye(&client->state, bytes, length))
		return can_replay(client);
	return client->was_behind && can_replay(client) && is_refused(client, bytes, length);
}

static void came(struct upstream *upstream, char *bytes, size_t length)
{
	/* The rest belongs to the next client, as long as the connection lives and somebody waits for it. */
	while (length && upstream->link.fd >= 0 && pipeline_head(upstream)) {
		struct client *client = pipeline_head(upstream);
		size_t taken;

		if (is_no_answer(client, bytes, length)) {
			lose(client, 0);
			return;
		}
		taken = take_answer(client, bytes, length);
		if (!taken)
			break;
		bytes += taken;
		length -= taken;
	}
}

static void drained(struct upstream *upstream)
{
	exchange_go(upstream->object);
}

const struct upstream_user answer_in_exchange = {
	.dialled = dialled, .came = came, .ended = ended, .drained = drained, .is_exchange = true};

static void tunnel_came(struct upstream *upstream, char *bytes, size_t length)
{
	(void)deliver(upstream->object, bytes, length);
}

static void end_tunnel(struct client *client, int error)
{
	end_connection(client, REFUSAL_NONE);
	answer_finish(client, error != 0);
	exchange_go(client);
}

void answer_end_tunnel(struct client *client)
{
	end_tunnel(client, 0);
}

static void tunnel_ended(struct upstream *upstream, int error)
{
	struct client *client = upstream->object;

	if (error)
		end_tunnel(client, error);
	else
		/* The other direction may go on. */
		exchange_go(client);
}

const struct upstream_user answer_in_tunnel = {
	.dialled = dialled, .came = tunnel_came, .ended = tunnel_ended, .drained = drained};

/* A server that speaks first speaks no HTTP. */
static void unused_came(struct upstream *upstream, char *bytes, size_t length)
{
	struct client *client = upstream->object;

	answer_tunnel_foreign(client, REFUSAL_UNKNOWN_PROTOCOL);
	(void)deliver(client, bytes, length);
}

static void unused_ended(struct upstream *upstream, int error)
{
	struct client *client = upstream->object;

	end_connection(client, REFUSAL_SERVER_CLOSE);
	answer_finish(client, error != 0);
	exchange_go(client);
}

const struct upstream_user answer_unused = {
	.dialled = dialled, .came = unused_came, .ended = unused_ended, .drained = drained};

static void unheard_dialled(struct upstream *upstream, int error)
{
	struct client *client = upstream->object;

	if (!error)
		return;
	client->upstream = NULL;
	client_end(client);
}

static void unheard_came(struct upstream *upstream, char *bytes, size_t length)
{
	(void)upstream;
	(void)bytes;
	(void)length;
}

/* The server's end of file is no reason not to send it what it may still read. */
static void unheard_ended(struct upstream *upstream, int error)
{
	if (error)
		client_end(upstream->object);
}

static void unheard_drained(struct upstream *upstream)
{
	exchange_go(upstream->object);
}

const struct upstream_user answer_unheard = {
	.dialled = unheard_dialled, .came = unheard_came, .ended = unheard_ended, .drained = unheard_drained};
