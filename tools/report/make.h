/*
 * The report of a run, as the JSON that `holdline run --report=FILE.json` writes; text.h and
 * html.h show it. What is in it: see holdline(1), REPORTS.
 */
#pragma once

#include <stdint.h>

#include "tools/report/ports.h"

#define REPORT_SCHEMA_VERSION 1

struct cJSON;
struct report_samples;
struct stats_view;

struct report_facts {
	char *const *command;
	const char *mode; /* of HOLDLINE_MODE */
	double started_unix_s, duration_s;
	int status;		  /* as waitpid(2) gives it */
	uint64_t idle_timeout_ns; /* what a pool is assumed to have; 0: none */
	const struct stats_view *view;
	const struct report_samples *samples;
	struct report_ports peak; /* most ports that were seen in use */
};

/* The caller's to cJSON_Delete(). NULL: no memory. */
struct cJSON *report_make(const struct report_facts *facts);

/* The call sites of the view, those with most dials, with functions and lines where they are to be found. */
struct cJSON *report_make_callsites(const struct stats_view *view);
