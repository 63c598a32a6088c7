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

	if (client->was_replayed || !client->may_lease || client->in.length > PLAN_ROOM_MAX)
		return false;
	protocol_begin(&scratch, true);
	protocol_feed_request(&scratch, NULL, queue_bytes(&client->in), client->in.length, NULL);
	return protocol_status(&scratch).n_requests == 1 && protocol_status(&scratch).takes_more;
}

/* All that is on its way there lets something come behind it. */
static bool takes_more(const struct upstream *upstream, uint64_t now_ns)
{
	const struct client *client = pipeline_head(upstream);
	uint32_t limit = upstream->conn->destination->policy->pipeline;

	if (!client || upstream->is_dialling || !upstream->is_leased || upstream->has_ended || upstream->was_asked ||
	    upstream->unfit != REFUSAL_NONE || upstream->n_behind + 1 >= limit ||
	    now_ns - upstream->head_since_ns > HEAD_MAX_NS)
		return false;
	for (; client; client = client->behind)
		if (client->in.length || !client->replay.is_complete || !protocol_status(&client->state).takes_more)
			return false;
	return true;
}

struct upstream *pipeline_find(const struct destination *destination, const struct client *client)
{
	struct upstream *best = NULL, *upstream = NULL;
	uint64_t now_ns = relay_now_ns();

	if (destination->policy->pipeline < 2 || destination->is_not_pipelined || !is_fit(client))
		return NULL;
	while ((upstream = upstream_next_in_use(destination, upstream)))
		if (takes_more(upstream, now_ns) && (!best || upstream->n_behind < best->n_behind))
			best = upstream;
	return best;
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
