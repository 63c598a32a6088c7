/* See pipeline.h. */
#include "tools/relay/pipeline.h"

#include <stddef.h>

#include "pool/base/clock.h"
#include "pool/exchange/plan.h"
#include "tools/relay/client.h"
#include "tools/relay/core.h"
#include "tools/relay/upstream.h"

/* Nobody is put behind an answer that is awaited for longer: it may be a long poll. */
#define HEAD_MAX_NS (500 * MILLISECOND_NS)

struct client *pipeline_head(const struct upstream *upstream)
{
	return upstream->user && upstream->user->is_exchange ? upstream->object : NULL;
}

/* One request, whole, that may be sent again. */
static bool is_fit(const struct client *client)
{
	struct protocol_state scratch;

	if (client->was_replayed || client->needs == CLIENT_NEEDS_FRESH || client->in.length > PLAN_ROOM_MAX)
		return false;
	protocol_begin(&scratch, true);
	protocol_feed_request(&scratch, NULL, queue_bytes(&client->in), client->in.length, NULL);
	return protocol_status(&scratch).n_requests == 1 && protocol_status(&scratch).takes_more;
}

/* All that is on its way there lets something come behind it. */
static bool takes_more(const struct upstream *upstream, uint64_t now_ns)
{
	const struct client *client = pipeline_head(upstream);
	const struct destination *destination = upstream->conn->destination;
	bool is_proven = destination->pipelining == PIPELINING_PROVEN;
	/* A server that doesn't know how is found out by one request. If it throws that away, the answer to one behind
	 * would be taken for that one's. */
	uint32_t limit = is_proven ? destination->policy->pipeline : 2;

	if (!client || (!is_proven && client->was_behind) || upstream->is_dialling || !upstream->is_leased ||
	    upstream->has_ended || upstream->was_asked || upstream->unfit != REFUSAL_NONE ||
	    upstream->n_behind + 1 >= limit || now_ns - upstream->head_since_ns > HEAD_MAX_NS ||
	    idle_pool_is_used_up(upstream->conn, upstream->n_behind + 1, now_ns))
		return false;
	for (; client; client = client->behind)
		if (client->in.length || !client->replay.is_complete || !protocol_status(&client->state).takes_more)
			return false;
	return true;
}

bool pipeline_is_allowed(const struct destination *destination)
{
	return destination->policy->pipeline > 1 && destination->pipelining != PIPELINING_REFUSED;
}

struct upstream *pipeline_find(const struct destination *destination, const struct client *client)
{
	struct upstream *best = NULL, *upstream = NULL;
	uint64_t now_ns = relay_now_ns();

	if (!pipeline_is_allowed(destination) || !is_fit(client))
		return NULL;
	while ((upstream = upstream_next_in_use(destination, upstream)))
		if (takes_more(upstream, now_ns) && (!best || upstream->n_behind < best->n_behind))
			best = upstream;
	return best;
}

bool pipeline_is_refusal(const struct destination *destination, const struct protocol_status *status)
{
	return destination->pipelining == PIPELINING_PROVEN ? status->answer_status == HTTP_STATUS_BAD_REQUEST
							    : status->answer_status >= HTTP_STATUS_BAD_REQUEST;
}

void pipeline_note_answer(struct destination *destination, const struct protocol_status *status)
{
	bool is_well = status->at_boundary && !status->server_ends && !pipeline_is_refusal(destination, status);

	if (destination->pipelining == PIPELINING_UNTRIED)
		destination->pipelining = is_well ? PIPELINING_PROVEN : PIPELINING_REFUSED;
}

void pipeline_note_failure(struct destination *destination)
{
	destination->pipelining =
		destination->pipelining == PIPELINING_PROVEN ? PIPELINING_UNTRIED : PIPELINING_REFUSED;
}

void pipeline_join(struct upstream *upstream, struct client *client)
{
	struct client *last = pipeline_head(upstream);

	while (last->behind)
		last = last->behind;
	last->behind = client;
	client->is_behind = client->was_behind = true;
	client->upstream = upstream;
	upstream->n_behind++;
}
