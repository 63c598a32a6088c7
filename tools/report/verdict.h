/* The verdict on a report (make.h), in sentences; and what its reasons mean. */
#pragma once

struct cJSON;

enum report_level { REPORT_FINE, REPORT_FAIR, REPORT_POOR };

#define REPORT_MAX_NOTES 5
#define REPORT_SENTENCE_MAX 320

struct report_verdict {
	enum report_level level;
	char headline[REPORT_SENTENCE_MAX];
	unsigned n_notes;
	char notes[REPORT_MAX_NOTES][REPORT_SENTENCE_MAX]; /* further facts and advice */
	char ports[REPORT_SENTENCE_MAX]; /* the ports at their peak; "": none was seen, or a note tells of them */
};

void report_judge(const struct cJSON *root, struct report_verdict *verdict);

/* A reason (stats_refusal_names) in a few words; "" for an unknown one. */
const char *report_explain(const char *reason);
