/* The counters, as metrics. See metrics.h. */
#include "tools/metrics/metrics.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "pool/base/clock.h"
#include "tools/stats/counts.h"
#include "tools/stats/view.h"

void metrics_write_head(FILE *stream, enum metrics_format format, const char *name, const char *type, const char *help)
{
	/* In the older format the family's name includes the suffix. */
	const char *suffix = format == METRICS_TEXT && strcmp(type, "counter") == 0 ? "_total" : "";

	fprintf(stream, "# HELP %s%s %s\n# TYPE %s%s %s\n", name, suffix, help, name, suffix, type);
}

void metrics_write_label(FILE *stream, const char *value)
{
	fputc('"', stream);
	for (; *value; value++) {
		if (*value == '\n')
			fputs("\\n", stream);
		else if (*value == '"' || *value == '\\')
			fprintf(stream, "\\%c", *value);
		else
			fputc(*value, stream);
	}
	fputc('"', stream);
}

/* Destinations of one name (every namespace has its own 127.0.0.1), or all destinations without a name. */
struct group {
	char name[STATS_COUNTS_NAME_MAX];
	struct stats_counts counts;
	int64_t active, idle;
};

struct groups {
	FILE *stream;
	enum metrics_format format;
	size_t n; /* the first line is "other" */
	struct group *groups;
};

static struct group *find_group(struct groups *groups, const char *name, size_t n_max)
{
	for (size_t i = 1; i < groups->n; i++)
		if (strcmp(groups->groups[i].name, name) == 0)
			return &groups->groups[i];
	if (groups->n > n_max)
		return &groups->groups[0];
	strcpy(groups->groups[groups->n].name, name);
	return &groups->groups[groups->n++];
}

static bool is_named(const struct metrics_names *names, const struct stats_destination *destination)
{
	for (size_t i = 0; i < names->n; i++)
		if (stats_is_same_destination(&names->named[i], destination))
			return true;
	return false;
}

/* Destinations with most connects come first, and get the remaining room. */
static void give_names(struct metrics_names *names, const struct stats_view *view)
{
	const struct stats_view_destination *destination = view->destinations;

	for (; destination && names->n < names->n_max; destination = destination->hh.next)
		if (destination->sum.family && !is_named(names, &destination->sum))
			names->named[names->n++] = destination->sum;
}

static void group_destinations(struct groups *groups, struct metrics_names *names, const struct stats_view *view)
{
	const struct stats_view_destination *destination;
	char name[STATS_COUNTS_NAME_MAX];

	give_names(names, view);
	groups->n = 1;
	strcpy(groups->groups[0].name, "other");
	for (destination = view->destinations; destination; destination = destination->hh.next) {
		struct group *group = &groups->groups[0];

		if (is_named(names, &destination->sum))
			group = find_group(groups, stats_counts_name(&destination->sum, name), names->n_max);
		stats_add_counts(&group->counts, &destination->sum.counts);
		group->active = (int64_t)((uint64_t)group->active + (uint64_t)destination->sum.active);
		group->idle = (int64_t)((uint64_t)group->idle + (uint64_t)destination->sum.idle);
	}
}

static void begin_sample(const struct groups *groups, const char *name, const struct group *group)
{
	fprintf(groups->stream, "%s{destination=", name);
	metrics_write_label(groups->stream, group->name);
}

static void write_counter(const struct groups *groups, enum stats_counter counter, const char *name, const char *help)
{
	char sample[80];

	metrics_write_head(groups->stream, groups->format, name, "counter", help);
	snprintf(sample, sizeof(sample), "%s_total", name);
	for (size_t i = 0; i < groups->n; i++) {
		begin_sample(groups, sample, &groups->groups[i]);
		fprintf(groups->stream, "} %" PRIu64 "\n", groups->groups[i].counts.counter[counter]);
	}
}

static void write_failures(const struct groups *groups)
{
	metrics_write_head(groups->stream, groups->format, "holdline_connect_failures", "counter",
			   "Dials that failed, by error.");
	for (size_t i = 0; i < groups->n; i++) {
		for (int error = 0; error < STATS_N_ERRORS; error++) {
			uint64_t n = groups->groups[i].counts.failed[error];

			/* Most destinations never fail in most ways; the most important error is always listed. */
			if (!n && error != 0)
				continue;
			begin_sample(groups, "holdline_connect_failures_total", &groups->groups[i]);
			fprintf(groups->stream, ",errno=\"%s\"} %" PRIu64 "\n", stats_error_names[error], n);
		}
	}
}

static void write_refusals(const struct groups *groups, const struct stats_counts *totals)
{
	metrics_write_head(groups->stream, groups->format, "holdline_reuse_refusals", "counter",
			   "Connections that were not kept, or kept ones that were not used, by reason.");
	for (int i = REFUSAL_NONE + 1; i < REFUSAL_COUNT; i++)
		fprintf(groups->stream, "holdline_reuse_refusals_total{reason=\"%s\"} %" PRIu64 "\n",
			stats_refusal_names[i], totals->refused[i]);
}

static void write_gauge(const struct groups *groups, bool is_active, const char *name, const char *help)
{
	metrics_write_head(groups->stream, groups->format, name, "gauge", help);
	for (size_t i = 0; i < groups->n; i++) {
		begin_sample(groups, name, &groups->groups[i]);
		fprintf(groups->stream, "} %" PRId64 "\n",
			is_active ? groups->groups[i].active : groups->groups[i].idle);
	}
}

static void write_durations(const struct groups *groups)
{
	metrics_write_head(groups->stream, groups->format, "holdline_connect_duration_seconds", "histogram",
			   "How long dials took that succeeded.");
	for (size_t i = 0; i < groups->n; i++) {
		const struct stats_counts *counts = &groups->groups[i].counts;
		uint64_t n = 0;

		for (int bucket = 0; bucket < STATS_N_DIAL_TIMES; bucket++) {
			n += counts->dial_times[bucket];
			begin_sample(groups, "holdline_connect_duration_seconds_bucket", &groups->groups[i]);
			if (bucket == STATS_N_DIAL_TIMES - 1)
				fprintf(groups->stream, ",le=\"+Inf\"} %" PRIu64 "\n", n);
			else
				fprintf(groups->stream, ",le=\"%.6f\"} %" PRIu64 "\n",
					(double)STATS_DIAL_TIME_NS(bucket) / SECOND_NS, n);
		}
		begin_sample(groups, "holdline_connect_duration_seconds_count", &groups->groups[i]);
		fprintf(groups->stream, "} %" PRIu64 "\n", n);
		begin_sample(groups, "holdline_connect_duration_seconds_sum", &groups->groups[i]);
		fprintf(groups->stream, "} %.9f\n", (double)counts->dial_time_ns / SECOND_NS);
	}
}

static void write_processes(const struct groups *groups, const struct stats_view *view)
{
	metrics_write_head(groups->stream, groups->format, "holdline_processes", "gauge",
			   "Running processes that have connected under Holdline.");
	fprintf(groups->stream, "holdline_processes %u\n", view->n_living);
}

static void write_groups(const struct groups *groups, const struct stats_view *view)
{
	write_counter(groups, STATS_CONNECTS, "holdline_connect_attempts", "Connections that programs asked for.");
	write_counter(groups, STATS_DIALED, "holdline_connection_dials", "New connections that came to be.");
	write_counter(groups, STATS_REUSED, "holdline_connection_reuses", "Connects that a kept connection served.");
	write_counter(groups, STATS_REUSABLE, "holdline_connection_reusables",
		      "Connections that could have been kept, but for observe mode or --tls=off.");
	write_counter(groups, STATS_REPLAYED, "holdline_request_replays",
		      "Requests sent once more, since a kept connection died under them.");
	write_failures(groups);
	write_refusals(groups, &view->totals);
	write_gauge(groups, false, "holdline_idle_connections", "Connections that are kept for later.");
	write_gauge(groups, true, "holdline_active_connections", "Connections that are in use.");
	write_durations(groups);
	write_processes(groups, view);
}

void metrics_write_counts(FILE *stream, enum metrics_format format, struct metrics_names *names,
			  const struct stats_view *view)
{
	struct groups groups = {
		.stream = stream, .format = format, .groups = calloc(names->n_max + 1, sizeof(*groups.groups))};

	if (!groups.groups)
		return;
	group_destinations(&groups, names, view);
	write_groups(&groups, view);
	free(groups.groups);
}
