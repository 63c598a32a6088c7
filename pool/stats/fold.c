/* Adding pages up: an ended process's page into a total. See stats.h. */
#include "pool/stats/stats.h"

#include <string.h>

void stats_add_counts(struct stats_counts *to, const struct stats_counts *from)
{
	uint64_t *sums = (uint64_t *)to;
	const uint64_t *numbers = (const uint64_t *)from;

	for (size_t i = 0; i < sizeof(*to) / sizeof(*sums); i++)
		if (numbers[i])
			stats_add(&sums[i], numbers[i]);
}

void stats_sum(const struct stats_page *page, struct stats_counts *sum)
{
	memset(sum, 0, sizeof(*sum));
	for (uint32_t i = 0; i < page->n_max[STATS_DESTINATIONS]; i++)
		if (stats_has(page, STATS_DESTINATIONS, i))
			stats_add_counts(sum, &stats_destination_at(page, i)->counts);
}

/* Where a page's destinations are in the total: each is looked up once. A page with more destinations than ours can
 * have was written by another version. */
#define PLACES 512

#define UNSEEN UINT32_MAX /* all of its bits are set */

struct folding {
	struct stats_page *total;
	const struct stats_page *page;
	bool is_own;		 /* the total belongs to the same process, which goes on there */
	uint32_t places[PLACES]; /* 0: destinations without an entry; UNSEEN: claimed after the look-up */
};

static void find_places(struct folding *folding)
{
	const struct stats_page *page = folding->page;
	uint32_t n = page->n_max[STATS_DESTINATIONS];

	memset(folding->places, 0xff, sizeof(folding->places));
	for (uint32_t i = 0; i < n && i < PLACES; i++)
		if (stats_has(page, STATS_DESTINATIONS, i))
			folding->places[i] = stats_index_of(
				folding->total, stats_find_same(folding->total, stats_destination_at(page, i)));
}

static bool is_seen(const struct folding *folding, uint32_t index)
{
	return index >= PLACES || folding->places[index] != UNSEEN;
}

static uint32_t place_of(const struct folding *folding, uint32_t index)
{
	return index < PLACES && folding->places[index] != UNSEEN ? folding->places[index] : 0;
}

static uint8_t fold_module(const struct folding *folding, uint8_t index)
{
	const struct stats_page *page = folding->page;
	const struct stats_module *from;

	if (index >= page->n_max[STATS_MODULES] || !stats_has(page, STATS_MODULES, index))
		return STATS_NO_MODULE;
	from = stats_module_at(page, index);
	return stats_find_module(folding->total, from->path, folding->is_own ? from->load_address : 0);
}

static struct stats_callsite *find_same_callsite(const struct folding *folding, const struct stats_callsite *from)
{
	/* Without the counts, which others may add to just now. */
	struct stats_callsite wanted = {.n_frames = from->n_frames};

	memcpy(wanted.offset, from->offset, sizeof(wanted.offset));
	memcpy(wanted.module, from->module, sizeof(wanted.module));
	wanted.destination = place_of(folding, from->destination);
	for (uint32_t i = 0; i < STATS_MAX_FRAMES; i++)
		if (i < from->n_frames)
			wanted.module[i] = fold_module(folding, from->module[i]);
	return stats_find_callsite(folding->total, &wanted);
}

static uint64_t take(uint64_t *number)
{
	return __atomic_exchange_n(number, 0, __ATOMIC_RELAXED);
}

static void fold_callsite(const struct folding *folding, struct stats_callsite *from)
{
	struct stats_callsite *to = find_same_callsite(folding, from);

	if (!to)
		return;
	stats_add(&to->connects, take(&from->connects));
	stats_add(&to->dialed, take(&from->dialed));
}

/* Copies an interval; false for one that is free, or that another thread is writing. */
static bool read_interval(const struct stats_interval *from, struct stats_interval *copy)
{
	copy->number = __atomic_load_n(&from->number, __ATOMIC_ACQUIRE);
	copy->began_ns = __atomic_load_n(&from->began_ns, __ATOMIC_RELAXED);
	copy->ended_ns = __atomic_load_n(&from->ended_ns, __ATOMIC_RELAXED);
	copy->destination = __atomic_load_n(&from->destination, __ATOMIC_RELAXED);
	copy->was_kept = __atomic_load_n(&from->was_kept, __ATOMIC_RELAXED);
	return copy->number && __atomic_load_n(&from->number, __ATOMIC_ACQUIRE) == copy->number;
}

static void fold_intervals(const struct folding *folding, uint64_t n)
{
	const struct stats_page *page = folding->page;
	uint64_t n_max = page->n_max[STATS_INTERVALS];
	struct stats_interval interval;

	for (uint64_t number = n > n_max ? n - n_max : 0; number < n; number++)
		if (read_interval(stats_interval_at(page, (uint32_t)(number % n_max)), &interval))
			stats_add_interval(
				folding->total,
				stats_destination_at(folding->total, place_of(folding, interval.destination)),
				interval.began_ns, interval.ended_ns, interval.was_kept);
}

/* Each number is moved by itself: a count that is added meanwhile ends up in one page or the other, and one who is
 * killed amid this leaves the rest to be added, and nothing to be added again. */
static void move_counts(struct stats_counts *to, struct stats_counts *from)
{
	uint64_t *sums = (uint64_t *)to, *numbers = (uint64_t *)from;

	for (size_t i = 0; i < sizeof(*to) / sizeof(*sums); i++)
		if (__atomic_load_n(&numbers[i], __ATOMIC_RELAXED))
			stats_add(&sums[i], take(&numbers[i]));
}

static void move_gauges(struct stats_destination *to, struct stats_destination *from)
{
	stats_gauge(&to->active, __atomic_exchange_n(&from->active, 0, __ATOMIC_RELAXED));
	stats_gauge(&to->idle, __atomic_exchange_n(&from->idle, 0, __ATOMIC_RELAXED));
}

static void fold_destination(const struct folding *folding, uint32_t index)
{
	struct stats_destination *from = stats_destination_at(folding->page, index);
	struct stats_destination *to = stats_destination_at(folding->total, place_of(folding, index));

	move_counts(&to->counts, &from->counts);
	if (folding->is_own)
		move_gauges(to, from);
}

static void fold_all(struct folding *folding)
{
	const struct stats_page *page = folding->page;

	find_places(folding);
	for (uint32_t i = 0; i < page->n_max[STATS_DESTINATIONS]; i++)
		if (stats_has(page, STATS_DESTINATIONS, i) && is_seen(folding, i))
			fold_destination(folding, i);
	for (uint32_t i = 0; i < page->n_max[STATS_CALLSITES]; i++)
		if (stats_has(page, STATS_CALLSITES, i) && is_seen(folding, stats_callsite_at(page, i)->destination))
			fold_callsite(folding, stats_callsite_at(page, i));
}

void stats_fold(struct stats_page *total, struct stats_page *page)
{
	struct folding folding = {.total = total, .page = page};

	fold_all(&folding);
	fold_intervals(&folding, take(&page->n_intervals));
	stats_add(&total->n_ended, page->pid ? 1 : take(&page->n_ended));
	__atomic_store_n(&page->pid, 0, __ATOMIC_SEQ_CST);
}

void stats_move(struct stats_page *to, struct stats_page *from)
{
	struct folding folding = {.total = to, .page = from, .is_own = true};

	fold_all(&folding);
	fold_intervals(&folding, take(&from->n_intervals));
}

struct stats_callsite *stats_find_moved(struct stats_page *to, const struct stats_page *from,
					const struct stats_callsite *callsite)
{
	struct folding folding = {.total = to, .page = from, .is_own = true};

	find_places(&folding);
	return find_same_callsite(&folding, callsite);
}
