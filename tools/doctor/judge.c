/*
 * holdline doctor, the judgement: which limits are met or near, and which of them is the cause. Nothing is read here.
 */
#include "tools/doctor/doctor.h"

#define NEAR_SHARE 0.8
#define NEAR_S 300
#define MANY_UNANSWERED 3
#define PRIVILEGED_END 1024
/* Two programs would share this many ports by chance; if they share none, something keeps them apart. */
#define SURE_SHARED 5

/* Of equally severe findings, the surest comes first. */
static int rank(enum doctor_cause cause)
{
	switch (cause) {
	case CAUSE_LOCAL_PORTS:
		return 0;
	case CAUSE_CONNTRACK_FULL:
		return 1;
	case CAUSE_SNAT:
		return 2;
	case CAUSE_BIND_PORT:
		return 3;
	case CAUSE_FIXED_SOURCE_PORT:
		return 4;
	case CAUSE_HEALTHY:
	case CAUSE_UNKNOWN:
		break;
	}
	return 5;
}

static bool is_worse(const struct doctor_finding *a, const struct doctor_finding *b)
{
	if (a->status != b->status)
		return a->status > b->status;
	if (a->cause != b->cause)
		return rank(a->cause) < rank(b->cause);
	return a->tuple && b->tuple && a->tuple->forecast.exhaustion_s < b->tuple->forecast.exhaustion_s;
}

/* Keeps the worst findings, in order. */
static void add(struct doctor_report *report, struct doctor_finding finding)
{
	size_t at = report->n_findings;

	if (finding.status == DOCTOR_OK)
		return;
	while (at > 0 && is_worse(&finding, &report->findings[at - 1]))
		at--;
	if (at == DOCTOR_MAX_FINDINGS)
		return;
	report->n_findings += report->n_findings < DOCTOR_MAX_FINDINGS;
	for (size_t i = report->n_findings - 1; i > at; i--)
		report->findings[i] = report->findings[i - 1];
	report->findings[at] = finding;
}

static enum doctor_status grade(double used, double room)
{
	return used >= room ? DOCTOR_CRITICAL : used >= NEAR_SHARE * room ? DOCTOR_WARNING : DOCTOR_OK;
}

static enum doctor_status grade_tuple(const struct ports_sample *sample, const struct doctor_tuple *seen)
{
	bool is_soon = seen->forecast.exhaustion_s < NEAR_S;

	if (seen->forecast.exhaustion_s <= 0)
		return DOCTOR_CRITICAL;
	return ports_tuple_used(seen->tuple) >= NEAR_SHARE * sample->n_usable || is_soon ? DOCTOR_WARNING : DOCTOR_OK;
}

static void judge_local_ports(struct doctor_report *report)
{
	struct doctor_finding finding = {.cause = CAUSE_LOCAL_PORTS};

	if (report->sample.n_usable == 0) {
		finding.status = DOCTOR_CRITICAL;
		add(report, finding);
		return;
	}
	for (size_t i = 0; i < report->n_tuples; i++) {
		finding.tuple = &report->tuples[i];
		finding.status = grade_tuple(&report->sample, finding.tuple);
		add(report, finding);
	}
}

/* connect() uses a port for any number of destinations, and so shares ports by chance; bind(address, 0) never does. If
 * a source has many destinations and no two of them share a port, bind() chose its ports. */
static bool is_bound_source(const struct ports_sample *sample, const struct ports_source *source)
{
	double all = source->n_connections, same = 0;

	if (source->n_tuples < 2 || source->n_connections > source->n_ports)
		return false;
	for (const struct ports_tuple *tuple = sample->tuples; tuple; tuple = tuple->hh.next)
		if (IN6_ARE_ADDR_EQUAL(&tuple->key.source, &source->address))
			same += (double)ports_tuple_used(tuple) * ports_tuple_used(tuple);
	return (all * all - same) / 2 / sample->n_usable >= SURE_SHARED;
}

static void judge_bind_port(struct doctor_report *report)
{
	for (const struct ports_source *source = report->sample.sources; source; source = source->hh.next) {
		struct doctor_finding finding = {.cause = CAUSE_BIND_PORT, .source = source};

		finding.status = grade(source->n_ports, report->sample.n_usable);
		if (finding.status == DOCTOR_OK)
			return;
		if (is_bound_source(&report->sample, source))
			add(report, finding);
	}
}

static bool has_unanswered(const struct ports_sample *sample)
{
	for (const struct ports_tuple *tuple = sample->tuples; tuple; tuple = tuple->hh.next)
		if (tuple->n_unanswered)
			return true;
	return false;
}

static void judge_nat(struct doctor_report *report)
{
	const struct nat_counters *counters = &report->nat.counters;
	struct doctor_finding full = {.cause = CAUSE_CONNTRACK_FULL}, snat = {.cause = CAUSE_SNAT};

	if (!counters->is_tracking)
		return;
	full.status = grade((double)counters->n_entries, (double)counters->n_max);
	add(report, full);
	for (const struct nat_tuple *tuple = report->nat.tuples; tuple; tuple = tuple->hh.next) {
		struct nat_range range;

		nat_find_range(&report->nat, tuple, &range);
		snat.status = grade(tuple->n_held, range.last - range.first + 1);
		snat.nat_tuple = tuple;
		add(report, snat);
	}
	/* Without root the NAT ranges are unreadable, but a full one shows by its drops. */
	if (report->n_findings || counters->n_dropped <= report->nat_before.n_dropped)
		return;
	snat.status = report->nat.tuples || has_unanswered(&report->sample) ? DOCTOR_WARNING : DOCTOR_OK;
	snat.nat_tuple = NULL;
	add(report, snat);
}

/* A port that the program chose is a budget of one. The kernel's NFS client has privileged ports for good: no
 * trouble. */
static void judge_fixed(struct doctor_report *report)
{
	for (size_t i = 0; i < report->sample.n_fixed; i++) {
		const struct ports_fixed *fixed = &report->sample.fixed[i];
		bool is_the_kernels = fixed->source_port < PRIVILEGED_END && !fixed->pid && !fixed->is_wanted;
		struct doctor_finding finding = {.cause = CAUSE_FIXED_SOURCE_PORT, .fixed = fixed};

		finding.status = fixed->is_wanted ? DOCTOR_CRITICAL : is_the_kernels ? DOCTOR_OK : DOCTOR_WARNING;
		add(report, finding);
	}
}

/* Dials that get no answer, to a server that others reached: nothing here is full, but something on the way may be. */
static void judge_silence(struct doctor_report *report)
{
	for (size_t i = 0; i < report->n_tuples && report->n_findings == 0; i++) {
		const struct ports_tuple *tuple = report->tuples[i].tuple;
		struct doctor_finding finding = {.status = DOCTOR_UNKNOWN, .cause = CAUSE_UNKNOWN};

		finding.tuple = &report->tuples[i];
		if (tuple->n_unanswered >= MANY_UNANSWERED && tuple->n_established > 0)
			add(report, finding);
	}
}

void doctor_judge(struct doctor_report *report)
{
	report->n_findings = 0;
	judge_local_ports(report);
	judge_nat(report);
	judge_bind_port(report);
	judge_fixed(report);
	judge_silence(report);
	if (report->n_findings) {
		report->status = report->findings[0].status;
		report->cause = report->findings[0].cause;
		return;
	}
	/* The sockets that are missing may be the ones that matter. */
	report->status = report->sample.is_incomplete ? DOCTOR_UNKNOWN : DOCTOR_OK;
	report->cause = report->sample.is_incomplete ? CAUSE_UNKNOWN : CAUSE_HEALTHY;
}

const char *doctor_status_name(enum doctor_status status)
{
	switch (status) {
	case DOCTOR_OK:
		return "ok";
	case DOCTOR_WARNING:
		return "warning";
	case DOCTOR_CRITICAL:
		return "critical";
	case DOCTOR_UNKNOWN:
		return "unknown";
	}
	return "?";
}

const char *doctor_cause_name(enum doctor_cause cause)
{
	switch (cause) {
	case CAUSE_HEALTHY:
		return "healthy";
	case CAUSE_LOCAL_PORTS:
		return "local_ports";
	case CAUSE_BIND_PORT:
		return "bind_port";
	case CAUSE_SNAT:
		return "snat";
	case CAUSE_CONNTRACK_FULL:
		return "conntrack_full";
	case CAUSE_FIXED_SOURCE_PORT:
		return "fixed_source_port";
	case CAUSE_UNKNOWN:
		return "unknown";
	}
	return "?";
}
