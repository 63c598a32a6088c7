/*
 * Charts of a report as inline SVG, over time. Colours come from the page's style sheet (style.h), via classes; each
 * shape has its meaning in a <title>, which browsers show under the pointer.
 */
#pragma once

#include <stddef.h>
#include <stdio.h>

#define CHART_MAX_SERIES 3

struct chart_series {
	const char *name;
	const char *class_name;
	const double *values; /* n values, none negative */
};

struct chart {
	const char *label; /* the content, for readers who can't see it */
	double seconds;	   /* duration of all the values together */
	size_t n;	   /* values of each series, over equal parts of that time */
	size_t n_series;
	struct chart_series series[CHART_MAX_SERIES];
	double limit; /* a horizontal line, shown if it is not too far above the values; 0: none */
	const char *limit_label;
};

/* A bar for each value, with those of further series stacked on it: for rates. */
void chart_print_bars(FILE *stream, const struct chart *chart);

/* A line above a filled area, with a mark at its peak; of the first series only: for levels. */
void chart_print_line(FILE *stream, const struct chart *chart);
