/* holdline top, the rows: from a sample of the kernel's sockets and from the programs' pages. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pool/base/clock.h"
#include "tools/ports/owners.h"
#include "tools/stats/read.h"
#include "tools/top/top.h"
#include "tools/ports/netns.h"

#define MAX_SHARES 8

static int compare_keys(const void *a, const void *b)
{
	return memcmp(&((const struct top_row *)a)->key, &((const struct top_row *)b)->key, sizeof(struct ports_key));
}

/* The table is sorted by keys. */
static const struct top_row *find_row(const struct top_table *table, const struct ports_key *key)
{
	const struct top_row wanted = {.key = *key};

	return table && table->n_rows ? bsearch(&wanted, table->rows, table->n_rows, sizeof(wanted), compare_keys)
				      : NULL;
}

/* The process that dials most, or else the one with most connections, and how many more there are. */
static void name_process(const struct ports_tuple *tuple, const struct attribution *counted, struct top_row *row)
{
	struct owners_share shares[MAX_SHARES];
	char name[OWNERS_NAME_MAX];
	size_t n;

	if (counted->n_processes) {
		snprintf(row->process, sizeof(row->process), "%d %s", (int)counted->processes[0].pid,
			 counted->processes[0].program);
		return;
	}
	n = owners_share(tuple, shares, MAX_SHARES);
	if (n && shares[0].ended[0])
		snprintf(row->process, sizeof(row->process), "- %.20s", shares[0].ended);
	if (n == 0 || shares[0].pid == 0)
		return;
	owners_name(shares[0].pid, name);
	snprintf(row->process, sizeof(row->process), n > 1 ? "%d %.20s +%zu" : "%d %.20s", (int)shares[0].pid, name,
		 n - 1);
}

static double reuse_since(const struct attribution *counted, const struct top_row *last, uint64_t n_used)
{
	uint64_t connects = counted->n_connects, reused = counted->n_reused;

	/* Others dial there, without Holdline: what it did before is not about them. */
	if (last && connects == last->n_connects && n_used > last->n_used)
		return -1;
	/* If there were no connects meanwhile, the ratio of all so far is the better answer. */
	if (last && connects > last->n_connects && reused >= last->n_reused) {
		connects -= last->n_connects;
		reused -= last->n_reused;
	}
	return connects ? fmin((double)reused / (double)connects, 1) : -1;
}

struct look {
	struct ports_sample *sample;
	const struct top_table *last;
	struct stats_view counts;
	struct symbolizer *symbolizer;
	uint64_t netns_cookie;
	struct ports_pace pace;
};

static void add_row(struct look *look, const struct ports_tuple *tuple, struct top_table *table)
{
	struct top_row *row = &table->rows[table->n_rows++];
	struct ports_forecast forecast;
	struct attribution counted;

	row->key = tuple->key;
	address_write(&tuple->key.source, tuple->key.interface, row->source);
	address_write_port(&tuple->key.destination, tuple->key.interface, tuple->key.port, row->destination);
	row->n_used = ports_tuple_used(tuple);
	row->n_established = tuple->n_established;
	row->n_time_wait = tuple->n_time_wait;
	row->used_ratio = look->sample->n_usable ? (double)row->n_used / look->sample->n_usable : 1;
	ports_forecast_make(look->sample, tuple, look->pace.seconds > 0 ? &look->pace : NULL, &forecast);
	row->dials = forecast.dials;
	row->exhaustion_s = forecast.exhaustion_s;
	attribution_find(&look->counts, &tuple->key, look->netns_cookie, look->symbolizer, &counted);
	row->n_connects = counted.n_connects;
	row->n_reused = counted.n_reused;
	row->reuse_ratio = reuse_since(&counted, find_row(look->last, &tuple->key), row->n_used);
	name_process(tuple, &counted, row);
	if (counted.n_places)
		memcpy(row->place, counted.places[0].text, sizeof(row->place));
	table->n_established += row->n_established;
	table->n_time_wait += row->n_time_wait;
}

static int make_table(struct look *look, struct top_table *table)
{
	*table = (struct top_table){.first_port = look->sample->settings.first,
				    .last_port = look->sample->settings.last,
				    .n_usable = look->sample->n_usable,
				    .dials = -1};
	if (look->pace.seconds > 0)
		table->dials = (double)look->pace.n_dials / look->pace.seconds;
	table->rows = calloc(HASH_COUNT(look->sample->tuples) + 1, sizeof(table->rows[0]));
	if (!table->rows)
		return -ENOMEM;
	for (const struct ports_tuple *tuple = look->sample->tuples; tuple; tuple = tuple->hh.next)
		add_row(look, tuple, table);
	return 0;
}

void top_fini(struct top_table *table)
{
	free(table->rows);
	memset(table, 0, sizeof(*table));
}

int top_rows(struct ports_sample *sample, const struct ports_sample *before, struct top_table *last,
	     struct symbolizer *symbolizer, struct top_table *table)
{
	struct look look = {.sample = sample, .last = last, .symbolizer = symbolizer};
	int error = ports_kernel_sample(sample, before);

	memset(table, 0, sizeof(*table));
	if (error)
		return error;
	error = owners_find(sample);
	if (error) {
		ports_sample_fini(sample);
		return error;
	}
	if (before)
		look.pace = (struct ports_pace){.seconds = (double)(sample->taken_ns - before->taken_ns) / SECOND_NS,
						.n_dials = sample->n_dials - before->n_dials};
	look.netns_cookie = netns_own_cookie();
	/* Without pages there are simply no counts. */
	if (stats_read(&look.counts, NULL) != 0)
		look.counts.n_folders = 0;
	if (last && last->n_rows)
		qsort(last->rows, last->n_rows, sizeof(last->rows[0]), compare_keys);
	error = make_table(&look, table);
	stats_view_fini(&look.counts);
	if (error)
		ports_sample_fini(sample);
	return error;
}

static int descend(double a, double b)
{
	return (a < b) - (a > b);
}

static int compare_by(enum top_order order, const struct top_row *a, const struct top_row *b)
{
	switch (order) {
	case TOP_BY_USE:
		return descend(a->n_used, b->n_used);
	case TOP_BY_DIALS:
		return descend(a->dials, b->dials);
	case TOP_BY_REUSE:
		return descend(a->reuse_ratio, b->reuse_ratio);
	case TOP_BY_TIME_WAIT:
		return descend(a->n_time_wait, b->n_time_wait);
	case TOP_BY_END:
		return descend(b->exhaustion_s, a->exhaustion_s);
	case TOP_BY_NAME:
		break;
	}
	return strcmp(a->destination, b->destination);
}

static int compare_rows(const void *a, const void *b, void *context)
{
	int result = compare_by(*(const enum top_order *)context, a, b);

	/* Equal rows would change places at every look. */
	if (result == 0)
		result = compare_by(TOP_BY_USE, a, b);
	if (result == 0)
		result = compare_by(TOP_BY_NAME, a, b);
	return result ? result : strcmp(((const struct top_row *)a)->source, ((const struct top_row *)b)->source);
}

void top_sort(struct top_table *table, enum top_order order)
{
	if (table->n_rows)
		qsort_r(table->rows, table->n_rows, sizeof(table->rows[0]), compare_rows, &order);
}

const char *top_order_name(enum top_order order)
{
	switch (order) {
	case TOP_BY_USE:
		return "use";
	case TOP_BY_DIALS:
		return "dials";
	case TOP_BY_REUSE:
		return "reuse";
	case TOP_BY_TIME_WAIT:
		return "time-wait";
	case TOP_BY_END:
		return "end";
	case TOP_BY_NAME:
		return "name";
	}
	return "?";
}
