/* See attribution.h. */
#include "tools/ports/attribution.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "pool/base/clock.h"
#include "tools/base/clock.h"
#include "tools/base/text.h"
#include "tools/stats/symbolize.h"

#define IDLE_TIMEOUT_NS (60 * SECOND_NS) /* default of HOLDLINE_IDLE_CONN_TIMEOUT */
#define TIME_WAIT_NS (60 * SECOND_NS)	 /* Linux: TCP_TIMEWAIT_LEN */
#define SHORTEST_RING 256		 /* STATS_PAGE_ROOM: with fewer uses in all, none has been forgotten */

/* A program may name an IPv4 destination by an IPv4 address or by a mapped IPv6 address. */
static const struct stats_view_destination *find_destination(const struct stats_view *view, const struct ports_key *key,
							     uint64_t netns_cookie)
{
	struct stats_destination wanted = {.netns_cookie = netns_cookie,
					   .family = AF_INET6,
					   .scope_id = key->interface,
					   .port = htons((uint16_t)key->port)};
	const struct stats_view_destination *found;

	memcpy(wanted.address, &key->destination, sizeof(wanted.address));
	found = stats_view_find(view, &wanted);
	if (!IN6_IS_ADDR_V4MAPPED(&key->destination))
		return found;
	wanted.family = AF_INET;
	memset(wanted.address, 0, sizeof(wanted.address));
	memcpy(wanted.address, key->destination.s6_addr + 12, 4);
	if (found && !stats_view_find(view, &wanted))
		return found;
	return stats_view_find(view, &wanted);
}

static void set_counts(struct attribution *counted, const struct stats_counts *counts)
{
	counted->is_there = true;
	counted->n_connects = counts->counter[STATS_CONNECTS];
	counted->n_dialed = counts->counter[STATS_DIALED];
	counted->n_reused = counts->counter[STATS_REUSED];
	counted->n_reusable = counts->counter[STATS_PARKED] + counts->counter[STATS_REUSABLE];
	for (unsigned i = REFUSAL_NONE + 1; i < REFUSAL_COUNT; i++) {
		if (counts->refused[i] <= counted->n_top_refused)
			continue;
		counted->n_top_refused = counts->refused[i];
		counted->top_refusal = (enum refusal)i;
	}
}

static void put_process(struct attribution *counted, const struct stats_view_process *process, uint64_t n_dialed)
{
	size_t at = counted->n_processes;

	while (at > 0 && counted->processes[at - 1].n_dialed < n_dialed)
		at--;
	if (at == COUNTED_MAX_PROCESSES)
		return;
	counted->n_processes += counted->n_processes < COUNTED_MAX_PROCESSES;
	for (size_t i = counted->n_processes - 1; i > at; i--)
		counted->processes[i] = counted->processes[i - 1];
	counted->processes[at] =
		(struct counted_process){.pid = (pid_t)process->pid, .uid = process->uid, .n_dialed = n_dialed};
	memcpy(counted->processes[at].program, process->program, sizeof(process->program));
	text_make_printable(counted->processes[at].program);
}

static void find_processes(struct attribution *counted, const struct stats_view *view,
			   const struct stats_view_destination *destination)
{
	for (const struct stats_view_process *process = view->processes; process; process = process->next)
		for (size_t i = 0; process->is_alive && i < process->n_uses; i++)
			if (process->uses[i].destination == destination &&
			    process->uses[i].counts.counter[STATS_DIALED])
				put_process(counted, process, process->uses[i].counts.counter[STATS_DIALED]);
	counted->n_dialed_by_others = counted->n_dialed;
	for (size_t i = 0; i < counted->n_processes; i++) {
		uint64_t n = counted->processes[i].n_dialed;

		counted->n_dialed_by_others -= n < counted->n_dialed_by_others ? n : counted->n_dialed_by_others;
	}
}

static void name_place(const struct stats_view_frame *frame, struct symbolizer *symbolizer,
		       char text[COUNTED_PLACE_MAX])
{
	struct symbolize_place place = {NULL, NULL, 0};
	unsigned long long offset = frame->offset;

	if (frame->module && symbolizer)
		symbolize(symbolizer, frame->module->path, frame->offset, &place);
	if (place.file)
		snprintf(text, COUNTED_PLACE_MAX, "%.60s (%.60s:%d)", place.function ? place.function : "?",
			 text_base_name(place.file), place.line);
	else if (place.function)
		snprintf(text, COUNTED_PLACE_MAX, "%.60s in %.60s", place.function,
			 text_base_name(frame->module->path));
	else
		snprintf(text, COUNTED_PLACE_MAX, "%.100s+%#llx",
			 frame->module ? text_base_name(frame->module->path) : "", offset);
	text_make_printable(text);
}

/* The view has the call sites with most dials first. */
static void find_places(struct attribution *counted, const struct stats_view *view,
			const struct stats_view_destination *destination, struct symbolizer *symbolizer)
{
	for (const struct stats_view_callsite *site = view->callsites; site; site = site->hh.next) {
		struct counted_place *place;

		if (site->key.destination != destination || site->key.n_frames == 0 || site->dialed == 0)
			continue;
		if (counted->n_places == COUNTED_MAX_PLACES)
			break;
		place = &counted->places[counted->n_places++];
		place->n_dialed = site->dialed;
		memcpy(place->program, site->key.program, sizeof(place->program));
		text_make_printable(place->program);
		name_place(&site->key.frames[0], symbolizer, place->text);
	}
}

/* Without memory there is no replay. */
static void replay(struct attribution *counted, const struct stats_view *view,
		   const struct stats_view_destination *destination)
{
	struct stats_replay_use *uses = calloc(view->n_intervals + 1, sizeof(*uses));
	size_t n = 0;

	for (size_t i = 0; uses && i < view->n_intervals; i++) {
		const struct stats_view_interval *interval = &view->intervals[i];

		if (interval->destination == destination)
			uses[n++] =
				(struct stats_replay_use){interval->began_ns, interval->ended_ns, interval->was_kept};
	}
	if (!uses || stats_replay(uses, n, IDLE_TIMEOUT_NS, &counted->replay) != 0)
		memset(&counted->replay, 0, sizeof(counted->replay));
	free(uses);
}

/* The uses that ended so lately that the kernel can still have them in TIME_WAIT. If all that are recorded are so new,
 * others may have been forgotten. */
static uint64_t count_late(const struct stats_view *view, const struct stats_view_destination *destination,
			   uint64_t now_ns)
{
	bool has_old = view->n_intervals < SHORTEST_RING;
	uint64_t n = 0;

	for (size_t i = 0; i < view->n_intervals; i++) {
		const struct stats_view_interval *interval = &view->intervals[i];
		bool is_late = interval->ended_ns + TIME_WAIT_NS > now_ns;

		has_old |= !is_late;
		n += is_late && interval->destination == destination;
	}
	return has_old ? n : UINT64_MAX;
}

void attribution_find(const struct stats_view *view, const struct ports_key *key, uint64_t netns_cookie,
		      struct symbolizer *symbolizer, struct attribution *counted)
{
	const struct stats_view_destination *destination = find_destination(view, key, netns_cookie);

	memset(counted, 0, sizeof(*counted));
	if (!destination)
		return;
	counted->n_late = count_late(view, destination, clock_now_ns(CLOCK_MONOTONIC));
	/* Those who dial there now are others. */
	if (!counted->n_late && destination->sum.active <= 0)
		return;
	set_counts(counted, &destination->sum.counts);
	find_processes(counted, view, destination);
	find_places(counted, view, destination, symbolizer);
	replay(counted, view, destination);
}

unsigned attribution_explains(const struct attribution *counted, const struct ports_tuple *tuple)
{
	uint64_t n = counted->n_dialed < counted->n_late ? counted->n_dialed : counted->n_late;

	return n < tuple->n_time_wait ? (unsigned)n : tuple->n_time_wait;
}
