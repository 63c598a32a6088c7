/*
 * The report of a run, as the JSON that `holdline run --report=FILE.json` writes; text.h and html.h show it. Contents:
 * see holdline-report(1).
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
	int status;		  /* in waitpid(2)'s format */
	uint64_t idle_timeout_ns; /* of the assumed pool; 0: none */
	const struct stats_view *view;
	const struct report_samples *samples;
	struct report_ports peak; /* the most ports seen in use */
};

/* The caller frees it with cJSON_Delete(). NULL: no memory. */
struct cJSON *report_make(const struct report_facts *facts);

/* The view's call sites with most dials, with functions and lines where these can be found. */
struct cJSON *report_make_callsites(const struct stats_view *view);
