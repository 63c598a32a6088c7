/*
 * A run over time: the counts at regular moments, for the charts of a report. However long the run takes, there are at
 * most RUN_SAMPLES_MAX samples: when they are full, every other one is dropped, and from then on the interval is twice
 * as long.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define RUN_SAMPLES_MAX 512
#define RUN_SAMPLES_FIRST_MS 100

struct report_sample {
	double seconds; /* since the run's beginning */
	uint64_t connects, dialed, reused, reusable, stale, dial_failures;
	int64_t active, idle;
	unsigned ports_used, ports_usable; /* by the fullest tuple; usable 0: not measured then */
	unsigned time_wait;		   /* of all destinations of the run */
};

struct report_samples {
	size_t n;
	unsigned interval_ms;
	struct report_sample samples[RUN_SAMPLES_MAX];
};

void report_samples_init(struct report_samples *samples);

/* Appends a sample. */
void report_samples_add(struct report_samples *samples, const struct report_sample *sample);
