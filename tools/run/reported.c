/* See reported.h. */
#include "tools/run/reported.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "pool/config/config.h"
#include "tools/base/cli.h"
#include "tools/base/clock.h"
#include "tools/commands.h"
#include "tools/report/make.h"
#include "tools/report/samples.h"
#include "tools/report/text.h"
#include "tools/run/parent.h"
#include "tools/run/relayed.h"
#include "tools/stats/counts.h"
#include "tools/stats/folder.h"
#include "tools/stats/run_folder.h"
#include "tools/stats/view.h"

/* Reading the counts, or the ports, may take this part of the time. */
#define COST_DIVISOR 25

struct reported {
	FILE *file; /* NULL: stderr */
	bool is_json;
	struct run_folder run;
	struct report_samples samples;
	struct report_ports ports, peak; /* at the last look; and at the fullest */
	double next_ports_s;
	double began_s, began_unix_s;
};

/* Opened before the program runs: an unwritable path must be reported then. */
static int open_file(struct reported *reported, const char *path)
{
	size_t length;
	int fd;

	if (!path)
		return 0;
	length = strlen(path);
	reported->is_json = length >= 5 && strcmp(path + length - 5, ".json") == 0;
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY, 0666);
	reported->file = fd < 0 ? NULL : fdopen(fd, "w");
	return reported->file ? 0 : -errno;
}

/* The view is the caller's to fini. */
static void read_counts(struct reported *reported, struct stats_view *view)
{
	stats_view_init(view);
	stats_folder_read(view, reported->run.folder, geteuid());
	stats_view_seal(view);
}

static void take_sample(struct reported *reported, const struct stats_view *view)
{
	const struct stats_counts *counts = &view->totals;
	struct report_sample sample = {
		.seconds = clock_now_s(CLOCK_MONOTONIC) - reported->began_s,
		.connects = counts->counter[STATS_CONNECTS],
		.dialed = counts->counter[STATS_DIALED],
		.reused = counts->counter[STATS_REUSED],
		.reusable = counts->counter[STATS_REUSABLE],
		.stale = stats_counts_stale(counts),
		.dial_failures = stats_counts_failures(counts),
	};
	const struct stats_view_destination *destination;

	for (destination = view->destinations; destination; destination = destination->hh.next) {
		sample.active += destination->sum.active;
		sample.idle += destination->sum.idle;
	}
	sample.ports_used = reported->ports.used;
	sample.ports_usable = reported->ports.usable;
	sample.time_wait = reported->ports.time_wait;
	report_samples_add(&reported->samples, &sample);
}

/* A dump of the sockets takes longer the more sockets there are, including others'. */
static void look_at_ports(struct reported *reported, const struct stats_view *view)
{
	double began_s = clock_now_s(CLOCK_MONOTONIC), took_s;

	report_ports_look(view, &reported->ports);
	took_s = clock_now_s(CLOCK_MONOTONIC) - began_s;
	reported->next_ports_s = began_s + took_s * COST_DIVISOR;
	if (reported->ports.used >= reported->peak.used && reported->ports.usable)
		reported->peak = reported->ports;
}

static unsigned tick(void *context)
{
	struct reported *reported = context;
	double began_s = clock_now_s(CLOCK_MONOTONIC), took_s;
	struct stats_view view;
	unsigned least_ms;

	read_counts(reported, &view);
	took_s = clock_now_s(CLOCK_MONOTONIC) - began_s;
	reported->ports.usable = 0;
	if (began_s >= reported->next_ports_s)
		look_at_ports(reported, &view);
	take_sample(reported, &view);
	stats_view_fini(&view);
	least_ms = (unsigned)(took_s * 1000 * COST_DIVISOR);
	return least_ms > reported->samples.interval_ms ? least_ms : reported->samples.interval_ms;
}

static struct cJSON *make_report(struct reported *reported, const struct config *config, char **argv, int status)
{
	struct stats_view view;
	struct cJSON *root;

	read_counts(reported, &view);
	look_at_ports(reported, &view);
	take_sample(reported, &view);
	root = report_make(&(struct report_facts){
		.command = argv,
		.mode = config_find("HOLDLINE_MODE")->choices[config->policy.mode],
		.started_unix_s = reported->began_unix_s,
		.duration_s = clock_now_s(CLOCK_MONOTONIC) - reported->began_s,
		.status = status,
		.idle_timeout_ns = config->policy.idle_conn_timeout_ns,
		.view = &view,
		.samples = &reported->samples,
		.peak = reported->peak,
	});
	stats_view_fini(&view);
	return root;
}

static void write_report(struct reported *reported, const struct cJSON *root, const char *path)
{
	FILE *stream = reported->file ? reported->file : stderr;
	char *text = reported->is_json ? cJSON_Print(root) : NULL;

	/* The old file may be longer, or not a regular file. */
	if (reported->file)
		(void)!ftruncate(fileno(stream), 0);
	if (text)
		fprintf(stream, "%s\n", text);
	else
		report_print(stream, root);
	free(text);
	if (reported->file && fclose(reported->file) != 0)
		cli_complain("run", path, errno);
}

static const char *outer_folder(const struct config *config)
{
	const char *path = getenv("HOLDLINE_STATS");

	if (strcmp(config->stats_path, "auto") == 0 || strcmp(config->stats_path, "off") == 0)
		return NULL;
	return path;
}

static void launch_relay(const void *relayed)
{
	run_relayed_launch(relayed);
	run_relayed_leave_out_library(relayed);
}

int run_reported(const struct config *config, const char *path, const struct run_relayed *relayed, char **argv)
{
	static struct reported reported;
	struct cJSON *root;
	pid_t child;
	int error = open_file(&reported, path), status;

	if (error) {
		cli_complain("run", path, -error);
		return EXIT_RUN_FAILED;
	}
	error = run_folder_begin(&reported.run, outer_folder(config));
	if (error) {
		cli_complain("run", "no folder to count in", -error);
		return EXIT_RUN_FAILED;
	}
	setenv("HOLDLINE_STATS", reported.run.path, 1);
	report_samples_init(&reported.samples);
	reported.began_s = clock_now_s(CLOCK_MONOTONIC);
	reported.began_unix_s = clock_now_s(CLOCK_REALTIME);
	child = run_parent_start(argv, launch_relay, relayed);
	if (child < 0) {
		run_folder_end(&reported.run);
		cli_complain("run", argv[0], -(int)child);
		return child == -ENOENT ? EXIT_RUN_NOT_FOUND : EXIT_RUN_NOT_EXECUTABLE;
	}
	status = run_parent_wait(child, tick, &reported);
	root = make_report(&reported, config, argv, status);
	run_folder_end(&reported.run);
	write_report(&reported, root, path);
	cJSON_Delete(root);
	return run_parent_end_like(status);
}
