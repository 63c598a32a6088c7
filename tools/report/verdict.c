/* See verdict.h. */
#include "tools/report/verdict.h"

#include <cjson/cJSON.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "tools/base/text.h"
#include "tools/report/read.h"

/* Above half of the ports, connect() gets slow; above this share, exhaustion is a matter of time. */
#define CLIFF_RATIO 0.5
#define FULL_RATIO 0.8

#define BYPASSED "bypassed"

static const struct {
	const char *reason, *meaning;
} meanings[] = {
	{"server_close", "the server closed it, or said that it would"},
	{"http10", "an HTTP/1.0 answer without keep-alive"},
	{"no_framing", "the answer ends only with the connection"},
	{"client_close", "the program closed before the answer was complete"},
	{"body_unread", "the program did not read the whole answer"},
	{"not_canonical", "the answer can be read in two ways"},
	{"upgrade", "it became another protocol"},
	{"unsafe_method", "a POST or the like went to a fresh connection"},
	{"idle_timeout", "kept, and not needed in time"},
	{"server_idle_close", "kept, and the server hung up meanwhile"},
	{"stale", "kept, and dead when it was used"},
	{"pool_full", "kept, and one too many"},
	{"shared", "others may still use it"},
	{"auth_bound", "it is bound to who logged in"},
	{"sockopt", "an option was set that can't be undone"},
	{"ledger", "the kernel counted other bytes"},
	{"error", "it broke"},
	{"tls_opaque", "HTTPS that is left alone: without --tls=reuse, of a TLS library that Holdline does not "
		       "follow, or through its relay"},
	{"http2", "HTTPS on which HTTP/2 was agreed"},
	{"client_certificate", "HTTPS with a certificate of the client"},
	{"tls_version", "HTTPS of an older version or with an unusual cipher"},
	{"tls_resumed", "HTTPS that resumed an older session"},
	{"unknown_protocol", "not HTTP/1.x, Redis, memcached or MySQL"},
	{"probed", "where a program mostly looks whether it can connect, it gets the truth"},
	{BYPASSED, "left alone for a while, since nothing could be reused there several times in a row"},
	{"session_state", "its session can't be reset: the server has no RESET"},
	{"unfinished_reply", "the program closed before all its commands were answered"},
	{"authenticated", "it is logged in, and the server has no RESET"},
	{"fence_failed", "what the server answered to the reset is no proof"},
	{"refused_command", "a command was sent that can't be undone"},
	{"first_login", "the first login from its place in the program; see --mysql-share for short programs"},
	{"policy", "too old, excluded by the settings, or to a port of the program's own"},
};

const char *report_explain(const char *reason)
{
	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
		if (strcmp(meanings[i].reason, reason) == 0)
			return meanings[i].meaning;
	return "";
}

__attribute__((format(printf, 2, 3))) static void note(struct report_verdict *verdict, const char *format, ...)
{
	va_list arguments;

	if (verdict->n_notes == REPORT_MAX_NOTES)
		return;
	va_start(arguments, format);
	vsnprintf(verdict->notes[verdict->n_notes++], REPORT_SENTENCE_MAX, format, arguments);
	va_end(arguments);
}

static void worsen(struct report_verdict *verdict, enum report_level level)
{
	if (level > verdict->level)
		verdict->level = level;
}

__attribute__((format(printf, 2, 3))) static void add_to_headline(struct report_verdict *verdict, const char *format,
								  ...)
{
	size_t length = strlen(verdict->headline);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(verdict->headline + length, REPORT_SENTENCE_MAX - length, format, arguments);
	va_end(arguments);
}

/* The connects that no kept connection served, so that the numbers of the sentence add up. A kill, or a program of the
 * relay's that sends nothing, leaves a connect without an outcome. */
static void add_others(const struct cJSON *totals, struct report_verdict *verdict)
{
	double dialed = report_number(totals, "dialed"), failed = report_number(totals, "dial_failures");
	double abandoned = report_number(totals, "abandoned");
	double others = report_number(totals, "connects") - report_number(totals, "reused");
	double unknown = others - dialed - failed - abandoned;
	char n[REPORT_TEXT_MAX];

	add_to_headline(verdict, "; %s had to be dialed", report_count(dialed, n));
	if (failed > 0)
		add_to_headline(verdict, ", %s failed", report_count(failed, n));
	if (abandoned > 0)
		add_to_headline(verdict, ", %s %s given up", report_count(abandoned, n), text_were(abandoned));
	if (unknown > 0)
		add_to_headline(verdict, ", %s without an outcome on record", report_count(unknown, n));
	add_to_headline(verdict, ".");
}

static void judge_full(const struct cJSON *totals, struct report_verdict *verdict)
{
	double connects = report_number(totals, "connects"), reused = report_number(totals, "reused");
	double dialed = report_number(totals, "dialed"), ratio = reused / (reused + dialed);
	char of[REPORT_TEXT_MAX], n[REPORT_TEXT_MAX], percent[REPORT_TEXT_MAX];

	if (reused > 0) {
		add_to_headline(verdict, "%s of %s connect%s %s served by a kept connection (%s)",
				report_count(reused, n), report_count(connects, of), text_plural(connects),
				text_were(reused), report_percent(reused < connects ? reused / connects : 1, percent));
		add_others(totals, verdict);
		/* A dial that failed is no fault of the reuse; see note_failures(). */
		verdict->level = ratio >= 0.9 ? REPORT_FINE : ratio >= 0.5 ? REPORT_FAIR : REPORT_POOR;
	} else if (connects > 1) {
		add_to_headline(verdict, "None of %s connects was served by a kept connection",
				report_count(connects, n));
		add_others(totals, verdict);
		verdict->level = REPORT_POOR;
	} else {
		strcpy(verdict->headline, "One connect only: there was nothing to reuse.");
	}
}

/* The destination with most recorded uses shows what a pool would do. */
static void note_pool(const struct cJSON *root, struct report_verdict *verdict)
{
	const cJSON *destination, *most = NULL, *destinations = report_items(root, "destinations");
	char uses[REPORT_TEXT_MAX], pool[REPORT_TEXT_MAX], dials[REPORT_TEXT_MAX];
	const struct cJSON *replay;

	cJSON_ArrayForEach(destination, destinations)
	{
		if (!most || report_number(report_object(destination, "replay"), "uses") >
				     report_number(report_object(most, "replay"), "uses"))
			most = destination;
	}
	replay = report_object(most, "replay");
	if (report_number(replay, "uses") < 2)
		return;
	note(verdict, "To %s a pool of %s would have dialed %s time%s for the last %s connections.",
	     report_string(most, "destination"), report_count(report_number(replay, "pool_size"), pool),
	     report_count(report_number(replay, "dials"), dials), text_plural(report_number(replay, "dials")),
	     report_count(report_number(replay, "uses"), uses));
}

static void judge_observed(const struct cJSON *root, const struct cJSON *totals, struct report_verdict *verdict)
{
	double connects = report_number(totals, "connects"), reusable = report_number(totals, "reusable");
	char of[REPORT_TEXT_MAX], n[REPORT_TEXT_MAX], percent[REPORT_TEXT_MAX];
	double ratio = reusable / connects;

	snprintf(
		verdict->headline, REPORT_SENTENCE_MAX,
		"%s of %s connection%s could have been kept and used again (%s). Nothing was changed: this run was observed.",
		report_count(reusable, n), report_count(connects, of), text_plural(connects),
		report_percent(ratio, percent));
	verdict->level = ratio >= 0.5 ? REPORT_FINE : ratio > 0 ? REPORT_FAIR : REPORT_POOR;
	note_pool(root, verdict);
}

/* A destination is bypassed for another reason, which was counted before. */
static const cJSON *find_cause(const cJSON *refusals)
{
	const cJSON *cause = report_greatest_but(refusals, BYPASSED);

	return cause ? cause : report_greatest(refusals);
}

static void note_reason(const struct cJSON *root, struct report_verdict *verdict)
{
	const cJSON *refusals = report_object(root, "refusals"), *top = find_cause(refusals);
	double n_bypassed = report_number(refusals, BYPASSED);
	char n[REPORT_TEXT_MAX], rest[REPORT_TEXT_MAX], of_rest[2 * REPORT_TEXT_MAX] = "";

	if (!top || verdict->level == REPORT_FINE)
		return;
	if (n_bypassed > 0 && strcmp(top->string, BYPASSED) != 0)
		snprintf(of_rest, sizeof(of_rest), "; %s more were then left alone for a while (bypassed)",
			 report_count(n_bypassed, rest));
	note(verdict, "The most frequent reason for that: %s (%s time%s), %s%s.", top->string,
	     report_count(report_number(refusals, top->string), n), text_plural(report_number(refusals, top->string)),
	     report_explain(top->string), of_rest);
}

/* HTTPS counts as reusable where only a setting stands against it. */
static void note_tls(const struct cJSON *root, const struct cJSON *totals, struct report_verdict *verdict)
{
	double n_opaque = report_number(report_object(root, "refusals"), "tls_opaque"),
	       reusable = report_number(totals, "reusable");
	char of[REPORT_TEXT_MAX], n[REPORT_TEXT_MAX];

	if (n_opaque <= 0 || reusable <= 0)
		return;
	if (report_number(report_object(root, "refusals"), BYPASSED) > 0) {
		note(verdict, "With --tls=reuse its HTTPS connections could be used again "
			      "(see --tls-h2 where HTTP/2 is offered).");
		return;
	}
	note(verdict,
	     "%s connection%s %s HTTPS; with --tls=reuse up to %s of them could be used again "
	     "(see --tls-h2 where HTTP/2 is offered).",
	     report_count(n_opaque, of), text_plural(n_opaque), text_were(n_opaque),
	     report_count(reusable < n_opaque ? reusable : n_opaque, n));
}

static void note_failures(const struct cJSON *root, const struct cJSON *totals, struct report_verdict *verdict)
{
	const cJSON *errors = report_object(root, "errors"), *top = report_greatest(errors);
	double failures = report_number(totals, "dial_failures");
	char n[REPORT_TEXT_MAX], of[REPORT_TEXT_MAX];

	if (!top || failures <= 0)
		return;
	worsen(verdict, REPORT_FAIR);
	if (report_number(errors, "EADDRNOTAVAIL") > 0) {
		worsen(verdict, REPORT_POOR);
		note(verdict, "Of %s dial%s that failed %s found no free port (EADDRNOTAVAIL): see 'holdline doctor'.",
		     report_count(failures, of), text_plural(failures),
		     report_count(report_number(errors, "EADDRNOTAVAIL"), n));
		return;
	}
	note(verdict, "%s dial%s failed%s with %s.", report_count(failures, of), text_plural(failures),
	     report_number(errors, top->string) < failures ? ", most often" : "", top->string);
}

/* The kernel's counts have no owner: a run of one dial may see thousands of TIME_WAITs of other programs. */
static void judge_ports(const struct cJSON *root, struct report_verdict *verdict)
{
	const struct cJSON *ports = report_object(root, "ports");
	double used = report_number(ports, "peak_used"), usable = report_number(ports, "usable");
	char n[REPORT_TEXT_MAX], of[REPORT_TEXT_MAX], percent[REPORT_TEXT_MAX];
	double ratio = used / usable;

	if (usable <= 0 || used <= 0)
		return;
	snprintf(verdict->ports, REPORT_SENTENCE_MAX,
		 "At the peak %s of %s usable ports (%s) from %s to %s %s in use, by all programs together%s.",
		 report_count(used, n), report_count(usable, of), report_percent(ratio, percent),
		 report_string(ports, "source"), report_string(ports, "destination"), text_were(used),
		 ratio >= CLIFF_RATIO && ratio < FULL_RATIO ? "; above half, connect() gets slow" : "");
	if (ratio < CLIFF_RATIO)
		return;
	worsen(verdict, ratio < FULL_RATIO ? REPORT_FAIR : REPORT_POOR);
	note(verdict, "%s", verdict->ports);
	verdict->ports[0] = '\0';
}

static void note_rest(const struct cJSON *root, struct report_verdict *verdict)
{
	const struct cJSON *processes = report_object(root, "processes");
	char n[REPORT_TEXT_MAX];

	if (report_number(processes, "running") > 0)
		note(verdict,
		     "%s of its processes still ran when this was written: what they count from then on is not in it.",
		     report_count(report_number(processes, "running"), n));
	if (cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(root, "complete")))
		note(verdict, "Some of the counts could not be read: the numbers are too low.");
}

void report_judge(const struct cJSON *root, struct report_verdict *verdict)
{
	const struct cJSON *totals = report_object(root, "totals");
	const char *mode = report_string(root, "mode");

	memset(verdict, 0, sizeof(*verdict));
	if (strcmp(mode, "off") == 0) {
		strcpy(verdict->headline, "Holdline was switched off: nothing was counted.");
		verdict->level = REPORT_FAIR;
		return;
	}
	if (report_number(totals, "connects") <= 0) {
		strcpy(verdict->headline, "No TCP connection was made, or none that Holdline could see.");
		note(verdict, "'holdline check PROGRAM' says whether it can work for a program.");
		verdict->level = REPORT_FAIR;
	} else if (strcmp(mode, "observe") == 0) {
		judge_observed(root, totals, verdict);
	} else {
		judge_full(totals, verdict);
	}
	note_reason(root, verdict);
	note_tls(root, totals, verdict);
	note_failures(root, totals, verdict);
	judge_ports(root, verdict);
	note_rest(root, verdict);
}
