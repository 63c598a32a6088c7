/*
 * The contents of holdline top: a row for each tuple of the kernel's, with the counts of its programs. Rows (top_rows)
 * and lines (top_lines) are made without a terminal, so that tests can examine them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "tools/base/address.h"
#include "tools/ports/attribution.h"
#include "tools/ports/forecast.h"

#define TOP_PROCESS_MAX 48
#define TOP_FILTER_MAX 64

enum top_order { TOP_BY_USE, TOP_BY_DIALS, TOP_BY_REUSE, TOP_BY_TIME_WAIT, TOP_BY_END, TOP_BY_NAME };

struct top_row {
	char source[ADDRESS_TEXT_MAX], destination[ADDRESS_TEXT_MAX];
	unsigned n_used, n_established, n_time_wait;
	double used_ratio;
	double dials;	     /* a second */
	double reuse_ratio;  /* of the counted connects since the last look, else of all; negative: none */
	double exhaustion_s; /* INFINITY: never */
	char process[TOP_PROCESS_MAX];
	char place[COUNTED_PLACE_MAX]; /* of most dials; empty: not counted */
	uint64_t n_connects, n_reused; /* so far: to compare with at the next look */
	struct ports_key key;
};

struct top_table {
	unsigned first_port, last_port, n_usable;
	unsigned n_time_wait, n_established; /* of all rows */
	double dials;			     /* a second, of the whole namespace; negative: not measured yet */
	struct top_row *rows;		     /* all of them: a filter or another order may want any */
	size_t n_rows;
};

/* How a table is shown. */
struct top_view {
	enum top_order order;
	char filter[TOP_FILTER_MAX]; /* only rows with this in one of their texts; empty: all */
	unsigned columns, lines;     /* of the terminal; 0: unlimited */
	bool has_colors;
	bool is_frozen;
	bool is_typing; /* the filter */
	bool has_help;
};

/* Looks at the kernel and at the programs' pages. `before`, `last`: the sample and the table of the last look, or NULL;
 * the rows of `last` change their order. `symbolizer` may be NULL. 0 or -errno; then `sample` and `table` are empty. */
int top_rows(struct ports_sample *sample, const struct ports_sample *before, struct top_table *last,
	     struct symbolizer *symbolizer, struct top_table *table) __attribute__((warn_unused_result));
void top_fini(struct top_table *table);

/* Orders the rows. */
void top_sort(struct top_table *table, enum top_order order);

/* Writes the table as lines, with a summary line first; as many as fit. */
void top_render(const struct top_table *table, const struct top_view *view, FILE *stream);

const char *top_order_name(enum top_order order);
