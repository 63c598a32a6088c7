/* What a report (make.h) comes down to, in sentences; and what the reasons in it mean. */
#pragma once

struct cJSON;

enum report_level { REPORT_FINE, REPORT_FAIR, REPORT_POOR };

#define REPORT_MAX_NOTES 5
#define REPORT_SENTENCE_MAX 320

struct report_verdict {
	enum report_level level;
	char headline[REPORT_SENTENCE_MAX];
	unsigned n_notes;
	char notes[REPORT_MAX_NOTES][REPORT_SENTENCE_MAX]; /* what else one should know, and do */
};

void report_judge(const struct cJSON *root, struct report_verdict *verdict);

/* A reason (stats_refusal_names) in a few words; "" for one that is not known. */
const char *report_explain(const char *reason);
