/* Events in time order: ends come out of a heap, beginnings out of the list. See replay.h. */
#include "tools/stats/replay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct replay {
	const struct stats_replay_use **running; /* a heap, the earliest end on top */
	size_t n_running;
	uint64_t *idle_since; /* a stack, the newest on top: so the oldest are all at the bottom */
	size_t bottom, top;
	uint64_t last_end_ns;
};

static uint64_t end_of(const struct stats_replay_use *use)
{
	return use->ended_ns > use->began_ns ? use->ended_ns : use->began_ns;
}

static void swap(const struct stats_replay_use **one, const struct stats_replay_use **other)
{
	const struct stats_replay_use *kept = *one;

	*one = *other;
	*other = kept;
}

static void push_running(struct replay *replay, const struct stats_replay_use *use)
{
	const struct stats_replay_use **heap = replay->running;
	size_t i = replay->n_running++;

	for (heap[i] = use; i && end_of(heap[i]) < end_of(heap[(i - 1) / 2]); i = (i - 1) / 2)
		swap(&heap[i], &heap[(i - 1) / 2]);
}

static const struct stats_replay_use *pop_running(struct replay *replay)
{
	const struct stats_replay_use **heap = replay->running, *first = heap[0];
	size_t i = 0, least;

	heap[0] = heap[--replay->n_running];
	while ((least = 2 * i + 1) < replay->n_running) {
		if (least + 1 < replay->n_running && end_of(heap[least + 1]) < end_of(heap[least]))
			least++;
		if (end_of(heap[i]) <= end_of(heap[least]))
			break;
		swap(&heap[i], &heap[least]);
		i = least;
	}
	return first;
}

/* Uses that have ended by now leave an idle connection, unless it was not reusable. */
static void end_uses(struct replay *replay, uint64_t now_ns)
{
	while (replay->n_running && end_of(replay->running[0]) <= now_ns) {
		const struct stats_replay_use *use = pop_running(replay);

		if (use->was_kept)
			replay->idle_since[replay->top++] = end_of(use);
	}
}

static void expire(struct replay *replay, uint64_t now_ns, uint64_t idle_timeout_ns)
{
	while (idle_timeout_ns && replay->bottom < replay->top &&
	       now_ns - replay->idle_since[replay->bottom] > idle_timeout_ns)
		replay->bottom++;
}

static void play(struct replay *replay, const struct stats_replay_use *use, uint64_t idle_timeout_ns,
		 struct stats_replay_result *result)
{
	size_t n_open;

	end_uses(replay, use->began_ns);
	expire(replay, use->began_ns, idle_timeout_ns);
	if (replay->bottom < replay->top)
		replay->top--;
	else
		result->n_dials++;
	push_running(replay, use);
	n_open = replay->n_running + replay->top - replay->bottom;
	if (n_open > result->pool_size)
		result->pool_size = n_open;
	if (end_of(use) > replay->last_end_ns)
		replay->last_end_ns = end_of(use);
}

int stats_replay(const struct stats_replay_use *uses, size_t n_uses, uint64_t idle_timeout_ns,
		 struct stats_replay_result *result)
{
	struct replay replay = {.running = calloc(n_uses + 1, sizeof(*replay.running)),
				.idle_since = calloc(n_uses + 1, sizeof(*replay.idle_since))};
	int error = replay.running && replay.idle_since ? 0 : -ENOMEM;

	memset(result, 0, sizeof(*result));
	for (size_t i = 0; !error && i < n_uses; i++)
		play(&replay, &uses[i], idle_timeout_ns, result);
	if (n_uses)
		result->span_ns = replay.last_end_ns - uses[0].began_ns;
	result->n_uses = n_uses;
	free(replay.running);
	free(replay.idle_since);
	return error;
}
