/* holdline metrics: counts and ports for Prometheus, on standard output, in a file, or over HTTP. */
#include "tools/metrics/metrics.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/base/cli.h"
#include "tools/base/version.h"
#include "tools/commands.h"
#include "tools/ports/kernel.h"
#include "tools/stats/read.h"
#include "tools/stats/view.h"

static void write_all(FILE *stream, struct metrics_names *names, enum metrics_format format)
{
	static struct ports_sample sample; /* too large for some stacks */
	struct stats_view view;
	int error = stats_read_counts(&view, NULL);

	metrics_write_head(stream, format, "holdline_build_info", "gauge",
			   "The version of the command that says this.");
	fputs("holdline_build_info{version=\"" HOLDLINE_VERSION "\"} 1\n", stream);
	/* A missing folder has no counts yet. */
	if (!error || error == -ENOENT)
		metrics_write_counts(stream, format, names, &view);
	stats_view_fini(&view);
	if (ports_kernel_sample(&sample, NULL) == 0) {
		metrics_write_ports(stream, &sample);
		ports_sample_fini(&sample);
	}
	/* The older format takes this line for a comment. */
	fputs("# EOF\n", stream);
}

char *metrics_make(struct metrics_names *names, enum metrics_format format, size_t *length)
{
	char *text = NULL;
	FILE *stream = open_memstream(&text, length);

	if (!stream)
		return NULL;
	write_all(stream, names, format);
	if (fclose(stream) == 0)
		return text;
	free(text);
	return NULL;
}

static const struct cli cli = {
	"metrics",
	"usage: holdline metrics [--textfile FILE | --listen ADDRESS:PORT] [--destinations N]\n\n"
	"Says what programs under Holdline have counted, and how the machine's ephemeral ports stand, in Prometheus'\n"
	"OpenMetrics format: of this user's programs, for root of all. On standard output; or\n\n"
	"  --textfile FILE        in FILE, which is replaced as a whole, for node_exporter's textfile collector\n"
	"  --listen ADDRESS:PORT  over HTTP at /metrics, until it is ended: 127.0.0.1:9464, [::1]:9464, :9464\n"
	"  --destinations N       how many destinations have a name (default 50, at most 1000); others are \"other\"\n\n"
	"Exit status: 0; 1: can't write, or listen; 2: bad arguments.\n",
	EXIT_USAGE};

static int print(struct metrics_names *names)
{
	size_t length;
	char *text = metrics_make(names, METRICS_OPENMETRICS, &length);

	if (!text)
		return cli_complain(cli.command, "standard output", ENOMEM);
	fwrite(text, 1, length, stdout);
	free(text);
	return fflush(stdout) == 0 ? 0 : cli_complain(cli.command, "standard output", errno);
}

/* Written under another name first: a collector never reads half a file. */
static int write_file(const char *path, struct metrics_names *names)
{
	char temporary[PATH_MAX];
	size_t length;
	char *text = metrics_make(names, METRICS_OPENMETRICS, &length);
	FILE *stream;
	int error;

	if (!text)
		return cli_complain(cli.command, path, ENOMEM);
	if ((size_t)snprintf(temporary, sizeof(temporary), "%s.%d", path, (int)getpid()) >= sizeof(temporary)) {
		free(text);
		return cli_complain(cli.command, path, ENAMETOOLONG);
	}
	stream = fopen(temporary, "wxe");
	error = stream ? 0 : errno;
	if (stream && fwrite(text, 1, length, stream) != length)
		error = errno;
	free(text);
	if (stream && fclose(stream) != 0 && !error)
		error = errno;
	if (!error && rename(temporary, path) < 0)
		error = errno;
	if (!error)
		return 0;
	if (stream)
		unlink(temporary);
	return cli_complain(cli.command, path, error);
}

static bool take_number(const char *text, size_t *number)
{
	char *end;

	errno = 0;
	*number = strtoul(text, &end, 10);
	return *text >= '0' && *text <= '9' && !*end && !errno && *number <= METRICS_MAX_DESTINATIONS;
}

int command_metrics(int argc, char **argv)
{
	static struct metrics_names names = {.n_max = METRICS_DEFAULT_DESTINATIONS};
	const char *file = NULL, *where = NULL, *n_destinations = NULL;
	const struct cli_option options[] = {{"textfile", 0, CLI_TEXT, &file},
					     {"listen", 0, CLI_TEXT, &where},
					     {"destinations", 0, CLI_TEXT, &n_destinations},
					     {0}};
	int status;

	if (!cli_parse(&cli, options, argc, argv, &status))
		return status;
	if ((n_destinations && !take_number(n_destinations, &names.n_max)) || optind < argc || (file && where))
		return cli_print_usage(&cli);
	if (where)
		return metrics_serve(where, &names) == 0 ? 0 : EXIT_CANNOT;
	return file ? write_file(file, &names) : print(&names);
}
