/*
 * A run over time: what had been counted at moments of equal distance, for the charts of a report. However long the run
 * takes, there are at most RUN_SAMPLES_MAX: when there would be more, every other one is forgotten, and from then on half as
 * many are made.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define RUN_SAMPLES_MAX 512
#define RUN_SAMPLES_FIRST_MS 100

struct report_sample {
	double seconds; /* since the beginning */
	uint64_t connects, dialed, reused, reusable, stale, dial_failures;
	int64_t active, idle;
	unsigned ports_used, ports_usable; /* by the tuple that needs most of them; usable 0: not looked at then */
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
