/*
 * The findings of holdline doctor about the ports of a network namespace, its judgement and its words. Looking
 * (doctor_observe), judging (doctor_judge, doctor_advise: pure, tested with made-up samples) and printing are apart.
 */
#pragma once

#include <stdbool.h>
#include <stdio.h>

#include "tools/ports/attribution.h"
#include "tools/ports/forecast.h"
#include "tools/ports/nat.h"
#include "tools/ports/owners.h"

#define DOCTOR_SCHEMA_VERSION 1
#define DOCTOR_MAX_TUPLES 64 /* the fullest; no other can be near its limit */
#define DOCTOR_MAX_SHARES 8
#define DOCTOR_MAX_FINDINGS 16
#define DOCTOR_MAX_FIXES 8
#define DOCTOR_TEXT_MAX 512

/* The values are exit statuses of monitoring plugins. */
enum doctor_status { DOCTOR_OK, DOCTOR_WARNING, DOCTOR_CRITICAL, DOCTOR_UNKNOWN };

enum doctor_cause {
	CAUSE_HEALTHY,
	CAUSE_LOCAL_PORTS,
	CAUSE_BIND_PORT,
	CAUSE_SNAT,
	CAUSE_CONNTRACK_FULL,
	CAUSE_FIXED_SOURCE_PORT,
	CAUSE_UNKNOWN,
};

/* A tuple that is examined closely. */
struct doctor_tuple {
	const struct ports_tuple *tuple;
	struct ports_forecast forecast;
	struct owners_share shares[DOCTOR_MAX_SHARES];
	size_t n_shares;
	struct attribution counted;
	unsigned n_unattributed; /* connections of no living process that no counted dial explains */
};

/* A present or coming trouble; pointers that its cause doesn't use are NULL. */
struct doctor_finding {
	enum doctor_status status;
	enum doctor_cause cause;
	const struct doctor_tuple *tuple;  /* local_ports, where NULL means that no port is usable at all; or unknown */
	const struct ports_source *source; /* bind_port */
	const struct nat_tuple *nat_tuple; /* snat */
	const struct ports_fixed *fixed;   /* fixed_source_port */
};

struct doctor_fix {
	char what[DOCTOR_TEXT_MAX];
	char command[DOCTOR_TEXT_MAX]; /* empty: no command */
	char risk[DOCTOR_TEXT_MAX];
};

struct doctor_report {
	char kernel[65];
	pid_t pid; /* the process whose namespace it is; 0: the caller's own */
	struct ports_sample sample;
	struct ports_pace pace; /* seconds 0: there was no window */
	struct nat nat;
	struct nat_counters nat_before; /* at the beginning of the window */
	bool are_counts_missing;	/* HOLDLINE_STATS names an unreadable folder */
	struct doctor_tuple tuples[DOCTOR_MAX_TUPLES];
	size_t n_tuples;

	enum doctor_status status;
	enum doctor_cause cause;
	struct doctor_finding findings[DOCTOR_MAX_FINDINGS]; /* the worst first */
	size_t n_findings;
	struct doctor_fix fixes[DOCTOR_MAX_FIXES]; /* the best first */
	size_t n_fixes;
};

/* Examines this process's network namespace for `window_ms`, or just once if that is 0. 0 or -errno; call doctor_fini()
 * in any case. */
int doctor_observe(struct doctor_report *report, unsigned window_ms) __attribute__((warn_unused_result));
void doctor_fini(struct doctor_report *report);

/* Sets the findings, and from them status and cause. */
void doctor_judge(struct doctor_report *report);

/* Sets the fixes for the worst finding. */
void doctor_advise(struct doctor_report *report);

const char *doctor_status_name(enum doctor_status status);
const char *doctor_cause_name(enum doctor_cause cause);

/* A finding in one sentence, and the error that programs get. */
void doctor_describe(const struct doctor_report *report, const struct doctor_finding *finding,
		     char text[DOCTOR_TEXT_MAX]);
const char *doctor_symptom(enum doctor_cause cause);

/* The programs that dialled the tuple's connections, and what reuse would change, as far as Holdline has counted
 * them. False: it has not. */
bool doctor_explain(const struct doctor_tuple *seen, char text[DOCTOR_TEXT_MAX]);

/* Dials a second that would remain if these connections were reused as the recorded ones could have been; negative:
 * unknown. */
double doctor_reduced_rate(const struct doctor_tuple *seen);

/* Calls `each` for every further note: what could not be seen, and what looks like exhaustion but is not. */
void doctor_note(const struct doctor_report *report, void (*each)(void *context, const char *text), void *context);

void doctor_print(const struct doctor_report *report, FILE *stream);
void doctor_print_json(const struct doctor_report *report, FILE *stream);
