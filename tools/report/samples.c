/* See samples.h. */
#include "tools/report/samples.h"

void report_samples_init(struct report_samples *samples)
{
	samples->n = 0;
	samples->interval_ms = RUN_SAMPLES_FIRST_MS;
}

/* Keeps the first sample; the next one is added behind the last. */
static void thin_out(struct report_samples *samples)
{
	size_t n = 0;

	for (size_t i = 0; i < samples->n; i += 2)
		samples->samples[n++] = samples->samples[i];
	samples->n = n;
	samples->interval_ms *= 2;
}

void report_samples_add(struct report_samples *samples, const struct report_sample *sample)
{
	if (samples->n == RUN_SAMPLES_MAX)
		thin_out(samples);
	samples->samples[samples->n++] = *sample;
}
