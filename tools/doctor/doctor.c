/*
 * holdline doctor: is this exhaustion of ports, who causes it, how soon, and what helps? One look at all running
 * programs.
 */
#include "tools/commands.h"
#include "tools/base/cli.h"
#include "tools/base/off_switch.h"
#include "tools/doctor/doctor.h"

#include <errno.h>
#include <getopt.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "pool/base/clock.h"
#include "pool/config/config.h"
#include "tools/ports/netns.h"

#define WINDOW_MS 2000

static const struct cli cli = {
	"doctor",
	"usage: holdline doctor [--json] [--window=DURATION] [--pid=PID]\n\n"
	"Says whether the ports for outgoing TCP connections run out, which limit it is, who holds them, when none\n"
	"will be left, and what helps. It looks at the kernel's sockets, so programs need not run under Holdline.\n\n"
	"  --json              the same as JSON\n"
	"  --window=DURATION   watch for this long, 2s if not given; 0: look once\n"
	"  --pid=PID           look into the network namespace of that process (a container's, say)\n\n"
	"Exit status: 0 healthy; 1 warning: 80 % of a limit is used, or it is met in less than 300 s; 2 critical:\n"
	"it is met; 3 unknown: it could not be found out.\n",
	DOCTOR_UNKNOWN};

struct options {
	bool wants_json;
	unsigned window_ms;
	pid_t pid; /* 0: the caller's own namespace */
};

static int parse_window(const char *text, unsigned *window_ms)
{
	uint64_t window_ns;
	int error = config_parse_duration(text, &window_ns);

	if (error || window_ns / MILLISECOND_NS > UINT32_MAX) {
		fprintf(stderr, "holdline doctor: --window=%s: expected a duration such as 2s or 500ms\n", text);
		return -EINVAL;
	}
	*window_ms = (unsigned)(window_ns / MILLISECOND_NS);
	return 0;
}

static int parse_pid(const char *text, pid_t *pid)
{
	char *end;
	long number = strtol(text, &end, 10);

	if (end == text || *end || number <= 0 || number > INT32_MAX) {
		fprintf(stderr, "holdline doctor: --pid=%s: expected the number of a process\n", text);
		return -EINVAL;
	}
	*pid = (pid_t)number;
	return 0;
}

/* False: everything is printed, and *status is the exit status. */
static bool parse(int argc, char **argv, struct options *options, int *status)
{
	const char *window = NULL, *pid = NULL;
	const struct cli_option table[] = {{"json", 0, CLI_SWITCH, &options->wants_json},
					   {"window", 'w', CLI_TEXT, &window},
					   {"pid", 'p', CLI_TEXT, &pid},
					   {0}};

	if (!cli_parse(&cli, table, argc, argv, status))
		return false;
	*status = DOCTOR_UNKNOWN;
	if ((window && parse_window(window, &options->window_ms)) || (pid && parse_pid(pid, &options->pid)))
		return false;
	if (optind < argc)
		cli_print_usage(&cli);
	return optind == argc;
}

int command_doctor(int argc, char **argv)
{
	struct options options = {.window_ms = WINDOW_MS};
	static struct doctor_report report;
	int error, status;

	if (!parse(argc, argv, &options, &status))
		return status;
	setlocale(LC_CTYPE, "");
	error = options.pid ? netns_enter(options.pid) : 0;
	if (error) {
		fprintf(stderr, "holdline doctor: the network namespace of process %d: %s\n", (int)options.pid,
			strerror(-error));
		return DOCTOR_UNKNOWN;
	}
	error = doctor_observe(&report, options.window_ms);
	if (error) {
		fprintf(stderr, "holdline doctor: the kernel does not say: %s\n", strerror(-error));
		doctor_fini(&report);
		return DOCTOR_UNKNOWN;
	}
	off_switch_warn(cli.command);
	report.pid = options.pid;
	doctor_judge(&report);
	doctor_advise(&report);
	if (options.wants_json)
		doctor_print_json(&report, stdout);
	else
		doctor_print(&report, stdout);
	doctor_fini(&report);
	return (int)report.status;
}
