/* The curves and the rankings of the page. See html.h. */
#include "tools/report/html.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "tools/report/chart.h"
#include "tools/report/read.h"
#include "tools/report/series.h"
#include "tools/report/verdict.h"

#define MAX_ROWS 12

static void write_legend(FILE *stream, const char *class_name, const char *text)
{
	fprintf(stream, "<span><i class=\"%s\"></i>%s</span>", class_name, text);
}

static void begin_section(FILE *stream, const char *title, const char *hint)
{
	fprintf(stream, "<section>\n<h2>%s</h2>\n<p class=\"hint\">%s</p>\n", title, hint);
}

static bool has_any(const double *values, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (values[i] > 0)
			return true;
	return false;
}

/* Not all dials of an observed run were avoidable. */
static void set_apart(struct report_series *series)
{
	for (size_t i = 0; i < series->n; i++) {
		series->reused[i] = series->reusable[i];
		series->dialed[i] = fmax(series->dialed[i] - series->reusable[i], 0);
	}
}

static void write_rates(FILE *stream, struct report_series *series, bool is_observed)
{
	struct chart chart = {.label = "Connections a second over time, dialed and reused",
			      .seconds = series->seconds,
			      .n = series->n,
			      .n_series = 2,
			      .series = {{is_observed ? "could have been reused" : "reused", "kept", series->reused},
					 {is_observed ? "had to be dialed" : "dialed", "dialed", series->dialed},
					 {"failed", "failed", series->failed}}};

	if (has_any(series->failed, series->n))
		chart.n_series = 3;
	begin_section(stream, is_observed ? "Dials, and which of them were needed" : "Dials against reuses",
		      "How many connections a second the program asked for, and how each was served.");
	fputs("<div class=\"legend\">", stream);
	for (size_t i = 0; i < chart.n_series; i++)
		write_legend(stream, chart.series[i].class_name, chart.series[i].name);
	fputs("</div>\n", stream);
	chart_print_bars(stream, &chart);
	fputs("</section>\n", stream);
}

static void write_ports(FILE *stream, const struct cJSON *root, const struct report_series *series)
{
	const struct cJSON *ports = report_object(root, "ports");
	char usable[REPORT_TEXT_MAX], label[REPORT_TEXT_MAX + 16];
	struct chart chart = {.label = "Ephemeral ports in use over time",
			      .seconds = series->seconds,
			      .n = series->n,
			      .n_series = 1,
			      .series = {{"ports in use", "ports", series->ports_used}},
			      .limit = series->ports_usable,
			      .limit_label = label};

	snprintf(label, sizeof(label), "%s usable", report_count(series->ports_usable, usable));
	fputs("<section>\n<h2>Ports in use</h2>\n<p class=\"hint\">Ephemeral ports taken", stream);
	if (*report_string(ports, "destination")) {
		fputs(" from <code>", stream);
		report_write_text(stream, report_string(ports, "source"));
		fputs("</code> to <code>", stream);
		report_write_text(stream, report_string(ports, "destination"));
		fputs("</code>", stream);
	}
	fprintf(stream, ", TIME_WAIT included, of %s that are usable there.</p>\n", usable);
	chart_print_line(stream, &chart);
	fputs("</section>\n", stream);
}

void report_write_curves(FILE *stream, const struct cJSON *root)
{
	bool is_observed = strcmp(report_string(root, "mode"), "observe") == 0;
	static struct report_series series; /* too large for some stacks */

	report_make_series(root, &series);
	if (is_observed)
		set_apart(&series);
	if (!series.n) {
		if (report_number(report_object(root, "totals"), "connects") > 0) {
			begin_section(stream, "Over time", "The run was too short to draw a curve of it.");
			fputs("</section>\n", stream);
		}
		return;
	}
	if (has_any(series.dialed, series.n) || has_any(series.reused, series.n) || has_any(series.failed, series.n))
		write_rates(stream, &series, is_observed);
	if (series.ports_usable > 0)
		write_ports(stream, root, &series);
}

static void write_bar(FILE *stream, const char *class_name, double part, double whole)
{
	if (part > 0 && whole > 0)
		fprintf(stream, "<i class=\"%s\" style=\"width:%.2f%%\"></i>", class_name,
			fmin(100 * part / whole, 100));
}

/* Names with numbers, the greatest first. */
static void write_ranking(FILE *stream, const struct cJSON *object, const char *class_name)
{
	cJSON *left = cJSON_Duplicate(object, true);
	const cJSON *top = report_greatest(left);
	double most = top ? report_number(left, top->string) : 0;
	char text[REPORT_TEXT_MAX];

	fputs("<div class=\"rows\">\n", stream);
	for (int i = 0; top && i < MAX_ROWS; i++, top = report_greatest(left)) {
		double n = report_number(left, top->string);

		fputs("<div class=\"row\"><span class=\"name\"><code>", stream);
		report_write_text(stream, top->string);
		fputs("</code> <small>", stream);
		report_write_text(stream, report_explain(top->string));
		fprintf(stream, "</small></span><span class=\"n\">%s</span><span class=\"bar\">",
			report_count(n, text));
		write_bar(stream, class_name, n, most);
		fputs("</span></div>\n", stream);
		cJSON_DeleteItemFromObjectCaseSensitive(left, top->string);
	}
	fputs("</div>\n</section>\n", stream);
	cJSON_Delete(left);
}

static void write_callers(FILE *stream, const struct cJSON *callers)
{
	const cJSON *caller;

	if (!callers || !callers->child)
		return;
	fputs("<details><summary>called from</summary><ol>\n", stream);
	cJSON_ArrayForEach(caller, callers)
	{
		fputs("<li><code>", stream);
		report_write_text(stream, report_string(caller, "function"));
		fputs("</code> ", stream);
		report_write_text(stream, report_string(caller, "location"));
		fputs("</li>\n", stream);
	}
	fputs("</ol></details>", stream);
}

static void write_callsite(FILE *stream, const struct cJSON *callsite, double most)
{
	double connects = report_number(callsite, "connects"), dialed = report_number(callsite, "dialed");
	const char *function = report_string(callsite, "function"), *program = report_string(callsite, "program");
	char n[REPORT_TEXT_MAX], of[REPORT_TEXT_MAX];

	fputs("<div class=\"row\"><span class=\"name\"><code>", stream);
	report_write_text(stream, *function ? function : report_string(callsite, "location"));
	fputs("</code> <small>", stream);
	if (*function) {
		report_write_text(stream, report_string(callsite, "location"));
		fputs(" ", stream);
	}
	fputs(*program ? "in " : "", stream);
	report_write_text(stream, program);
	fputs(*program ? " to " : "to ", stream);
	report_write_text(stream, report_string(callsite, "destination"));
	fprintf(stream, "</small></span><span class=\"n\">%s dialed of %s</span><span class=\"bar\">",
		report_count(dialed, n), report_count(connects, of));
	write_bar(stream, "dialed", dialed, most);
	write_bar(stream, "kept", fmax(connects - dialed, 0), most);
	fputs("</span>", stream);
	write_callers(stream, report_items(callsite, "callers"));
	fputs("</div>\n", stream);
}

static void write_callsites(FILE *stream, const struct cJSON *root)
{
	const cJSON *array = report_items(root, "callsites"), *callsite;
	double most = 0;
	int n = 0;

	cJSON_ArrayForEach(callsite, array) most =
		fmax(most, fmax(report_number(callsite, "connects"), report_number(callsite, "dialed")));
	if (most <= 0)
		return;
	begin_section(stream, "Where connect() is called",
		      "The places in the code that open connections, those with most dials first.");
	fputs("<div class=\"legend\">", stream);
	write_legend(stream, "dialed", "dialed");
	write_legend(stream, "kept", "not dialed: reused, or failed");
	fputs("</div>\n<div class=\"rows\">\n", stream);
	cJSON_ArrayForEach(callsite, array)
	{
		if (n++ < MAX_ROWS)
			write_callsite(stream, callsite, most);
	}
	fputs("</div>\n", stream);
	if (n > MAX_ROWS)
		fprintf(stream, "<p class=\"hint\">and %d more</p>\n", n - MAX_ROWS);
	fputs("</section>\n", stream);
}

void report_write_rankings(FILE *stream, const struct cJSON *root)
{
	const struct cJSON *refusals = report_object(root, "refusals"), *errors = report_object(root, "errors");

	if (report_greatest(refusals)) {
		begin_section(stream, "Why connections were not reused",
			      "How often a connection was not kept, or a kept one not used.");
		write_ranking(stream, refusals, "dialed");
	}
	if (report_greatest(errors)) {
		begin_section(stream, "Dials that failed", "By the error that connect() gave.");
		write_ranking(stream, errors, "failed");
	}
	write_callsites(stream, root);
}
