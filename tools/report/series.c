/* See series.h. */
#include "tools/report/series.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

#include "tools/report/read.h"

#define MIN_SAMPLES 4

/* Walks along the samples in time. */
struct cursor {
	const char *needed;	     /* samples without this member are skipped; NULL: none */
	const cJSON *before, *after; /* the samples around the present time; NULL at the ends */
};

static const cJSON *next_of(const struct cursor *cursor, const cJSON *sample)
{
	while (sample && cursor->needed && report_number(sample, cursor->needed) <= 0)
		sample = sample->next;
	return sample;
}

static void move_to(struct cursor *cursor, double seconds)
{
	while (cursor->after && report_number(cursor->after, "seconds") < seconds) {
		cursor->before = cursor->after;
		cursor->after = next_of(cursor, cursor->after->next);
	}
}

/* The value at a time: interpolated between two samples. */
static double value_at(const struct cursor *cursor, const char *name, double seconds)
{
	double before = report_number(cursor->before, name), after = report_number(cursor->after, name);
	double from = report_number(cursor->before, "seconds"), to = report_number(cursor->after, "seconds");

	if (!cursor->after)
		return before;
	if (to <= from)
		return after;
	return before + (after - before) * (seconds - from) / (to - from);
}

static void set_rate(double *rate, double *counted, double now, double width_s)
{
	*rate = fmax(now - *counted, 0) / width_s;
	*counted = fmax(now, *counted);
}

static void fill(const struct cJSON *samples, struct report_series *series)
{
	struct cursor cursor = {.after = samples->child}, ports = {.needed = "ports_usable"};
	double width_s = series->seconds / (double)series->n;
	double dialed = 0, reused = 0, reusable = 0, failed = 0;

	ports.after = next_of(&ports, samples->child);
	for (size_t i = 0; i < series->n; i++) {
		double end_s = width_s * (double)(i + 1);

		move_to(&ports, end_s - width_s / 2);
		series->ports_used[i] = value_at(&ports, "ports_used", end_s - width_s / 2);
		move_to(&cursor, end_s);
		set_rate(&series->dialed[i], &dialed, value_at(&cursor, "dialed", end_s), width_s);
		set_rate(&series->reused[i], &reused, value_at(&cursor, "reused", end_s), width_s);
		set_rate(&series->reusable[i], &reusable, value_at(&cursor, "reusable", end_s), width_s);
		set_rate(&series->failed[i], &failed, value_at(&cursor, "dial_failures", end_s), width_s);
	}
}

void report_make_series(const struct cJSON *root, struct report_series *series)
{
	const cJSON *samples = report_items(root, "samples"), *sample, *last = NULL;
	size_t n = 0;

	memset(series, 0, sizeof(*series));
	cJSON_ArrayForEach(sample, samples)
	{
		last = sample;
		n++;
		series->ports_usable = fmax(series->ports_usable, report_number(sample, "ports_usable"));
	}
	series->seconds = report_number(last, "seconds");
	if (n < MIN_SAMPLES || series->seconds <= 0)
		return;
	series->n = n < REPORT_SERIES_MAX ? n : REPORT_SERIES_MAX;
	fill(samples, series);
}
