/*
 * Figures computed from counts (pool/stats/stats.h), and the name of a destination. Computation only.
 */
#pragma once

#include <stdint.h>

#include "pool/stats/stats.h"

/* "[ffff:...:ffff%4294967295]:65535" fits. */
#define STATS_COUNTS_NAME_MAX 80

/* "127.0.0.1:80", "[::1]:80", "[fe80::1%2]:80"; "other" for those without an entry. Returns `text`. */
const char *stats_counts_name(const struct stats_destination *destination, char text[STATS_COUNTS_NAME_MAX]);

/* Kept connections that had gone stale: the server had closed or lost them, whenever that was found. */
uint64_t stats_counts_stale(const struct stats_counts *counts);

/* Dials that failed, for any reason. */
uint64_t stats_counts_failures(const struct stats_counts *counts);

/* The share of all connects, failed ones too, that a kept connection served: 0..1; 0 if there were none. */
double stats_counts_reuse_ratio(const struct stats_counts *counts);

/* An upper bound of the time that this share (0..1) of the dials took. 0: there were no dials; UINT64_MAX: longer than
 * the last bucket. */
uint64_t stats_counts_dial_time_ns(const struct stats_counts *counts, double share);
