/* holdline doctor, the observation: two samples of the sockets with a window between, the NAT table, and the owners. */
#include "tools/doctor/doctor.h"

#include <errno.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "tools/stats/read.h"
#include "tools/stats/symbolize.h"
#include "tools/ports/netns.h"

#define N_PLACED 10

/* The programs' counts; kept for as long as the tuples are examined. */
struct counts {
	struct stats_view view;
	struct symbolizer *symbolizer;
	uint64_t netns_cookie;
};

static void look_at(struct doctor_report *report, const struct ports_tuple *tuple, struct counts *counts)
{
	/* Reading a program's debugging information takes a while: not for tuples that are hardly shown. */
	struct symbolizer *symbolizer = report->n_tuples < N_PLACED ? counts->symbolizer : NULL;
	struct doctor_tuple *seen = &report->tuples[report->n_tuples++];
	unsigned n_owned = 0;

	seen->tuple = tuple;
	ports_forecast_make(&report->sample, tuple, report->pace.seconds > 0 ? &report->pace : NULL, &seen->forecast);
	seen->n_shares = owners_share(tuple, seen->shares, DOCTOR_MAX_SHARES);
	for (size_t i = 0; i < seen->n_shares; i++)
		n_owned += seen->shares[i].n;
	attribution_find(&counts->view, &tuple->key, counts->netns_cookie, symbolizer, &seen->counted);
	seen->n_unattributed = ports_tuple_used(tuple) - n_owned - attribution_explains(&seen->counted, tuple);
}

static void look_at_all(struct doctor_report *report)
{
	struct counts counts = {.symbolizer = symbolizer_new(geteuid() != 0), .netns_cookie = netns_own_cookie()};

	report->are_counts_missing = stats_read(&counts.view, NULL) != 0;
	for (const struct ports_tuple *tuple = report->sample.tuples; tuple && report->n_tuples < DOCTOR_MAX_TUPLES;
	     tuple = tuple->hh.next)
		look_at(report, tuple, &counts);
	stats_view_fini(&counts.view);
	symbolizer_free(counts.symbolizer);
}

static int take_samples(struct doctor_report *report, unsigned window_ms)
{
	struct ports_sample before;
	int error;

	if (window_ms == 0)
		return ports_kernel_sample(&report->sample, NULL);
	nat_read_counters(&report->nat_before);
	error = ports_kernel_sample(&before, NULL);
	if (error)
		return error;
	error = ports_kernel_watch(window_ms, &report->pace);
	if (!error)
		error = ports_kernel_sample(&report->sample, &before);
	ports_sample_fini(&before);
	return error;
}

int doctor_observe(struct doctor_report *report, unsigned window_ms)
{
	struct utsname system;
	int error;

	memset(report, 0, sizeof(*report));
	if (uname(&system) == 0)
		memcpy(report->kernel, system.release, sizeof(report->kernel));
	error = take_samples(report, window_ms);
	if (!error)
		error = nat_read(&report->nat);
	if (!error)
		error = owners_find(&report->sample);
	if (error)
		return error;
	if (window_ms == 0)
		report->nat_before = report->nat.counters;
	if (report->sample.tuples)
		look_at_all(report);
	return 0;
}

void doctor_fini(struct doctor_report *report)
{
	ports_sample_fini(&report->sample);
	nat_fini(&report->nat);
}
