/* See make.h. */
#include "tools/report/make.h"

#include <cjson/cJSON.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "pool/base/clock.h"
#include "tools/base/text.h"
#include "tools/report/samples.h"
#include "tools/stats/counts.h"
#include "tools/stats/replay.h"
#include "tools/stats/view.h"

#define MAX_DESTINATIONS 200

/* Before 2.32 glibc had the names of signals in an array, which no header declares. */
#if __GLIBC_PREREQ(2, 32)
#define SHORT_NAME(signal) sigabbrev_np(signal)
#else
extern const char *const sys_sigabbrev[];
#define SHORT_NAME(signal) sys_sigabbrev[signal]
#endif

static void add_counters(cJSON *object, const struct stats_counts *counts)
{
	static const enum stats_counter shown[] = {STATS_CONNECTS, STATS_DIALED,    STATS_REUSED,
						   STATS_REUSABLE, STATS_PARKED,    STATS_REPLAYED,
						   STATS_BORROWED, STATS_ABANDONED, STATS_PORT_WAITS};

	for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
		cJSON_AddNumberToObject(object, stats_counter_names[shown[i]], (double)counts->counter[shown[i]]);
	cJSON_AddNumberToObject(object, "stale", (double)stats_counts_stale(counts));
	cJSON_AddNumberToObject(object, "dial_failures", (double)stats_counts_failures(counts));
	cJSON_AddNumberToObject(object, "reuse_ratio", stats_counts_reuse_ratio(counts));
}

static void add_refusals(cJSON *object, const struct stats_counts *counts)
{
	cJSON *refusals = cJSON_AddObjectToObject(object, "refusals");

	for (int i = REFUSAL_NONE + 1; i < REFUSAL_COUNT; i++)
		if (counts->refused[i])
			cJSON_AddNumberToObject(refusals, stats_refusal_names[i], (double)counts->refused[i]);
}

static void add_errors(cJSON *object, const struct stats_counts *counts)
{
	cJSON *errors = cJSON_AddObjectToObject(object, "errors");

	for (int i = 0; i < STATS_N_ERRORS; i++)
		if (counts->failed[i])
			cJSON_AddNumberToObject(errors, stats_error_names[i], (double)counts->failed[i]);
}

/* Null: the time is beyond the longest bucket. */
static void add_quantile(cJSON *object, const char *name, const struct stats_counts *counts, double share)
{
	uint64_t time_ns = stats_counts_dial_time_ns(counts, share);

	if (time_ns == UINT64_MAX)
		cJSON_AddNullToObject(object, name);
	else
		cJSON_AddNumberToObject(object, name, (double)time_ns / SECOND_NS);
}

static void add_dial_times(cJSON *object, const struct stats_counts *counts)
{
	cJSON *times = cJSON_AddObjectToObject(object, "dial_seconds");

	cJSON_AddNumberToObject(times, "sum", (double)counts->dial_time_ns / SECOND_NS);
	add_quantile(times, "p50", counts, 0.5);
	add_quantile(times, "p90", counts, 0.9);
	add_quantile(times, "p99", counts, 0.99);
}

/* Replays the recorded uses through a pool. */
static void add_replay(cJSON *object, const struct report_facts *facts,
		       const struct stats_view_destination *destination)
{
	const struct stats_view *view = facts->view;
	struct stats_replay_use *uses = calloc(view->n_intervals + 1, sizeof(*uses));
	struct stats_replay_result result;
	size_t n = 0;
	cJSON *replay;

	for (size_t i = 0; uses && i < view->n_intervals; i++) {
		const struct stats_view_interval *interval = &view->intervals[i];

		if (interval->destination == destination)
			uses[n++] =
				(struct stats_replay_use){interval->began_ns, interval->ended_ns, interval->was_kept};
	}
	if (n && stats_replay(uses, n, facts->idle_timeout_ns, &result) == 0) {
		replay = cJSON_AddObjectToObject(object, "replay");
		cJSON_AddNumberToObject(replay, "uses", (double)result.n_uses);
		cJSON_AddNumberToObject(replay, "dials", (double)result.n_dials);
		cJSON_AddNumberToObject(replay, "pool_size", (double)result.pool_size);
		cJSON_AddNumberToObject(replay, "span_seconds", (double)result.span_ns / SECOND_NS);
		cJSON_AddNumberToObject(replay, "idle_timeout_seconds", (double)facts->idle_timeout_ns / SECOND_NS);
	}
	free(uses);
}

static void add_destination(cJSON *array, const struct report_facts *facts,
			    const struct stats_view_destination *destination)
{
	cJSON *object = cJSON_CreateObject();
	char name[STATS_COUNTS_NAME_MAX];

	cJSON_AddStringToObject(object, "destination", stats_counts_name(&destination->sum, name));
	add_counters(object, &destination->sum.counts);
	cJSON_AddNumberToObject(object, "active", (double)destination->sum.active);
	cJSON_AddNumberToObject(object, "idle", (double)destination->sum.idle);
	add_refusals(object, &destination->sum.counts);
	add_errors(object, &destination->sum.counts);
	add_dial_times(object, &destination->sum.counts);
	add_replay(object, facts, destination);
	cJSON_AddItemToArray(array, object);
}

static void add_destinations(cJSON *root, const struct report_facts *facts)
{
	cJSON *array = cJSON_AddArrayToObject(root, "destinations");
	const struct stats_view_destination *destination = facts->view->destinations;

	for (int i = 0; destination && i < MAX_DESTINATIONS; i++, destination = destination->hh.next)
		add_destination(array, facts, destination);
}

static void add_totals(cJSON *root, const struct stats_counts *counts)
{
	cJSON *totals = cJSON_AddObjectToObject(root, "totals");

	add_counters(totals, counts);
	add_refusals(root, counts);
	add_errors(root, counts);
	add_dial_times(root, counts);
}

static void add_command(cJSON *root, char *const *command)
{
	cJSON *array = cJSON_AddArrayToObject(root, "command");

	for (; *command; command++) {
		char *argument = text_make_utf8(*command);

		cJSON_AddItemToArray(array, cJSON_CreateString(argument ? argument : ""));
		free(argument);
	}
}

static void add_end(cJSON *root, int status)
{
	const char *short_name;
	char name[16];

	if (WIFEXITED(status)) {
		cJSON_AddNumberToObject(root, "exit_status", WEXITSTATUS(status));
		return;
	}
	short_name = SHORT_NAME(WTERMSIG(status));
	snprintf(name, sizeof(name), "SIG%s", short_name ? short_name : "?");
	cJSON_AddStringToObject(root, "signal", name);
}

static void add_ports(cJSON *root, const struct report_ports *peak)
{
	cJSON *ports;

	if (!peak->usable)
		return;
	ports = cJSON_AddObjectToObject(root, "ports");
	cJSON_AddNumberToObject(ports, "usable", peak->usable);
	cJSON_AddNumberToObject(ports, "peak_used", peak->used);
	cJSON_AddNumberToObject(ports, "peak_ratio", (double)peak->used / peak->usable);
	cJSON_AddNumberToObject(ports, "time_wait", peak->time_wait);
	if (!*peak->destination)
		return;
	cJSON_AddStringToObject(ports, "source", peak->source);
	cJSON_AddStringToObject(ports, "destination", peak->destination);
}

static void add_sample(cJSON *array, const struct report_sample *sample)
{
	cJSON *object = cJSON_CreateObject();

	cJSON_AddNumberToObject(object, "seconds", sample->seconds);
	cJSON_AddNumberToObject(object, "connects", (double)sample->connects);
	cJSON_AddNumberToObject(object, "dialed", (double)sample->dialed);
	cJSON_AddNumberToObject(object, "reused", (double)sample->reused);
	cJSON_AddNumberToObject(object, "reusable", (double)sample->reusable);
	cJSON_AddNumberToObject(object, "stale", (double)sample->stale);
	cJSON_AddNumberToObject(object, "dial_failures", (double)sample->dial_failures);
	cJSON_AddNumberToObject(object, "active", (double)sample->active);
	cJSON_AddNumberToObject(object, "idle", (double)sample->idle);
	if (sample->ports_usable) {
		cJSON_AddNumberToObject(object, "ports_used", sample->ports_used);
		cJSON_AddNumberToObject(object, "ports_usable", sample->ports_usable);
		cJSON_AddNumberToObject(object, "time_wait", sample->time_wait);
	}
	cJSON_AddItemToArray(array, object);
}

static void add_samples(cJSON *root, const struct report_samples *samples)
{
	cJSON *array = cJSON_AddArrayToObject(root, "samples");

	for (size_t i = 0; i < samples->n; i++)
		add_sample(array, &samples->samples[i]);
}

static void add_processes(cJSON *root, const struct stats_view *view)
{
	cJSON *processes = cJSON_AddObjectToObject(root, "processes");

	cJSON_AddNumberToObject(processes, "ended", (double)view->n_ended);
	cJSON_AddNumberToObject(processes, "running", view->n_living);
}

struct cJSON *report_make(const struct report_facts *facts)
{
	cJSON *root = cJSON_CreateObject();

	if (!root)
		return NULL;
	cJSON_AddNumberToObject(root, "schema_version", REPORT_SCHEMA_VERSION);
	add_command(root, facts->command);
	cJSON_AddStringToObject(root, "mode", facts->mode);
	cJSON_AddNumberToObject(root, "started_unix_seconds", facts->started_unix_s);
	cJSON_AddNumberToObject(root, "duration_seconds", facts->duration_s);
	add_end(root, facts->status);
	add_processes(root, facts->view);
	cJSON_AddBoolToObject(root, "complete", !facts->view->is_incomplete);
	add_totals(root, &facts->view->totals);
	add_ports(root, &facts->peak);
	add_destinations(root, facts);
	cJSON_AddItemToObject(root, "callsites", report_make_callsites(facts->view));
	add_samples(root, facts->samples);
	return root;
}
