/*
 * holdline doctor: is this exhaustion of ports, who causes it, how soon, and what helps? One look at all running
 * programs.
 */
#include "tools/commands.h"
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

static int print_help(FILE *stream)
{
	fputs("usage: holdline doctor [--json] [--window=DURATION] [--pid=PID]\n\n"
	      "Says whether the ports for outgoing TCP connections run out, which limit it is, who holds them, when none\n"
	      "will be left, and what helps. It looks at the kernel's sockets, so programs need not run under Holdline.\n\n"
	      "  --json              the same as JSON\n"
	      "  --window=DURATION   watch for this long, 2s if not given; 0: look once\n"
	      "  --pid=PID           look into the network namespace of that process (a container's, say)\n\n"
	      "Exit status: 0 healthy; 1 warning: 80 % of a limit is used, or it is met in less than 300 s; 2 critical:\n"
	      "it is met; 3 unknown: it could not be found out.\n",
	      stream);
	return stream == stdout ? 0 : DOCTOR_UNKNOWN;
}

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

/* 0; positive: the exit status plus one, everything is printed. */
static int parse(int argc, char **argv, struct options *options)
{
	static const struct option table[] = {{"help", no_argument, NULL, 'h'},
					      {"json", no_argument, NULL, 'j'},
					      {"window", required_argument, NULL, 'w'},
					      {"pid", required_argument, NULL, 'p'},
					      {NULL, 0, NULL, 0}};
	int flag;

	while ((flag = getopt_long(argc, argv, "hw:p:", table, NULL)) != -1) {
		if (flag == 'h')
			return print_help(stdout) + 1;
		if (flag == 'j')
			options->wants_json = true;
		else if ((flag == 'w' && parse_window(optarg, &options->window_ms)) ||
			 (flag == 'p' && parse_pid(optarg, &options->pid)))
			return DOCTOR_UNKNOWN + 1;
		else if (flag == '?')
			return print_help(stderr) + 1;
	}
	return optind < argc ? print_help(stderr) + 1 : 0;
}

int command_doctor(int argc, char **argv)
{
	struct options options = {.window_ms = WINDOW_MS};
	static struct doctor_report report;
	int error, done = parse(argc, argv, &options);

	if (done)
		return done - 1;
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
