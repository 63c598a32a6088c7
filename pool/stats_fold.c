/* Adding pages up: a process's into a total, when it has ended. See stats.h. */
#include "pool/stats.h"

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

/* Where destination `index` of the page is in the total. */
static uint32_t fold_index(struct stats_page *total, const struct stats_page *page, uint32_t index)
{
	if (index >= page->n_max[STATS_DESTINATIONS] || !stats_has(page, STATS_DESTINATIONS, index))
		return 0;
	return stats_index_of(total, stats_find_same(total, stats_destination_at(page, index)));
}

static uint8_t fold_module(struct stats_page *total, const struct stats_page *page, uint8_t index)
{
	if (index >= page->n_max[STATS_MODULES] || !stats_has(page, STATS_MODULES, index))
		return STATS_NO_MODULE;
	return stats_find_module(total, stats_module_at(page, index)->path, 0);
}

static void fold_callsite(struct stats_page *total, const struct stats_page *page, const struct stats_callsite *from)
{
	struct stats_callsite wanted = *from, *to;

	wanted.destination = fold_index(total, page, from->destination);
	for (uint32_t i = 0; i < STATS_MAX_FRAMES; i++)
		if (i < from->n_frames)
			wanted.module[i] = fold_module(total, page, from->module[i]);
	to = stats_find_callsite(total, &wanted);
	if (!to)
		return;
	stats_add(&to->connects, from->connects);
	stats_add(&to->dialed, from->dialed);
}

static void fold_intervals(struct stats_page *total, const struct stats_page *page)
{
	uint64_t n = page->n_intervals, n_max = page->n_max[STATS_INTERVALS];

	for (uint64_t number = n > n_max ? n - n_max : 0; number < n; number++) {
		const struct stats_interval *from = stats_interval_at(page, (uint32_t)(number % n_max));

		if (from->number)
			stats_add_interval(total,
					   stats_destination_at(total, fold_index(total, page, from->destination)),
					   from->began_ns, from->ended_ns, from->was_kept);
	}
}

void stats_fold(struct stats_page *total, const struct stats_page *page)
{
	for (uint32_t i = 0; i < page->n_max[STATS_DESTINATIONS]; i++)
		if (stats_has(page, STATS_DESTINATIONS, i))
			stats_add_counts(&stats_destination_at(total, fold_index(total, page, i))->counts,
					 &stats_destination_at(page, i)->counts);
	for (uint32_t i = 0; i < page->n_max[STATS_CALLSITES]; i++)
		if (stats_has(page, STATS_CALLSITES, i))
			fold_callsite(total, page, stats_callsite_at(page, i));
	fold_intervals(total, page);
	total->n_ended += page->pid ? 1 : page->n_ended;
}
