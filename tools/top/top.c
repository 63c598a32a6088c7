/*
 * holdline top: live use of the ephemeral ports. On a terminal a screen with keys; to a pipe, or with -b, plain text.
 */
#include "tools/top/top.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "pool/config/config.h"
#include "tools/base/cli.h"
#include "tools/base/clock.h"
#include "tools/base/terminal.h"
#include "tools/commands.h"
#include "tools/ports/netns.h"
#include "tools/stats/symbolize.h"

#define DELAY_MS 2000
#define MIN_DELAY_MS 100

struct options {
	bool is_batch;
	unsigned n_rounds; /* 0: without end */
	unsigned delay_ms;
	pid_t pid; /* 0: the caller's own namespace */
	struct top_view view;
};

/* The last look, and the one before, which the rates are computed from. */
struct sight {
	struct ports_sample sample;
	bool has_sample;
	struct symbolizer *symbolizer;
	struct top_table table;
};

static const struct cli cli = {
	"top",
	"usage: holdline top [-b] [-n N] [-d DURATION] [--order=ORDER] [--filter=TEXT] [--pid=PID]\n\n"
	"Shows what uses the ports for outgoing TCP connections, a line for each destination: the share of ports\n"
	"that it uses, dials a second, the share of connects that Holdline served with kept connections, connections\n"
	"in TIME_WAIT and established, when no port will be left, and which process and line of code dials.\n\n"
	"  -b, --batch         plain text, also on a terminal; to a pipe it is that anyway\n"
	"  -n N                end after N looks\n"
	"  -d DURATION         between two looks, 2s if not given; a bare number is seconds\n"
	"  --order=ORDER       use, dials, reuse, time-wait, end or name\n"
	"  --filter=TEXT       only lines with this text\n"
	"  --pid=PID           look into the network namespace of that process\n\n"
	"Keys: u d r t e n choose the order, / a filter, space freezes, h helps, q quits.\n"
	"NO_COLOR in the environment turns colours off.\n",
	EXIT_USAGE};

static bool parse_count(const char *text, unsigned *count)
{
	char *end;
	unsigned long number = strtoul(text, &end, 10);

	*count = (unsigned)number;
	return end != text && !*end && number > 0 && number <= INT32_MAX;
}

static bool parse_delay(const char *text, unsigned *delay_ms)
{
	char *end;
	double seconds = strtod(text, &end);
	uint64_t delay_ns;

	if (*end == '\0' && end != text)
		delay_ns = seconds > 0 && seconds < 86400 ? (uint64_t)(seconds * SECOND_NS) : 0;
	else if (config_parse_duration(text, &delay_ns) != 0)
		return false;
	*delay_ms = (unsigned)(delay_ns / MILLISECOND_NS);
	return delay_ns / MILLISECOND_NS >= MIN_DELAY_MS && delay_ns / MILLISECOND_NS <= INT32_MAX;
}

static bool parse_order(const char *text, enum top_order *order)
{
	for (int i = TOP_BY_USE; i <= TOP_BY_NAME; i++) {
		if (strcmp(text, top_order_name((enum top_order)i)) != 0)
			continue;
		*order = (enum top_order)i;
		return true;
	}
	return false;
}

static bool parse_pid(const char *text, pid_t *pid)
{
	unsigned number;

	if (!parse_count(text, &number))
		return false;
	*pid = (pid_t)number;
	return true;
}

/* False: everything is printed, and *status is the exit status. */
static bool parse(int argc, char **argv, struct options *options, int *status)
{
	const char *n_rounds = NULL, *delay = NULL, *order = NULL, *filter = NULL, *pid = NULL, *wrong = NULL;
	const struct cli_option table[] = {{"batch", 'b', CLI_SWITCH, &options->is_batch},
					   {NULL, 'n', CLI_TEXT, &n_rounds},
					   {NULL, 'd', CLI_TEXT, &delay},
					   {"order", 0, CLI_TEXT, &order},
					   {"filter", 0, CLI_TEXT, &filter},
					   {"pid", 'p', CLI_TEXT, &pid},
					   {0}};

	if (!cli_parse(&cli, table, argc, argv, status))
		return false;
	if (filter)
		snprintf(options->view.filter, sizeof(options->view.filter), "%s", filter);
	if (n_rounds && !parse_count(n_rounds, &options->n_rounds))
		wrong = n_rounds;
	if (delay && !parse_delay(delay, &options->delay_ms))
		wrong = delay;
	if (order && !parse_order(order, &options->view.order))
		wrong = order;
	if (pid && !parse_pid(pid, &options->pid))
		wrong = pid;
	if (wrong)
		fprintf(stderr, "holdline top: bad value '%s'\n", wrong);
	if (wrong || optind < argc)
		*status = cli_print_usage(&cli);
	return !wrong && optind == argc;
}

static void fini(struct sight *sight)
{
	if (sight->has_sample)
		ports_sample_fini(&sight->sample);
	sight->has_sample = false;
	top_fini(&sight->table);
}

static int look(struct sight *sight)
{
	struct ports_sample sample;
	struct top_table table;
	int error = top_rows(&sample, sight->has_sample ? &sight->sample : NULL,
			     sight->has_sample ? &sight->table : NULL, sight->symbolizer, &table);

	if (error)
		return error;
	fini(sight);
	sight->sample = sample;
	sight->has_sample = true;
	sight->table = table;
	return 0;
}

static void sleep_ms(unsigned duration_ms)
{
	struct timespec left = {duration_ms / 1000, (long)(duration_ms % 1000 * MILLISECOND_NS)};

	while (nanosleep(&left, &left) != 0 && errno == EINTR)
		;
}

static int run_batch(struct sight *sight, const struct options *options)
{
	int error = look(sight);

	for (unsigned i = 0; !error && (options->n_rounds == 0 || i < options->n_rounds); i++) {
		sleep_ms(options->delay_ms);
		error = look(sight);
		if (error)
			break;
		top_sort(&sight->table, options->view.order);
		if (i > 0)
			putchar('\n');
		top_render(&sight->table, &options->view, stdout);
		/* The reader has gone. */
		if (fflush(stdout) != 0)
			return 0;
	}
	return error;
}

static int draw(struct sight *sight, struct top_view *view)
{
	char *text = NULL;
	size_t length = 0;
	FILE *stream = open_memstream(&text, &length);

	if (!stream)
		return -errno;
	terminal_size(&view->columns, &view->lines);
	top_sort(&sight->table, view->order);
	top_render(&sight->table, view, stream);
	if (fclose(stream) != 0) {
		free(text);
		return -ENOMEM;
	}
	terminal_draw(text, length);
	free(text);
	return 0;
}

static void type(struct top_view *view, char key)
{
	size_t length = strlen(view->filter);

	if (key == TERMINAL_ESCAPE)
		view->filter[0] = '\0';
	if (key == TERMINAL_ESCAPE || key == '\n' || key == '\r')
		view->is_typing = false;
	else if ((key == TERMINAL_BACKSPACE || key == '\b') && length > 0)
		view->filter[length - 1] = '\0';
	else if (key >= ' ' && key <= '~' && length + 1 < sizeof(view->filter))
		memcpy(view->filter + length, (char[]){key, '\0'}, 2);
}

/* False: the user wants to end. */
static bool obey(struct top_view *view, char key)
{
	static const char keys[] = "udrten"; /* in the order of enum top_order */
	const char *found = key ? strchr(keys, key) : NULL;

	if (view->is_typing)
		type(view, key);
	else if (key == 'q')
		return false;
	else if (key == '/')
		view->is_typing = true;
	else if (key == ' ')
		view->is_frozen = !view->is_frozen;
	else if (key == 'h' || key == '?')
		view->has_help = !view->has_help;
	else if (key == TERMINAL_ESCAPE)
		view->filter[0] = '\0';
	else if (found)
		view->order = (enum top_order)(found - keys);
	return true;
}

static int run_screen(struct sight *sight, struct options *options)
{
	uint64_t next_ms = clock_now_ns(CLOCK_MONOTONIC) / MILLISECOND_NS;
	unsigned n_rounds = 0;
	int error = 0;

	while (!error) {
		uint64_t at_ms = clock_now_ns(CLOCK_MONOTONIC) / MILLISECOND_NS;
		char key = '\0';

		if (at_ms >= next_ms) {
			next_ms = at_ms + options->delay_ms;
			if (options->n_rounds && n_rounds++ == options->n_rounds)
				return 0;
			error = options->view.is_frozen ? 0 : look(sight);
			at_ms = clock_now_ns(CLOCK_MONOTONIC) / MILLISECOND_NS;
		}
		if (!error)
			error = draw(sight, &options->view);
		if (error)
			break;
		switch (terminal_wait(next_ms > at_ms ? (int)(next_ms - at_ms) : 0, &key)) {
		case TERMINAL_CLOSED:
			return 0;
		case TERMINAL_KEY:
			if (!obey(&options->view, key))
				return 0;
			break;
		case TERMINAL_TIMEOUT:
		case TERMINAL_REDRAW:
			break;
		}
	}
	return error;
}

int command_top(int argc, char **argv)
{
	struct options options = {.delay_ms = DELAY_MS};
	const char *no_color = getenv("NO_COLOR");
	static struct sight sight;
	int error, status;

	if (!parse(argc, argv, &options, &status))
		return status;
	error = options.pid ? netns_enter(options.pid) : 0;
	sight.symbolizer = symbolizer_new(geteuid() != 0);
	if (!error && !options.is_batch && terminal_enter() == 0) {
		options.view.has_colors = !no_color || !*no_color;
		error = run_screen(&sight, &options);
		terminal_leave();
	} else if (!error) {
		error = run_batch(&sight, &options);
	}
	fini(&sight);
	symbolizer_free(sight.symbolizer);
	if (error)
		fprintf(stderr, "holdline top: %s\n", strerror(-error));
	return error ? EXIT_CANNOT : 0;
}
