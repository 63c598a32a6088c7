/*
 * Charts of a report as inline SVG: of what happened over time. Colours come from the page's style sheet (style.h),
 * by class; what a shape means is in its <title>, which browsers show where the pointer is.
 */
#pragma once

#include <stddef.h>
#include <stdio.h>

#define CHART_MAX_SERIES 3

struct chart_series {
	const char *name;
	const char *class_name;
	const double *values; /* n of them, none negative */
};

struct chart {
	const char *label; /* what it shows, for those who can't see it */
	double seconds;	   /* of all the values together */
	size_t n;	   /* values of each series, over equal parts of that time */
	size_t n_series;
	struct chart_series series[CHART_MAX_SERIES];
	double limit; /* a line across; 0: none. Shown where it is not too far above the values. */
	const char *limit_label;
};

/* A bar for each value, those of further series on top of it: rates. */
void chart_print_bars(FILE *stream, const struct chart *chart);

/* A line with the ground below it, and a mark at its peak; of the first series only: levels. */
void chart_print_line(FILE *stream, const struct chart *chart);
