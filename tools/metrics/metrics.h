/*
 * The programs' counts and the state of the ports, for Prometheus: OpenMetrics 1.0 text, or for old readers the text
 * format 0.0.4; each is written so that a reader of the other accepts it. Names and labels: holdline-metrics(1).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "pool/stats/stats.h"

struct ports_sample;
struct stats_view;

#define METRICS_MAX_DESTINATIONS 1000
#define METRICS_DEFAULT_DESTINATIONS 50
#define METRICS_MAX_TUPLES 50 /* (source, destination) pairs: the fullest ones */

enum metrics_format { METRICS_OPENMETRICS, METRICS_TEXT };

/* The destinations with names of their own; all others are "other". A long-running exporter keeps one of these: a
 * destination that got its name keeps it, so that no counter ever goes back. */
struct metrics_names {
	size_t n_max; /* at most METRICS_MAX_DESTINATIONS */
	size_t n;
	struct stats_destination named[METRICS_MAX_DESTINATIONS]; /* only what identifies them */
};

/* Makes the text. The caller frees it with free(); NULL: no memory. */
char *metrics_make(struct metrics_names *names, enum metrics_format format, size_t *length)
	__attribute__((warn_unused_result));

/* Its parts: the counts (the view is sealed), and the ports (a sealed sample; NULL: the kernel refused). */
void metrics_write_counts(FILE *stream, enum metrics_format format, struct metrics_names *names,
			  const struct stats_view *view);
void metrics_write_ports(FILE *stream, const struct ports_sample *sample);

/* The head of a metric family. `type` is "counter" or "gauge" or "histogram"; `name` without the suffix _total. */
void metrics_write_head(FILE *stream, enum metrics_format format, const char *name, const char *type, const char *help);

/* A label's value, quoted and escaped. */
void metrics_write_label(FILE *stream, const char *value);

/* Serves them over HTTP at ADDRESS:PORT ("127.0.0.1:9464", "[::1]:9464", ":9464" for the former) until SIGTERM or
 * SIGINT. 0, or -errno after saying why on stderr. */
int metrics_serve(const char *where, struct metrics_names *names) __attribute__((warn_unused_result));
