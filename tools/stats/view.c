/* Merging pages. See view.h. */
#include "tools/stats/view.h"

#include <stdlib.h>
#include <string.h>

#include <utlist.h>

#define IDENTITY_SIZE offsetof(struct stats_destination, active)

void stats_view_init(struct stats_view *view)
{
	memset(view, 0, sizeof(*view));
}

void stats_view_fini(struct stats_view *view)
{
	struct stats_view_destination *destination, *next_destination;
	struct stats_view_callsite *callsite, *next_callsite;
	struct stats_view_module *module, *next_module;
	struct stats_view_process *process;

	HASH_ITER(hh, view->destinations, destination, next_destination)
	{
		HASH_DEL(view->destinations, destination);
		free(destination);
	}
	HASH_ITER(hh, view->callsites, callsite, next_callsite)
	{
		HASH_DEL(view->callsites, callsite);
		free(callsite);
	}
	HASH_ITER(hh, view->modules, module, next_module)
	{
		HASH_DEL(view->modules, module);
		free(module);
	}
	while ((process = view->processes)) {
		view->processes = process->next;
		free(process);
	}
	free(view->intervals);
	memset(view, 0, sizeof(*view));
}

/* NULL: no memory, and the view is marked incomplete. An entry that is not in its table has no table (uthash.h). */
static void *keep_if_added(struct stats_view *view, void *entry, const UT_hash_handle *hh)
{
	if (hh->tbl)
		return entry;
	free(entry);
	view->is_incomplete = true;
	return NULL;
}

static void *take_memory(struct stats_view *view, size_t size)
{
	void *memory = calloc(1, size);

	if (!memory)
		view->is_incomplete = true;
	return memory;
}

static struct stats_view_destination *find_destination(struct stats_view *view, const struct stats_destination *from)
{
	struct stats_view_destination *found;

	HASH_FIND(hh, view->destinations, from, IDENTITY_SIZE, found);
	if (found)
		return found;
	found = take_memory(view, sizeof(*found));
	if (!found)
		return NULL;
	memcpy(&found->sum, from, IDENTITY_SIZE);
	HASH_ADD(hh, view->destinations, sum, IDENTITY_SIZE, found);
	return keep_if_added(view, found, &found->hh);
}

static struct stats_view_module *find_module(struct stats_view *view, const char *path, size_t length)
{
	struct stats_view_module *found;

	HASH_FIND(hh, view->modules, path, length, found);
	if (found)
		return found;
	found = take_memory(view, sizeof(*found) + length + 1);
	if (!found)
		return NULL;
	memcpy(found->path, path, length);
	HASH_ADD(hh, view->modules, path, length, found);
	return keep_if_added(view, found, &found->hh);
}

static struct stats_view_callsite *find_callsite(struct stats_view *view, const struct stats_view_callsite_key *key)
{
	struct stats_view_callsite *found;

	HASH_FIND(hh, view->callsites, key, sizeof(*key), found);
	if (found)
		return found;
	found = take_memory(view, sizeof(*found));
	if (!found)
		return NULL;
	found->key = *key;
	HASH_ADD(hh, view->callsites, key, sizeof(*key), found);
	return keep_if_added(view, found, &found->hh);
}

/* The page being added. */
struct addition {
	struct stats_view *view;
	const struct stats_page *page;
	enum stats_view_kind kind;
	struct stats_view_destination **destinations; /* of the view, by their index in the page; NULL: free */
	size_t n_used;
};

static struct stats_view_destination *destination_at(const struct addition *addition, uint32_t index)
{
	return index < addition->page->n_max[STATS_DESTINATIONS] ? addition->destinations[index] : NULL;
}

static bool is_counted(const struct stats_destination *entry)
{
	static const struct stats_counts none;

	return entry->active || entry->idle || memcmp(&entry->counts, &none, sizeof(none)) != 0;
}

/* A page may hold any value: overflow has to be harmless. */
static void add_gauge(int64_t *sum, int64_t gauge)
{
	*sum = (int64_t)((uint64_t)*sum + (uint64_t)gauge);
}

static void add_destinations(struct addition *addition)
{
	for (uint32_t i = 0; i < addition->page->n_max[STATS_DESTINATIONS]; i++) {
		const struct stats_destination *entry = stats_destination_at(addition->page, i);
		struct stats_view_destination *to;

		if (!stats_has(addition->page, STATS_DESTINATIONS, i) || !is_counted(entry))
			continue;
		to = find_destination(addition->view, entry);
		if (!to)
			continue;
		addition->destinations[i] = to;
		addition->n_used++;
		stats_add_counts(&to->sum.counts, &entry->counts);
		if (addition->kind != STATS_VIEW_LIVING)
			continue;
		add_gauge(&to->sum.active, entry->active);
		add_gauge(&to->sum.idle, entry->idle);
		to->n_living++;
	}
}

static void set_program(const struct addition *addition, char *program)
{
	memcpy(program, addition->page->program, STATS_NAME_MAX);
	program[STATS_NAME_MAX] = '\0';
	memset(program + strlen(program), 0, STATS_NAME_MAX - strlen(program));
}

static void set_frame(const struct addition *addition, const struct stats_callsite *from, uint32_t i,
		      struct stats_view_frame *frame)
{
	uint8_t index = from->module[i];
	const char *path;

	frame->offset = from->offset[i];
	if (index >= addition->page->n_max[STATS_MODULES] || !stats_has(addition->page, STATS_MODULES, index))
		return;
	path = stats_module_at(addition->page, index)->path;
	frame->module = find_module(addition->view, path, strnlen(path, STATS_PATH_MAX));
}

static void add_callsites(const struct addition *addition)
{
	for (uint32_t i = 0; i < addition->page->n_max[STATS_CALLSITES]; i++) {
		const struct stats_callsite *from = stats_callsite_at(addition->page, i);
		struct stats_view_callsite_key key = {0};
		struct stats_view_callsite *to;

		key.destination = destination_at(addition, from->destination);
		if (!stats_has(addition->page, STATS_CALLSITES, i) || !key.destination)
			continue;
		key.n_frames = from->n_frames < STATS_MAX_FRAMES ? from->n_frames : STATS_MAX_FRAMES;
		for (uint32_t frame = 0; frame < key.n_frames; frame++)
			set_frame(addition, from, frame, &key.frames[frame]);
		if (addition->kind != STATS_VIEW_TOTAL)
			set_program(addition, key.program);
		to = find_callsite(addition->view, &key);
		if (!to)
			continue;
		to->connects += from->connects;
		to->dialed += from->dialed;
	}
}

static bool make_room_for_intervals(struct stats_view *view, size_t n)
{
	size_t room = 2 * view->room_intervals + n;
	struct stats_view_interval *larger;

	if (view->n_intervals + n <= view->room_intervals)
		return true;
	larger = reallocarray(view->intervals, room, sizeof(*larger));
	if (!larger) {
		view->is_incomplete = true;
		return false;
	}
	view->intervals = larger;
	view->room_intervals = room;
	return true;
}

static void add_intervals(const struct addition *addition)
{
	struct stats_view *view = addition->view;
	uint32_t n_max = addition->page->n_max[STATS_INTERVALS];

	if (!make_room_for_intervals(view, n_max))
		return;
	for (uint32_t i = 0; i < n_max; i++) {
		const struct stats_interval *from = stats_interval_at(addition->page, i);
		const struct stats_view_destination *destination = destination_at(addition, from->destination);

		if (from->number && destination && from->ended_ns >= from->began_ns)
			view->intervals[view->n_intervals++] =
				(struct stats_view_interval){.destination = destination,
							     .began_ns = from->began_ns,
							     .ended_ns = from->ended_ns,
							     .was_kept = from->was_kept != 0};
	}
}

static void add_process(const struct addition *addition)
{
	const struct stats_page *page = addition->page;
	struct stats_view *view = addition->view;
	struct stats_view_process *process = NULL;

	if (!view->has_counts_only)
		process = take_memory(view, sizeof(*process) + addition->n_used * sizeof(process->uses[0]));
	if (!process)
		return;
	process->pid = page->pid;
	process->uid = page->euid;
	process->pid_namespace = page->pid_namespace;
	process->began_unix_ms = page->began_unix_ms;
	process->is_alive = addition->kind == STATS_VIEW_LIVING;
	process->is_observing = page->is_observing != 0;
	set_program(addition, process->program);
	for (uint32_t i = 0; i < page->n_max[STATS_DESTINATIONS]; i++) {
		const struct stats_destination *entry = stats_destination_at(page, i);

		if (addition->destinations[i])
			process->uses[process->n_uses++] =
				(struct stats_view_use){.destination = addition->destinations[i],
							.active = entry->active,
							.idle = entry->idle,
							.counts = entry->counts};
	}
	process->next = view->processes;
	view->processes = process;
}

void stats_view_add(struct stats_view *view, const struct stats_page *page, enum stats_view_kind kind)
{
	struct addition addition = {.view = view, .page = page, .kind = kind};

	addition.destinations =
		take_memory(view, page->n_max[STATS_DESTINATIONS] * sizeof(struct stats_view_destination *));
	if (!addition.destinations)
		return;
	add_destinations(&addition);
	if (!view->has_counts_only) {
		add_callsites(&addition);
		add_intervals(&addition);
	}
	switch (kind) {
	case STATS_VIEW_TOTAL:
		view->n_ended += page->n_ended;
		break;
	case STATS_VIEW_ENDED:
		view->n_ended++;
		add_process(&addition);
		break;
	case STATS_VIEW_LIVING:
		view->n_living++;
		add_process(&addition);
		break;
	}
	free(addition.destinations);
}

static int compare_numbers(uint64_t one, uint64_t other)
{
	return one > other ? 1 : one < other ? -1 : 0;
}

static int compare_destinations(const struct stats_view_destination *one, const struct stats_view_destination *other)
{
	int order = compare_numbers(other->sum.counts.counter[STATS_CONNECTS], one->sum.counts.counter[STATS_CONNECTS]);

	return order ? order : memcmp(&one->sum, &other->sum, IDENTITY_SIZE);
}

static uint64_t connects_of(const struct stats_view_process *process)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < process->n_uses; i++)
		sum += process->uses[i].counts.counter[STATS_CONNECTS];
	return sum;
}

static int compare_processes(const struct stats_view_process *one, const struct stats_view_process *other)
{
	int order = compare_numbers(connects_of(other), connects_of(one));

	return order ? order : compare_numbers(one->pid, other->pid);
}

static int compare_callsites(const struct stats_view_callsite *one, const struct stats_view_callsite *other)
{
	int order = compare_numbers(other->dialed, one->dialed);

	if (!order)
		order = compare_numbers(other->connects, one->connects);
	return order ? order : compare_numbers(one->key.frames[0].offset, other->key.frames[0].offset);
}

static int compare_intervals(const void *one, const void *other)
{
	const struct stats_view_interval *a = one, *b = other;

	return compare_numbers(a->began_ns, b->began_ns);
}

void stats_view_seal(struct stats_view *view)
{
	struct stats_view_destination *destination;

	memset(&view->totals, 0, sizeof(view->totals));
	HASH_SORT(view->destinations, compare_destinations);
	HASH_SORT(view->callsites, compare_callsites);
	LL_SORT(view->processes, compare_processes);
	if (view->n_intervals)
		qsort(view->intervals, view->n_intervals, sizeof(*view->intervals), compare_intervals);
	for (destination = view->destinations; destination; destination = destination->hh.next)
		stats_add_counts(&view->totals, &destination->sum.counts);
}

const struct stats_view_destination *stats_view_find(const struct stats_view *view,
						     const struct stats_destination *wanted)
{
	struct stats_view_destination *destination;

	for (destination = view->destinations; destination; destination = destination->hh.next) {
		struct stats_destination same = *wanted;

		if (!same.netns_cookie)
			same.netns_cookie = destination->sum.netns_cookie;
		if (stats_is_same_destination(&destination->sum, &same))
			return destination;
	}
	return NULL;
}
