/* holdline doctor's answer for people: the verdict first, then the evidence, then what helps. */
#include "tools/doctor/doctor.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

#include "tools/base/address.h"
#include "tools/base/sparkline.h"
#include "tools/base/text.h"

#define MAX_ROWS 10
#define FEW_ROWS 3 /* shown whatever they contain; further rows if they use a hundredth of the ports, or ten */
#define MAX_HOLDERS 8
#define WIDTH 96

/* Prints `text` in lines of WIDTH: the first begins after `column` printed characters, the others are indented by
 * `indent`. */
static void print_wrapped(FILE *stream, const char *text, int column, int indent)
{
	while (column + (int)strlen(text) > WIDTH) {
		int length = WIDTH - column;

		while (length > 0 && text[length] != ' ')
			length--;
		fprintf(stream, "%.*s\n%*s", length, text, indent, "");
		text += length + (text[length] == ' ');
		/* A word longer than a line. */
		if (column == indent && length == 0)
			break;
		column = indent;
	}
	fprintf(stream, "%s\n", text);
}

static void print_verdict(const struct doctor_report *report, FILE *stream)
{
	char text[DOCTOR_TEXT_MAX], status[16];
	size_t length = 0;
	int column;

	for (const char *name = doctor_status_name(report->status); *name; name++)
		status[length++] = (char)toupper((unsigned char)*name);
	status[length] = '\0';
	if (report->n_findings == 0) {
		fprintf(stream, "%s (%s): no limit of ports is met or near\n", status,
			doctor_cause_name(report->cause));
		return;
	}
	doctor_describe(report, &report->findings[0], text);
	column = fprintf(stream, "%s (%s): ", status, doctor_cause_name(report->cause));
	print_wrapped(stream, text, column, 4);
	column = fprintf(stream, "    ");
	print_wrapped(stream, doctor_symptom(report->cause), column, 4);
	if (report->findings[0].tuple && doctor_explain(report->findings[0].tuple, text)) {
		column = fprintf(stream, "    ");
		print_wrapped(stream, text, column, 4);
	}
	for (size_t i = 1; i < report->n_findings; i++) {
		doctor_describe(report, &report->findings[i], text);
		column = fprintf(stream, "  also %s (%s): ", doctor_status_name(report->findings[i].status),
				 doctor_cause_name(report->findings[i].cause));
		print_wrapped(stream, text, column, 4);
	}
}

static const char *explain_reuse(const struct ports_settings *settings)
{
	if (settings->reuse == 0)
		return "never";
	if (!settings->has_timestamps)
		return "not in effect, for tcp_timestamps is 0";
	return settings->reuse == 1 ? "everywhere" : "on loopback only";
}

static void print_holders(const struct ports_sample *sample, FILE *stream)
{
	unsigned n_shown = 0;

	for (size_t i = 0; i < sample->n_holders; i++) {
		const struct ports_holder *holder = &sample->holders[i];
		char name[OWNERS_NAME_MAX] = "?";

		if (i > 0 && holder->port == holder[-1].port)
			continue;
		if (n_shown++ == MAX_HOLDERS)
			break;
		if (holder->pid)
			owners_name(holder->pid, name);
		fprintf(stream, "          %u %s %s (%d)\n", holder->port,
			holder->listens ? "listened on by" : "bound by", name, (int)holder->pid);
	}
	if (sample->n_held > MAX_HOLDERS)
		fprintf(stream, "          and %u more\n", sample->n_held - MAX_HOLDERS);
}

static void print_budget(const struct doctor_report *report, FILE *stream)
{
	const struct ports_sample *sample = &report->sample;

	fprintf(stream, "\nports     %u-%u: %u; reserved: %u; held by bind() or listen(): %u\n", sample->settings.first,
		sample->settings.last, sample->n_range, sample->n_reserved, sample->n_held);
	print_holders(sample, stream);
	fprintf(stream, "usable    %u from each address to each destination\n", sample->n_usable);
	fprintf(stream, "reuse of TIME_WAIT by connect()    %s (tcp_tw_reuse %d)\n", explain_reuse(&sample->settings),
		sample->settings.reuse);
	fprintf(stream, "sockets   %u TCP socket%s, %u of them in TIME_WAIT; Linux %s\n", sample->n_sockets,
		text_plural(sample->n_sockets), sample->n_time_wait, report->kernel);
	if (report->pace.seconds > 0)
		fprintf(stream, "dials     %.1f a second in all, over %.1f s\n",
			(double)report->pace.n_dials / report->pace.seconds, report->pace.seconds);
	if (report->nat.counters.is_tracking && report->nat.counters.n_entries)
		fprintf(stream, "netfilter %llu of at most %llu connections tracked\n",
			(unsigned long long)report->nat.counters.n_entries,
			(unsigned long long)report->nat.counters.n_max);
}

static void print_rate(FILE *stream, double rate)
{
	if (rate >= 0.05)
		fprintf(stream, rate < 100 ? " %7.1f" : " %7.0f", rate);
	else
		fprintf(stream, " %7s", "-");
}

static void print_owners(const struct doctor_tuple *seen, FILE *stream)
{
	fputs("    held by ", stream);
	for (size_t i = 0; i < seen->n_shares; i++) {
		const struct owners_share *share = &seen->shares[i];
		char name[OWNERS_NAME_MAX];

		if (share->pid) {
			owners_name(share->pid, name);
			fprintf(stream, "%s (%d): %u, ", name, (int)share->pid, share->n);
		} else if (share->ended[0]) {
			fprintf(stream, "%s (ended): %u, ", share->ended, share->n);
		} else {
			fprintf(stream, "user %u: %u, ", share->uid, share->n);
		}
	}
	if (attribution_explains(&seen->counted, seen->tuple))
		fprintf(stream, "TIME_WAIT after counted dials: %u, ",
			attribution_explains(&seen->counted, seen->tuple));
	fprintf(stream, "unattributed: %u\n", seen->n_unattributed);
}

static double percent(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}

static void print_counted(const struct attribution *counted, FILE *stream)
{
	if (!counted->is_there)
		return;
	fprintf(stream, "    counted %llu connects, %llu dialed, %llu reused; reusable %.0f %%",
		(unsigned long long)counted->n_connects, (unsigned long long)counted->n_dialed,
		(unsigned long long)counted->n_reused, percent(counted->n_reusable, counted->n_connects));
	if (counted->top_refusal != REFUSAL_NONE)
		fprintf(stream, "; refused: %s %llu", stats_refusal_names[counted->top_refusal],
			(unsigned long long)counted->n_top_refused);
	fputs("\n    dialed by ", stream);
	for (size_t i = 0; i < counted->n_processes; i++)
		fprintf(stream, "%s (%d): %.0f %%, ", counted->processes[i].program, (int)counted->processes[i].pid,
			percent(counted->processes[i].n_dialed, counted->n_dialed));
	fprintf(stream, "others, ended ones among them: %.0f %%\n",
		percent(counted->n_dialed_by_others, counted->n_dialed));
	for (size_t i = 0; i < counted->n_places; i++)
		fprintf(stream, "    dialed at %s: %.0f %%\n", counted->places[i].text,
			percent(counted->places[i].n_dialed, counted->n_dialed));
	if (counted->replay.n_uses)
		fprintf(stream, "    of the last %zu recorded connections, a pool of %zu would have dialed %zu\n",
			counted->replay.n_uses, counted->replay.pool_size, counted->replay.n_dials);
}

static void print_history(const struct ports_tuple *tuple, FILE *stream)
{
	unsigned seconds[PORTS_TIME_WAIT_S] = {0}, largest = 0;
	char curve[SPARKLINE_BYTES];

	for (unsigned i = 0; i < PORTS_N_BINS; i++)
		seconds[PORTS_TIME_WAIT_S - 1 - i / PORTS_BINS_A_SECOND] += tuple->closed[i];
	for (unsigned i = 0; i < PORTS_TIME_WAIT_S; i++)
		largest = seconds[i] > largest ? seconds[i] : largest;
	sparkline_write(seconds, PORTS_TIME_WAIT_S, sparkline_is_utf8(), curve);
	fprintf(stream, "    closed  [%s] up to %u/s, -60 s to now\n", curve, largest);
}

static void print_tuple(const struct doctor_report *report, const struct doctor_tuple *seen, FILE *stream)
{
	const struct ports_tuple *tuple = seen->tuple;
	unsigned used = ports_tuple_used(tuple), usable = report->sample.n_usable;
	char source[ADDRESS_TEXT_MAX], destination[ADDRESS_TEXT_MAX], end[32] = "never";

	address_write(&tuple->key.source, tuple->key.interface, source);
	address_write_port(&tuple->key.destination, tuple->key.interface, tuple->key.port, destination);
	if (seen->forecast.exhaustion_s <= 0)
		snprintf(end, sizeof(end), "now");
	else if (isfinite(seen->forecast.exhaustion_s))
		snprintf(end, sizeof(end), "%.0f s", seen->forecast.exhaustion_s);
	fprintf(stream, "%-15s %-21s %5u %3.0f%% %6u %6u", source, destination, used,
		usable ? 100.0 * used / usable : 100.0, tuple->n_established, tuple->n_time_wait);
	print_rate(stream, seen->forecast.dials);
	print_rate(stream, seen->forecast.sustainable);
	fprintf(stream, " %8s%s\n", end, seen->forecast.is_past_cliff ? " !" : "");
	if (tuple->closed)
		print_history(tuple, stream);
	print_owners(seen, stream);
	print_counted(&seen->counted, stream);
}

static void print_tuples(const struct doctor_report *report, FILE *stream)
{
	bool is_past_cliff = false;
	size_t n = 0;

	if (report->n_tuples == 0) {
		fputs("\nNo ephemeral port is in use.\n", stream);
		return;
	}
	fprintf(stream, "\n%-15s %-21s %10s %6s %6s %7s %7s %8s\n", "from", "to", "in use", "estab", "t-wait",
		"dials/s", "max/s", "none in");
	for (; n < report->n_tuples && n < MAX_ROWS; n++) {
		unsigned used = ports_tuple_used(report->tuples[n].tuple);

		if (n >= FEW_ROWS && used < 10 && used * 100 < report->sample.n_usable)
			break;
		print_tuple(report, &report->tuples[n], stream);
		is_past_cliff |= report->tuples[n].forecast.is_past_cliff;
	}
	if (HASH_COUNT(report->sample.tuples) > n)
		fprintf(stream, "and %zu more, with less in use\n", HASH_COUNT(report->sample.tuples) - n);
	if (is_past_cliff)
		fputs("! more than half of the ports is in use: each connect() there searches in vain first, and gets slow\n",
		      stream);
}

static void print_note(void *stream, const char *text)
{
	print_wrapped(stream, text, fprintf(stream, "note: "), 6);
}

static void print_fixes(const struct doctor_report *report, FILE *stream)
{
	if (report->n_fixes)
		fputs("\nWhat helps, the least harmful first:\n", stream);
	for (size_t i = 0; i < report->n_fixes; i++) {
		const struct doctor_fix *fix = &report->fixes[i];

		print_wrapped(stream, fix->what, fprintf(stream, "%2zu. ", i + 1), 4);
		if (*fix->command)
			fprintf(stream, "        %s\n", fix->command);
		print_wrapped(stream, fix->risk, fprintf(stream, "    Risk: "), 10);
	}
}

void doctor_print(const struct doctor_report *report, FILE *stream)
{
	print_verdict(report, stream);
	print_budget(report, stream);
	print_tuples(report, stream);
	doctor_note(report, print_note, stream);
	print_fixes(report, stream);
}
