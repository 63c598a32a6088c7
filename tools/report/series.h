/* Turns a report's samples, taken at irregular times, into values over equal parts of the run's time. Computation
 * only. */
#pragma once

#include <stddef.h>

struct cJSON;

#define REPORT_SERIES_MAX 96

struct report_series {
	double seconds;
	size_t n;
	double dialed[REPORT_SERIES_MAX]; /* rates, per second */
	double reused[REPORT_SERIES_MAX];
	double reusable[REPORT_SERIES_MAX];
	double failed[REPORT_SERIES_MAX];
	double ports_used[REPORT_SERIES_MAX]; /* levels; 0 where the kernel did not say */
	double ports_usable;		      /* the most that were usable */
};

/* Sets n to 0 if there are too few samples for a curve. */
void report_make_series(const struct cJSON *root, struct report_series *series);
