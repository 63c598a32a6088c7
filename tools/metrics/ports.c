/* The state of the ports, as metrics. See metrics.h. */
#include "tools/metrics/metrics.h"

#include <math.h>

#include "tools/base/address.h"
#include "tools/ports/forecast.h"

/* One metric of each tuple. */
struct line {
	char source[ADDRESS_TEXT_MAX], destination[ADDRESS_TEXT_MAX];
	double used, sustainable, exhaustion_s;
};

static void set_line(struct line *line, const struct ports_sample *sample, const struct ports_tuple *tuple)
{
	struct ports_forecast forecast;

	ports_forecast_make(sample, tuple, NULL, &forecast);
	address_write(&tuple->key.source, tuple->key.interface, line->source);
	address_write_port(&tuple->key.destination, tuple->key.interface, tuple->key.port, line->destination);
	line->used = ports_tuple_used(tuple);
	line->sustainable = forecast.sustainable;
	line->exhaustion_s = forecast.exhaustion_s;
}

static void write_head(FILE *stream, const char *name, const char *help)
{
	metrics_write_head(stream, METRICS_OPENMETRICS, name, "gauge", help);
}

static void write_line(FILE *stream, const char *name, const struct line *line, double value)
{
	fprintf(stream, "%s{source=", name);
	metrics_write_label(stream, line->source);
	fputs(",destination=", stream);
	metrics_write_label(stream, line->destination);
	/* printf() would write "inf"; both formats want "+Inf". */
	if (isinf(value))
		fputs("} +Inf\n", stream);
	else
		fprintf(stream, "} %.10g\n", value);
}

static size_t set_lines(const struct ports_sample *sample, struct line lines[METRICS_MAX_TUPLES])
{
	const struct ports_tuple *tuple;
	size_t n = 0;

	for (tuple = sample->tuples; tuple && n < METRICS_MAX_TUPLES; tuple = tuple->hh.next)
		set_line(&lines[n++], sample, tuple);
	return n;
}

void metrics_write_ports(FILE *stream, const struct ports_sample *sample)
{
	static struct line lines[METRICS_MAX_TUPLES]; /* too large for some stacks */
	size_t n = set_lines(sample, lines);
	double most = 0;

	for (size_t i = 0; i < n; i++)
		most = fmax(most, lines[i].used);
	write_head(
		stream, "holdline_ephemeral_ports_usable",
		"Ports that connect() can choose from: the range less those reserved or held by bind() and listen().");
	fprintf(stream, "holdline_ephemeral_ports_usable %u\n", sample->n_usable);
	write_head(
		stream, "holdline_ephemeral_ports_max_usage_ratio",
		"Share of them that the pair of source and destination has in use that uses most, TIME_WAIT included.");
	fprintf(stream, "holdline_ephemeral_ports_max_usage_ratio %.6g\n",
		sample->n_usable ? most / sample->n_usable : 1);
	write_head(stream, "holdline_time_wait_connections", "Connections in TIME_WAIT, servers' included.");
	fprintf(stream, "holdline_time_wait_connections %u\n", sample->n_time_wait);
	write_head(stream, "holdline_ephemeral_ports_used",
		   "Ports in use from a source to a destination, TIME_WAIT included.");
	for (size_t i = 0; i < n; i++)
		write_line(stream, "holdline_ephemeral_ports_used", &lines[i], lines[i].used);
	write_head(stream, "holdline_dial_sustainable_rate",
		   "Dials a second from a source to a destination that could go on for ever. 0: not known.");
	for (size_t i = 0; i < n; i++)
		write_line(stream, "holdline_dial_sustainable_rate", &lines[i], lines[i].sustainable);
	write_head(stream, "holdline_ephemeral_ports_exhaustion_seconds",
		   "Until no port is left from a source to a destination, if it goes on as now.");
	for (size_t i = 0; i < n; i++)
		write_line(stream, "holdline_ephemeral_ports_exhaustion_seconds", &lines[i], lines[i].exhaustion_s);
}
