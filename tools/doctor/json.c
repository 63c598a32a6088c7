/* holdline doctor's answer for programs. A name tells its unit; unknown values are null. */
#include "tools/doctor/doctor.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>

#include "tools/base/address.h"

static void add_address(cJSON *object, const char *name, const struct in6_addr *address, unsigned interface)
{
	char text[ADDRESS_TEXT_MAX];

	address_write(address, interface, text);
	cJSON_AddStringToObject(object, name, text);
}

static void add_destination(cJSON *object, const struct in6_addr *address, unsigned interface, unsigned port)
{
	char text[ADDRESS_TEXT_MAX];

	address_write_port(address, interface, port, text);
	cJSON_AddStringToObject(object, "destination", text);
}

static void add_process(cJSON *object, pid_t pid, uint32_t uid)
{
	char name[OWNERS_NAME_MAX];

	cJSON_AddNumberToObject(object, "uid", uid);
	if (pid == 0) {
		cJSON_AddNullToObject(object, "pid");
		cJSON_AddNullToObject(object, "program");
		return;
	}
	owners_name(pid, name);
	cJSON_AddNumberToObject(object, "pid", pid);
	cJSON_AddStringToObject(object, "program", name);
}

/* Three significant digits are more than any of these figures has. */
static void add_figure(cJSON *object, const char *name, double value, bool is_known)
{
	char text[32];

	if (!is_known || !isfinite(value)) {
		cJSON_AddNullToObject(object, name);
		return;
	}
	snprintf(text, sizeof(text), fabs(value) < 1000 ? "%.3g" : "%.0f", value);
	cJSON_AddRawToObject(object, name, text);
}

static void add_budget(cJSON *root, const struct ports_sample *sample)
{
	cJSON *budget = cJSON_AddObjectToObject(root, "budget"), *holders;

	cJSON_AddNumberToObject(budget, "first_port", sample->settings.first);
	cJSON_AddNumberToObject(budget, "last_port", sample->settings.last);
	cJSON_AddNumberToObject(budget, "range_ports", sample->n_range);
	cJSON_AddNumberToObject(budget, "reserved_ports", sample->n_reserved);
	cJSON_AddNumberToObject(budget, "bound_ports", sample->n_held);
	cJSON_AddNumberToObject(budget, "usable_ports", sample->n_usable);
	cJSON_AddNumberToObject(budget, "tcp_tw_reuse", sample->settings.reuse);
	cJSON_AddNumberToObject(budget, "tcp_tw_reuse_delay_seconds", sample->settings.reuse_delay_ms / 1000.0);
	cJSON_AddBoolToObject(budget, "tcp_timestamps", sample->settings.has_timestamps);
	holders = cJSON_AddArrayToObject(budget, "bound_by");
	for (size_t i = 0; i < sample->n_holders; i++) {
		const struct ports_holder *holder = &sample->holders[i];
		cJSON *object = cJSON_CreateObject();

		add_address(object, "address", &holder->address, 0);
		cJSON_AddNumberToObject(object, "port", holder->port);
		cJSON_AddBoolToObject(object, "listens", holder->listens);
		add_process(object, holder->pid, holder->uid);
		cJSON_AddItemToArray(holders, object);
	}
}

static void add_owners(cJSON *object, const struct doctor_tuple *seen)
{
	cJSON *owners = cJSON_AddArrayToObject(object, "owners");

	for (size_t i = 0; i < seen->n_shares; i++) {
		cJSON *owner = cJSON_CreateObject();

		add_process(owner, seen->shares[i].pid, seen->shares[i].uid);
		if (seen->shares[i].ended[0])
			cJSON_ReplaceItemInObject(owner, "program", cJSON_CreateString(seen->shares[i].ended));
		cJSON_AddNumberToObject(owner, "connections", seen->shares[i].n);
		cJSON_AddItemToArray(owners, owner);
	}
	cJSON_AddNumberToObject(object, "unattributed_connections", seen->n_unattributed);
}

static void add_processes(cJSON *object, const struct attribution *counted)
{
	cJSON *processes = cJSON_AddArrayToObject(object, "processes"), *places;

	for (size_t i = 0; i < counted->n_processes; i++) {
		cJSON *item = cJSON_CreateObject();

		cJSON_AddNumberToObject(item, "pid", counted->processes[i].pid);
		cJSON_AddNumberToObject(item, "uid", counted->processes[i].uid);
		cJSON_AddStringToObject(item, "program", counted->processes[i].program);
		cJSON_AddNumberToObject(item, "dialed", (double)counted->processes[i].n_dialed);
		cJSON_AddItemToArray(processes, item);
	}
	cJSON_AddNumberToObject(object, "dialed_by_others", (double)counted->n_dialed_by_others);
	places = cJSON_AddArrayToObject(object, "callsites");
	for (size_t i = 0; i < counted->n_places; i++) {
		cJSON *item = cJSON_CreateObject();

		cJSON_AddStringToObject(item, "place", counted->places[i].text);
		cJSON_AddStringToObject(item, "program", counted->places[i].program);
		cJSON_AddNumberToObject(item, "dialed", (double)counted->places[i].n_dialed);
		cJSON_AddItemToArray(places, item);
	}
}

static void add_counted(cJSON *tuple, const struct doctor_tuple *seen)
{
	const struct attribution *counted = &seen->counted;
	double rate = doctor_reduced_rate(seen);
	cJSON *object;

	if (!counted->is_there) {
		cJSON_AddNullToObject(tuple, "counted");
		return;
	}
	object = cJSON_AddObjectToObject(tuple, "counted");
	cJSON_AddNumberToObject(object, "connects", (double)counted->n_connects);
	cJSON_AddNumberToObject(object, "dialed", (double)counted->n_dialed);
	cJSON_AddNumberToObject(object, "reused", (double)counted->n_reused);
	cJSON_AddNumberToObject(object, "reusable", (double)counted->n_reusable);
	add_figure(object, "reusable_ratio", (double)counted->n_reusable / (double)counted->n_connects,
		   counted->n_connects > 0);
	if (counted->top_refusal == REFUSAL_NONE)
		cJSON_AddNullToObject(object, "top_refusal");
	else
		cJSON_AddStringToObject(object, "top_refusal", stats_refusal_names[counted->top_refusal]);
	add_processes(object, counted);
	cJSON_AddNumberToObject(object, "recorded_connections", (double)counted->replay.n_uses);
	cJSON_AddNumberToObject(object, "recorded_dials_with_pool", (double)counted->replay.n_dials);
	cJSON_AddNumberToObject(object, "pool_connections", (double)counted->replay.pool_size);
	add_figure(object, "dials_with_pool_per_second", rate, rate >= 0);
}

static void add_history(cJSON *object, const struct ports_tuple *tuple)
{
	cJSON *history = cJSON_AddArrayToObject(object, "closed_each_second");

	for (unsigned second = PORTS_TIME_WAIT_S; second-- > 0;) {
		unsigned n = 0;

		for (unsigned i = 0; tuple->closed && i < PORTS_BINS_A_SECOND; i++)
			n += tuple->closed[second * PORTS_BINS_A_SECOND + i];
		cJSON_AddItemToArray(history, cJSON_CreateNumber(n));
	}
}

static cJSON *make_tuple(const struct doctor_report *report, const struct doctor_tuple *seen)
{
	const struct ports_forecast *forecast = &seen->forecast;
	const struct ports_tuple *tuple = seen->tuple;
	cJSON *object = cJSON_CreateObject();
	unsigned used = ports_tuple_used(tuple), usable = report->sample.n_usable;

	add_address(object, "source", &tuple->key.source, tuple->key.interface);
	add_destination(object, &tuple->key.destination, tuple->key.interface, tuple->key.port);
	cJSON_AddNumberToObject(object, "used_ports", used);
	cJSON_AddNumberToObject(object, "usable_ports", usable);
	add_figure(object, "used_ratio", (double)used / (usable ? usable : 1), usable > 0);
	cJSON_AddNumberToObject(object, "established", tuple->n_established);
	cJSON_AddNumberToObject(object, "time_wait", tuple->n_time_wait);
	cJSON_AddNumberToObject(object, "other", tuple->n_other);
	cJSON_AddNumberToObject(object, "unanswered", tuple->n_unanswered);
	cJSON_AddNumberToObject(object, "reusable_time_wait", tuple->n_time_wait - tuple->n_young);
	add_figure(object, "dials_per_second", forecast->dials, true);
	add_figure(object, "closes_per_second", forecast->closes, true);
	add_figure(object, "growth_per_second", forecast->growth, true);
	add_figure(object, "lifetime_seconds", forecast->lifetime_s, forecast->dials > 0);
	add_figure(object, "sustainable_dials_per_second", forecast->sustainable, forecast->sustainable > 0);
	add_figure(object, "exhaustion_seconds", forecast->exhaustion_s, true);
	cJSON_AddNumberToObject(object, "forecast_events", forecast->n_events);
	cJSON_AddBoolToObject(object, "is_past_scan_cliff", forecast->is_past_cliff);
	add_history(object, tuple);
	add_owners(object, seen);
	add_counted(object, seen);
	return object;
}

static void add_nat(cJSON *root, const struct doctor_report *report)
{
	const struct nat_counters *counters = &report->nat.counters;
	cJSON *object = cJSON_AddObjectToObject(root, "netfilter"), *tuples;

	cJSON_AddBoolToObject(object, "is_readable", report->nat.is_readable);
	cJSON_AddNumberToObject(object, "tracked_connections", (double)counters->n_entries);
	cJSON_AddNumberToObject(object, "max_connections", (double)counters->n_max);
	cJSON_AddNumberToObject(object, "insert_failed", (double)counters->n_insert_failed);
	cJSON_AddNumberToObject(object, "dropped", (double)counters->n_dropped);
	tuples = cJSON_AddArrayToObject(object, "snat");
	for (const struct nat_tuple *tuple = report->nat.tuples; tuple; tuple = tuple->hh.next) {
		struct nat_range range;
		cJSON *item = cJSON_CreateObject();

		nat_find_range(&report->nat, tuple, &range);
		add_address(item, "source", &tuple->key.address, 0);
		add_destination(item, &tuple->key.destination, 0, tuple->key.port);
		cJSON_AddNumberToObject(item, "first_port", range.first);
		cJSON_AddNumberToObject(item, "last_port", range.last);
		cJSON_AddNumberToObject(item, "held_ports", tuple->n_held);
		cJSON_AddNumberToObject(item, "closing_ports", tuple->n_closing);
		cJSON_AddItemToArray(tuples, item);
	}
}

static void add_fixed(cJSON *root, const struct ports_sample *sample)
{
	cJSON *array = cJSON_AddArrayToObject(root, "fixed_source_ports");

	for (size_t i = 0; i < sample->n_fixed; i++) {
		const struct ports_fixed *fixed = &sample->fixed[i];
		cJSON *object = cJSON_CreateObject();

		add_address(object, "source", &fixed->key.source, fixed->key.interface);
		cJSON_AddNumberToObject(object, "source_port", fixed->source_port);
		add_destination(object, &fixed->key.destination, fixed->key.interface, fixed->key.port);
		cJSON_AddBoolToObject(object, "time_wait", fixed->state == TCP_TIME_WAIT);
		cJSON_AddBoolToObject(object, "wanted_by_another", fixed->is_wanted);
		add_process(object, fixed->pid, fixed->uid);
		cJSON_AddItemToArray(array, object);
	}
}

static void add_findings(cJSON *root, const struct doctor_report *report)
{
	cJSON *findings = cJSON_AddArrayToObject(root, "findings"), *fixes = cJSON_AddArrayToObject(root, "fixes");
	char text[DOCTOR_TEXT_MAX];

	for (size_t i = 0; i < report->n_findings; i++) {
		cJSON *object = cJSON_CreateObject();

		doctor_describe(report, &report->findings[i], text);
		cJSON_AddStringToObject(object, "verdict", doctor_status_name(report->findings[i].status));
		cJSON_AddStringToObject(object, "cause", doctor_cause_name(report->findings[i].cause));
		cJSON_AddStringToObject(object, "text", text);
		cJSON_AddItemToArray(findings, object);
	}
	for (size_t i = 0; i < report->n_fixes; i++) {
		cJSON *object = cJSON_CreateObject();

		cJSON_AddStringToObject(object, "what", report->fixes[i].what);
		if (*report->fixes[i].command)
			cJSON_AddStringToObject(object, "command", report->fixes[i].command);
		else
			cJSON_AddNullToObject(object, "command");
		cJSON_AddStringToObject(object, "risk", report->fixes[i].risk);
		cJSON_AddItemToArray(fixes, object);
	}
}

static void add_note(void *notes, const char *text)
{
	cJSON_AddItemToArray(notes, cJSON_CreateString(text));
}

void doctor_print_json(const struct doctor_report *report, FILE *stream)
{
	cJSON *root = cJSON_CreateObject(), *tuples;
	char *text;

	cJSON_AddNumberToObject(root, "schema_version", DOCTOR_SCHEMA_VERSION);
	cJSON_AddStringToObject(root, "verdict", doctor_status_name(report->status));
	cJSON_AddStringToObject(root, "cause", doctor_cause_name(report->cause));
	cJSON_AddNumberToObject(root, "exit_status", report->status);
	add_findings(root, report);
	doctor_note(report, add_note, cJSON_AddArrayToObject(root, "notes"));
	cJSON_AddStringToObject(root, "kernel", report->kernel);
	add_figure(root, "window_seconds", report->pace.seconds, true);
	add_figure(root, "dials_per_second", (double)report->pace.n_dials / report->pace.seconds,
		   report->pace.seconds > 0);
	add_budget(root, &report->sample);
	cJSON_AddNumberToObject(root, "sockets", report->sample.n_sockets);
	cJSON_AddNumberToObject(root, "time_wait_sockets", report->sample.n_time_wait);
	tuples = cJSON_AddArrayToObject(root, "tuples");
	for (size_t i = 0; i < report->n_tuples; i++)
		cJSON_AddItemToArray(tuples, make_tuple(report, &report->tuples[i]));
	add_nat(root, report);
	add_fixed(root, &report->sample);
	text = cJSON_Print(root);
	fprintf(stream, "%s\n", text ? text : "{}");
	free(text);
	cJSON_Delete(root);
}
