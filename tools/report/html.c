/* The page, its head and its tables. See html.h. */
#include "tools/report/html.h"

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "tools/report/read.h"
#include "tools/report/style.h"
#include "tools/report/verdict.h"

#define MAX_DESTINATIONS 20

/* HTML allows no control characters; bidi controls (U+202A-202E, U+2066-2069) would turn the text around them. */
static size_t forbidden_length(const char *text)
{
	const unsigned char *byte = (const unsigned char *)text;

	if (byte[0] < ' ' || byte[0] == 0x7F)
		return 1;
	if (byte[0] == 0xC2 && byte[1] >= 0x80 && byte[1] < 0xA0)
		return 2;
	if (byte[0] != 0xE2)
		return 0;
	if ((byte[1] == 0x80 && byte[2] >= 0xAA && byte[2] <= 0xAE) ||
	    (byte[1] == 0x81 && byte[2] >= 0xA6 && byte[2] <= 0xA9))
		return 3;
	return 0;
}

void report_write_text(FILE *stream, const char *text)
{
	while (*text) {
		size_t forbidden = forbidden_length(text);

		if (forbidden) {
			fputs(*text == '\n' || *text == '\t' ? " " : "\xEF\xBF\xBD", stream);
			text += forbidden;
			continue;
		}
		switch (*text) {
		case '&':
			fputs("&amp;", stream);
			break;
		case '<':
			fputs("&lt;", stream);
			break;
		case '>':
			fputs("&gt;", stream);
			break;
		case '"':
			fputs("&quot;", stream);
			break;
		case '\'':
			fputs("&#39;", stream);
			break;
		default:
			fputc(*text, stream);
		}
		text++;
	}
}

static void write_head(FILE *stream, const char *command)
{
	fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
	      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
	      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
	      "<title>Holdline report: ",
	      stream);
	report_write_text(stream, command);
	fprintf(stream, "</title>\n<style>\n%s</style>\n</head>\n<body>\n<main>\n", report_style);
}

static const char *name_mode(const char *mode)
{
	if (strcmp(mode, "observe") == 0)
		return "observed, nothing was changed";
	return strcmp(mode, "off") == 0 ? "Holdline switched off" : "connections kept and reused";
}

static void write_facts(FILE *stream, const struct cJSON *root)
{
	const struct cJSON *processes = report_object(root, "processes");
	double n_processes = report_number(processes, "ended") + report_number(processes, "running");
	time_t began = (time_t)report_number(root, "started_unix_seconds");
	const char *signal_name = report_string(root, "signal");
	char text[REPORT_TEXT_MAX];
	struct tm parts;

	fputs("<div class=\"facts\">", stream);
	if (began > 0 && gmtime_r(&began, &parts) && strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &parts))
		fprintf(stream, "%s &middot; ", text);
	fprintf(stream, "<b>%s</b>", report_duration(report_number(root, "duration_seconds"), text));
	fprintf(stream, " &middot; <b>%s</b> process%s with connections &middot; %s &middot; ",
		report_count(n_processes, text), n_processes > 1 || n_processes < 1 ? "es" : "",
		name_mode(report_string(root, "mode")));
	if (*signal_name) {
		fputs("ended by ", stream);
		report_write_text(stream, signal_name);
	} else {
		fprintf(stream, "exit status %.0f", report_number(root, "exit_status"));
	}
	fputs("</div>\n", stream);
}

static void write_verdict(FILE *stream, const struct cJSON *root)
{
	static const char *const classes[] = {[REPORT_FINE] = "fine", [REPORT_FAIR] = "fair", [REPORT_POOR] = "poor"};
	struct report_verdict verdict;

	report_judge(root, &verdict);
	fprintf(stream, "<section class=\"verdict %s\">\n<p class=\"headline\">", classes[verdict.level]);
	report_write_text(stream, verdict.headline);
	fputs("</p>\n", stream);
	for (unsigned i = 0; i < verdict.n_notes; i++) {
		fputs(i ? "<li>" : "<ul>\n<li>", stream);
		report_write_text(stream, verdict.notes[i]);
		fputs("</li>\n", stream);
	}
	fputs(verdict.n_notes ? "</ul>\n</section>\n" : "</section>\n", stream);
}

static void write_tile(FILE *stream, const char *value, const char *name)
{
	fputs("<div class=\"tile\"><b>", stream);
	report_write_text(stream, value);
	fprintf(stream, "</b><span>%s</span></div>\n", name);
}

static void write_tiles(FILE *stream, const struct cJSON *root)
{
	const struct cJSON *totals = report_object(root, "totals"), *ports = report_object(root, "ports");
	bool is_observed = strcmp(report_string(root, "mode"), "observe") == 0;
	double connects = report_number(totals, "connects");
	double kept = report_number(totals, is_observed ? "reusable" : "reused");
	double ratio = is_observed ? (connects > 0 ? kept / connects : 0) : report_number(totals, "reuse_ratio");
	char text[REPORT_TEXT_MAX];

	fputs("<div class=\"tiles\">\n", stream);
	write_tile(stream, report_count(connects, text), "connects of the program");
	write_tile(stream, report_count(report_number(totals, "dialed"), text), "connections dialed");
	write_tile(stream, report_count(kept, text), is_observed ? "could be reused" : "reuses of kept ones");
	write_tile(stream, report_percent(ratio < 1 ? ratio : 1, text), is_observed ? "reusable" : "reused");
	write_tile(stream, report_count(report_number(totals, "dial_failures"), text), "dials failed");
	if (report_number(ports, "usable") > 0)
		write_tile(stream, report_percent(report_number(ports, "peak_ratio"), text),
			   "of the ports at the peak, all programs");
	fputs("</div>\n", stream);
}

static void write_cell(FILE *stream, const struct cJSON *object, const char *name, bool is_bad)
{
	char text[REPORT_TEXT_MAX];

	fprintf(stream, "<td%s>%s</td>", is_bad && report_number(object, name) > 0 ? " class=\"warn\"" : "",
		report_count(report_number(object, name), text));
}

static void write_time(FILE *stream, const struct cJSON *destination, const char *name)
{
	const cJSON *times = report_object(destination, "dial_seconds");
	char text[REPORT_TEXT_MAX];

	if (report_number(destination, "dialed") <= 0)
		fputs("<td>&ndash;</td>", stream);
	else if (cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(times, name)))
		fputs("<td>&gt; 4 s</td>", stream);
	else
		fprintf(stream, "<td>%s</td>", report_duration(report_number(times, name), text));
}

static void write_destination(FILE *stream, const struct cJSON *destination)
{
	char text[REPORT_TEXT_MAX];
	double ratio = report_number(destination, "reuse_ratio");

	fputs("<tr><td><code>", stream);
	report_write_text(stream, report_string(destination, "destination"));
	fputs("</code></td>", stream);
	write_cell(stream, destination, "connects", false);
	write_cell(stream, destination, "dialed", false);
	write_cell(stream, destination, "reused", false);
	fputs("<td>", stream);
	report_write_text(stream, report_percent(ratio < 1 ? ratio : 1, text));
	fputs("</td>", stream);
	write_cell(stream, destination, "reusable", false);
	write_cell(stream, destination, "stale", false);
	write_cell(stream, destination, "dial_failures", true);
	write_time(stream, destination, "p50");
	write_time(stream, destination, "p99");
	fputs("</tr>\n", stream);
}

static void write_destinations(FILE *stream, const struct cJSON *root)
{
	const cJSON *array = report_items(root, "destinations"), *destination;
	int n = 0;

	if (!array || !array->child)
		return;
	fputs("<section>\n<h2>Destinations</h2>\n<p class=\"hint\">Dial times are upper bounds: half of the dials, and 99 of "
	      "100, took no longer.</p>\n<div class=\"scroll\"><table>\n<tr><th>destination</th><th>connects</th>"
	      "<th>dialed</th><th>reused</th><th>reuse</th><th>reusable</th><th>stale</th><th>failed</th><th>dial p50</th>"
	      "<th>p99</th></tr>\n",
	      stream);
	cJSON_ArrayForEach(destination, array)
	{
		if (n++ < MAX_DESTINATIONS)
			write_destination(stream, destination);
	}
	fputs("</table></div>\n", stream);
	if (n > MAX_DESTINATIONS)
		fprintf(stream, "<p class=\"hint\">and %d more</p>\n", n - MAX_DESTINATIONS);
	fputs("</section>\n", stream);
}

void report_write_html(FILE *stream, const struct cJSON *root)
{
	char command[200], title[100];

	report_command(root, command, sizeof(command));
	report_command(root, title, sizeof(title));
	write_head(stream, title);
	fputs("<header>\n<div class=\"brand\">Holdline report</div>\n<h1>", stream);
	report_write_text(stream, command);
	fputs("</h1>\n", stream);
	write_facts(stream, root);
	fputs("</header>\n", stream);
	write_verdict(stream, root);
	write_tiles(stream, root);
	report_write_curves(stream, root);
	report_write_rankings(stream, root);
	write_destinations(stream, root);
	fputs("<footer>Made by <code>holdline report --html</code>. All that is shown is in this file: no scripts, no "
	      "network.</footer>\n</main>\n</body>\n</html>\n",
	      stream);
}
