/* holdline doctor, the words for its findings. */
#include "tools/doctor/doctor.h"

#include <math.h>

#include "tools/base/address.h"
#include "tools/base/text.h"

#define FEW_USES 5 /* fewer uses allow no conclusion */

const char *doctor_symptom(enum doctor_cause cause)
{
	switch (cause) {
	case CAUSE_LOCAL_PORTS:
		return "Without a port, connect() fails with EADDRNOTAVAIL (Cannot assign requested address).";
	case CAUSE_BIND_PORT:
		return "Without a port, bind() to port 0 fails with EADDRINUSE (Address already in use).";
	case CAUSE_SNAT:
	case CAUSE_CONNTRACK_FULL:
		return "New connections are dropped silently: connect() fails with ETIMEDOUT (Connection timed out).";
	case CAUSE_FIXED_SOURCE_PORT:
		return "For that port bind() fails with EADDRINUSE, or connect() with EADDRNOTAVAIL, though others are free.";
	case CAUSE_UNKNOWN:
		return "Without an answer, connect() fails with ETIMEDOUT (Connection timed out).";
	case CAUSE_HEALTHY:
		break;
	}
	return "";
}

static void describe_tuple(const struct doctor_report *report, const struct doctor_tuple *seen,
			   char text[DOCTOR_TEXT_MAX])
{
	const struct ports_tuple *tuple = seen->tuple;
	unsigned used = ports_tuple_used(tuple), usable = report->sample.n_usable;
	char source[ADDRESS_TEXT_MAX], destination[ADDRESS_TEXT_MAX], until[64] = "";

	address_write(&tuple->key.source, tuple->key.interface, source);
	address_write_port(&tuple->key.destination, tuple->key.interface, tuple->key.port, destination);
	if (seen->forecast.exhaustion_s <= 0) {
		snprintf(text, DOCTOR_TEXT_MAX,
			 "no port is left from %s to %s: all %u are in use, %u of them in TIME_WAIT", source,
			 destination, usable, tuple->n_time_wait);
		return;
	}
	if (isfinite(seen->forecast.exhaustion_s))
		snprintf(until, sizeof(until), "; at this rate none is left in %.0f s", seen->forecast.exhaustion_s);
	snprintf(text, DOCTOR_TEXT_MAX, "%u of %u ports from %s to %s are in use, %u of them in TIME_WAIT%s", used,
		 usable, source, destination, tuple->n_time_wait, until);
}

static void describe_nat(const struct doctor_report *report, const struct nat_tuple *tuple, char text[DOCTOR_TEXT_MAX])
{
	char source[ADDRESS_TEXT_MAX], destination[ADDRESS_TEXT_MAX];
	struct nat_range range;
	unsigned long long n_dropped = report->nat.counters.n_dropped - report->nat_before.n_dropped;

	if (!tuple) {
		snprintf(text, DOCTOR_TEXT_MAX,
			 "netfilter dropped %llu new connection%s in %.1f s, though ports are free here", n_dropped,
			 text_plural((double)n_dropped), report->pace.seconds);
		return;
	}
	nat_find_range(&report->nat, tuple, &range);
	address_write(&tuple->key.address, 0, source);
	address_write_port(&tuple->key.destination, 0, tuple->key.port, destination);
	snprintf(text, DOCTOR_TEXT_MAX, "%u of the %u ports that NAT has from %s to %s are held (%u-%u%s%s)",
		 tuple->n_held, range.last - range.first + 1u, source, destination, range.first, range.last,
		 *range.rule ? ", rule in " : "", range.rule);
}

static void describe_fixed(const struct ports_fixed *fixed, char text[DOCTOR_TEXT_MAX])
{
	char source[ADDRESS_TEXT_MAX], destination[ADDRESS_TEXT_MAX], name[OWNERS_NAME_MAX], who[64] = "",
											     until[64] = "";

	address_write_port(&fixed->key.source, fixed->key.interface, fixed->source_port, source);
	address_write_port(&fixed->key.destination, fixed->key.interface, fixed->key.port, destination);
	if (fixed->pid) {
		owners_name(fixed->pid, name);
		snprintf(who, sizeof(who), " by %s (%d)", name, (int)fixed->pid);
	}
	if (fixed->state == TCP_TIME_WAIT)
		snprintf(until, sizeof(until), ", in TIME_WAIT for another %.0f s", fixed->expires_ms / 1000.0);
	snprintf(text, DOCTOR_TEXT_MAX, "a source port that no connect() chose is taken%s: %s to %s%s%s", who, source,
		 destination, until, fixed->is_wanted ? "; another socket is bound to it and not connected" : "");
}

/* Troubles that look like exhaustion but are not of this machine's ports. */
static void describe_silence(const struct ports_tuple *tuple, char text[DOCTOR_TEXT_MAX])
{
	char destination[ADDRESS_TEXT_MAX];

	address_write_port(&tuple->key.destination, tuple->key.interface, tuple->key.port, destination);
	snprintf(
		text, DOCTOR_TEXT_MAX,
		"%u dial%s to %s got no answer yet, though ports are free and %u connection%s could be made there: a server "
		"whose queue is full, a firewall, or full NAT on the way",
		tuple->n_unanswered, text_plural(tuple->n_unanswered), destination, tuple->n_established,
		text_plural(tuple->n_established));
}

void doctor_describe(const struct doctor_report *report, const struct doctor_finding *finding,
		     char text[DOCTOR_TEXT_MAX])
{
	const struct ports_sample *sample = &report->sample;
	char source[ADDRESS_TEXT_MAX];

	switch (finding->cause) {
	case CAUSE_LOCAL_PORTS:
		if (finding->tuple)
			describe_tuple(report, finding->tuple, text);
		else
			snprintf(text, DOCTOR_TEXT_MAX, "no port is usable: all %u of %u-%u are reserved or held",
				 sample->n_range, sample->settings.first, sample->settings.last);
		break;
	case CAUSE_BIND_PORT:
		address_write(&finding->source->address, 0, source);
		snprintf(
			text, DOCTOR_TEXT_MAX,
			"%u of %u ports of %s are in use, taken by bind() before connect(), so each for one destination only",
			finding->source->n_ports, sample->n_usable, source);
		break;
	case CAUSE_SNAT:
		describe_nat(report, finding->nat_tuple, text);
		break;
	case CAUSE_CONNTRACK_FULL:
		snprintf(text, DOCTOR_TEXT_MAX, "netfilter's table of connections has %llu of at most %llu entries",
			 (unsigned long long)report->nat.counters.n_entries,
			 (unsigned long long)report->nat.counters.n_max);
		break;
	case CAUSE_FIXED_SOURCE_PORT:
		describe_fixed(finding->fixed, text);
		break;
	case CAUSE_UNKNOWN:
		describe_silence(finding->tuple->tuple, text);
		break;
	case CAUSE_HEALTHY:
		*text = '\0';
	}
}

double doctor_reduced_rate(const struct doctor_tuple *seen)
{
	const struct stats_replay_result *replay = &seen->counted.replay;

	/* If kept connections serve most connects already, there is nothing to gain. */
	if (replay->n_uses < FEW_USES || seen->counted.n_dialed * 2 < seen->counted.n_connects)
		return -1;
	return seen->forecast.dials * (double)replay->n_dials / (double)replay->n_uses;
}

bool doctor_explain(const struct doctor_tuple *seen, char text[DOCTOR_TEXT_MAX])
{
	const struct attribution *counted = &seen->counted;
	double rate = doctor_reduced_rate(seen);
	size_t length;

	if (!counted->is_there || counted->n_dialed == 0)
		return false;
	length = (size_t)snprintf(text, DOCTOR_TEXT_MAX, "Holdline counted %llu dials there",
				  (unsigned long long)counted->n_dialed);
	if (counted->n_processes)
		length += (size_t)snprintf(text + length, DOCTOR_TEXT_MAX - length, ", most by %s (%d)",
					   counted->processes[0].program, (int)counted->processes[0].pid);
	if (counted->n_places)
		length += (size_t)snprintf(text + length, DOCTOR_TEXT_MAX - length, ", at %s", counted->places[0].text);
	if (counted->n_connects)
		length += (size_t)snprintf(text + length, DOCTOR_TEXT_MAX - length,
					   "; %.0f %% of the connections could be reused",
					   100.0 * (double)counted->n_reusable / (double)counted->n_connects);
	if (rate >= 0)
		snprintf(text + length, DOCTOR_TEXT_MAX - length,
			 ", and a pool of %zu would make %.3g dials a second of %.3g", counted->replay.pool_size, rate,
			 seen->forecast.dials);
	return true;
}

static void note_unanswered(const struct doctor_report *report, void (*each)(void *context, const char *text),
			    void *context)
{
	for (size_t i = 0; i < report->n_tuples; i++) {
		char text[DOCTOR_TEXT_MAX];

		if (report->tuples[i].tuple->n_unanswered == 0)
			continue;
		describe_silence(report->tuples[i].tuple, text);
		each(context, text);
	}
}

void doctor_note(const struct doctor_report *report, void (*each)(void *context, const char *text), void *context)
{
	unsigned n_hidden = 0;

	if (report->cause != CAUSE_UNKNOWN)
		note_unanswered(report, each, context);
	for (size_t i = 0; i < report->sample.n_live; i++)
		n_hidden += report->sample.live[i].pid == 0;
	if (n_hidden)
		each(context, "some sockets belong to processes that only root can see, or to the kernel");
	if (!report->nat.is_readable)
		each(context, "NAT could not be looked at: that needs root (CAP_NET_ADMIN)");
	if (report->are_counts_missing)
		each(context, "the folder of counts that HOLDLINE_STATS names can't be read");
	if (report->sample.is_incomplete)
		each(context, "memory ran out: some sockets were not counted");
}
