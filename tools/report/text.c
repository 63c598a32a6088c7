/* See text.h. */
#include "tools/report/text.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <string.h>

#include "tools/base/text.h"
#include "tools/report/read.h"
#include "tools/report/verdict.h"

#define MAX_ROWS 10

static void print_number(FILE *stream, int width, const struct cJSON *object, const char *name)
{
	char text[REPORT_TEXT_MAX];

	fprintf(stream, " %*s", width, report_count(report_number(object, name), text));
}

/* The caller's newline ends the line. */
static void print_padded(FILE *stream, const char *text, int width)
{
	int n = 0;

	for (const char *at = text; *at; at++)
		n += (*at & 0xC0) != 0x80;
	text_print_safe(stream, text);
	fprintf(stream, "%*s", n < width ? width - n : 0, "");
}

static void print_left_out(FILE *stream, int n_items)
{
	if (n_items > MAX_ROWS)
		fprintf(stream, "... and %d more\n", n_items - MAX_ROWS);
}

static void print_quantile(FILE *stream, const struct cJSON *destination, const char *name)
{
	const cJSON *times = report_object(destination, "dial_seconds");
	char text[REPORT_TEXT_MAX] = "> 4 s";

	if (report_number(destination, "dialed") <= 0)
		strcpy(text, "-");
	else if (!cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(times, name)))
		report_duration(report_number(times, name), text);
	fprintf(stream, " %9s", text);
}

static void print_destinations(FILE *stream, const struct cJSON *root)
{
	const cJSON *array = report_items(root, "destinations"), *destination;
	char percent[REPORT_TEXT_MAX];
	int n = 0;

	fprintf(stream, "\n%-28s %9s %9s %9s %9s %8s %8s %8s %9s %9s\n", "destination", "connects", "dialed", "reused",
		"reuse", "reusable", "stale", "failed", "dial p50", "p99");
	cJSON_ArrayForEach(destination, array)
	{
		if (n++ >= MAX_ROWS)
			continue;
		print_padded(stream, report_string(destination, "destination"), 28);
		print_number(stream, 9, destination, "connects");
		print_number(stream, 9, destination, "dialed");
		print_number(stream, 9, destination, "reused");
		fprintf(stream, " %9s", report_percent(report_number(destination, "reuse_ratio"), percent));
		print_number(stream, 8, destination, "reusable");
		print_number(stream, 8, destination, "stale");
		print_number(stream, 8, destination, "dial_failures");
		print_quantile(stream, destination, "p50");
		print_quantile(stream, destination, "p99");
		fputc('\n', stream);
	}
	print_left_out(stream, n);
}

/* Prints names with numbers, the greatest first; removes them from the object. */
static void print_ranking(FILE *stream, const char *title, const struct cJSON *object, bool is_explained)
{
	cJSON *left = cJSON_Duplicate(object, true);
	const cJSON *top = report_greatest(left);

	if (top)
		fprintf(stream, "\n%-28s %9s\n", title, "times");
	for (; top; top = report_greatest(left)) {
		print_padded(stream, top->string, 28);
		print_number(stream, 9, left, top->string);
		fprintf(stream, "%s%s\n", is_explained ? "  " : "", is_explained ? report_explain(top->string) : "");
		cJSON_DeleteItemFromObjectCaseSensitive(left, top->string);
	}
	cJSON_Delete(left);
}

static void print_callsite(FILE *stream, const struct cJSON *callsite)
{
	const char *function = report_string(callsite, "function"), *program = report_string(callsite, "program");

	print_padded(stream, report_string(callsite, "destination"), 28);
	print_number(stream, 9, callsite, "connects");
	print_number(stream, 9, callsite, "dialed");
	fputs("  ", stream);
	if (*function) {
		text_print_safe(stream, function);
		fputs(" (", stream);
	}
	text_print_safe(stream, report_string(callsite, "location"));
	fputs(*function ? ")" : "", stream);
	if (*program) {
		fputs(" in ", stream);
		text_print_safe(stream, program);
	}
	fputc('\n', stream);
}

static void print_callsites(FILE *stream, const struct cJSON *root)
{
	const cJSON *array = report_items(root, "callsites"), *callsite, *caller;
	int n = 0;

	if (cJSON_GetArraySize(array))
		fprintf(stream, "\n%-28s %9s %9s  connect() is called in\n", "destination", "connects", "dialed");
	cJSON_ArrayForEach(callsite, array)
	{
		if (n++ >= MAX_ROWS)
			continue;
		print_callsite(stream, callsite);
		cJSON_ArrayForEach(caller, report_items(callsite, "callers"))
		{
			fprintf(stream, "%50s", "from ");
			text_print_safe(stream, report_string(caller, "function"));
			fputs(*report_string(caller, "function") ? " (" : "", stream);
			text_print_safe(stream, report_string(caller, "location"));
			fputs(*report_string(caller, "function") ? ")\n" : "\n", stream);
		}
	}
	print_left_out(stream, n);
}

static void print_headline(FILE *stream, const struct cJSON *root, const struct report_verdict *verdict)
{
	const struct cJSON *processes = report_object(root, "processes");
	char command[60], duration[REPORT_TEXT_MAX], n[REPORT_TEXT_MAX];
	double n_processes = report_number(processes, "ended") + report_number(processes, "running");

	report_command(root, command, sizeof(command));
	fputs("holdline: ", stream);
	text_print_safe(stream, command);
	fprintf(stream, ": %s, %s process%s with connections\n",
		report_duration(report_number(root, "duration_seconds"), duration), report_count(n_processes, n),
		n_processes > 1 || n_processes < 1 ? "es" : "");
	text_print_safe(stream, verdict->headline);
	fputc('\n', stream);
	for (unsigned i = 0; i < verdict->n_notes; i++) {
		text_print_safe(stream, verdict->notes[i]);
		fputc('\n', stream);
	}
}

void report_print(FILE *stream, const struct cJSON *root)
{
	struct report_verdict verdict;

	report_judge(root, &verdict);
	print_headline(stream, root, &verdict);
	if (report_number(report_object(root, "totals"), "connects") <= 0)
		return;
	print_destinations(stream, root);
	print_ranking(stream, "not kept, or not used", report_object(root, "refusals"), true);
	print_ranking(stream, "dials that failed", report_object(root, "errors"), false);
	print_callsites(stream, root);
	if (!*verdict.ports)
		return;
	fputc('\n', stream);
	text_print_safe(stream, verdict.ports);
	fputc('\n', stream);
}
