/*
 * holdline run: turns flags into HOLDLINE_* variables, preloads the shim and becomes the program (same pid, same
 * signals, its exit status). It judges the program only to warn: it runs the program in any case.
 */
#include "pool/config/config.h"
#include "tools/commands.h"
#include "tools/run/environment.h"
#include "tools/run/in_place.h"
#include "tools/run/options.h"
#include "tools/run/relayed.h"
#include "tools/run/reported.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The last two are the library's: see in_place.h. */
enum { FLAG_HELP = 1000, FLAG_QUIET, FLAG_REPORT, FLAG_ARGV0, FLAG_ENV };
#define MAX_OPTIONS 64

struct flags {
	bool is_quiet;
	bool reports;
	const char *report_path; /* NULL: on stderr */
	const char *argv0;	 /* of a program in whose place we are; NULL: of none */
	char **variables;	 /* for that one alone; NULL-terminated */
};

static void print_help(void)
{
	puts("usage: holdline run [FLAG...] [--] PROGRAM [ARGUMENT...]\n\n"
	     "Becomes PROGRAM, with its TCP connections kept and reused. A flag sets the variable named\n"
	     "with it, and PROGRAM's children inherit it; without the flag the variable counts.\n");
	options_print_help(stdout);
	puts("  --report[=FILE]\n"
	     "      Wait for PROGRAM, then say on stderr, or in FILE (JSON if that ends in .json), what all its\n"
	     "      processes connected to, what was reused, and why the rest was not.\n"
	     "  --quiet\n      Don't warn on stderr when Holdline can't help PROGRAM.\n\n"
	     "HOLDLINE_LIBRARY names the libholdline.so to preload, if not the one beside this command.\n"
	     "Exit status: PROGRAM's; 125: a bad flag or variable, or no libholdline.so; 126: PROGRAM can't\n"
	     "be executed; 127: it is not found.");
}

static void make_getopt_table(struct option table[MAX_OPTIONS + 6])
{
	size_t n = 0;

	for (; n < config_n_options && n < MAX_OPTIONS; n++)
		table[n] = (struct option){config_options[n].flag, required_argument, NULL, (int)n};
	table[n++] = (struct option){"help", no_argument, NULL, FLAG_HELP};
	table[n++] = (struct option){"quiet", no_argument, NULL, FLAG_QUIET};
	table[n++] = (struct option){"report", optional_argument, NULL, FLAG_REPORT};
	table[n++] = (struct option){"argv0", required_argument, NULL, FLAG_ARGV0};
	table[n++] = (struct option){"env", required_argument, NULL, FLAG_ENV};
	table[n] = (struct option){NULL, 0, NULL, 0};
}

static int set_variable(const struct config_option *option, const char *value)
{
	static struct config scratch;

	if (config_set(&scratch, option, value) < 0) {
		fprintf(stderr, "holdline run: --%s=%s: expected %s\n", option->flag, value,
			options_describe_value(option));
		return -EINVAL;
	}
	return setenv(option->variable, value, 1) == 0 ? 0 : -ENOMEM;
}

/* 0: continue with argv[optind]; 1: help was shown; negative: an error was reported on stderr. */
static int take_flags(int argc, char **argv, struct flags *flags)
{
	struct option table[MAX_OPTIONS + 6];
	size_t n_variables = 0;
	int flag;

	make_getopt_table(table);
	opterr = 0;
	flags->variables = calloc((size_t)argc + 1, sizeof(flags->variables[0]));
	if (!flags->variables)
		return -ENOMEM;
	while ((flag = getopt_long(argc, argv, "+:hq", table, NULL)) != -1) {
		if (flag == FLAG_HELP || flag == 'h') {
			print_help();
			return 1;
		}
		if (flag == FLAG_QUIET || flag == 'q') {
			flags->is_quiet = true;
		} else if (flag == FLAG_REPORT) {
			flags->reports = true;
			flags->report_path = optarg;
		} else if (flag == FLAG_ARGV0) {
			flags->argv0 = optarg;
		} else if (flag == FLAG_ENV) {
			flags->variables[n_variables++] = optarg;
		} else if (flag == ':' || flag == '?') {
			fprintf(stderr, "holdline run: %s '%s' (holdline run --help lists the flags)\n",
				flag == ':' ? "a value is missing after" : "bad flag", argv[optind - 1]);
			return -EINVAL;
		} else if (set_variable(&config_options[flag], optarg) < 0) {
			return -EINVAL;
		}
	}
	return 0;
}

int command_run(int argc, char **argv)
{
	static struct run_relayed relayed;
	static struct config config;
	struct flags flags = {0};
	int result = take_flags(argc, argv, &flags), error;

	if (result != 0)
		return result > 0 ? 0 : EXIT_RUN_FAILED;
	if (optind == argc) {
		fputs("holdline run: which program? (holdline run --help)\n", stderr);
		return EXIT_RUN_FAILED;
	}
	if (flags.argv0)
		return run_in_place(flags.argv0, flags.variables, argv + optind);
	if (run_prepare_environment(&config, flags.is_quiet) < 0)
		return EXIT_RUN_FAILED;
	run_relayed_init(&relayed, &config, argv[optind], flags.is_quiet);
	if (flags.reports)
		return run_reported(&config, flags.report_path, &relayed, argv + optind);
	run_relayed_launch(&relayed);
	run_relayed_leave_out_library(&relayed);
	execvp(argv[optind], argv + optind);
	error = errno;
	fprintf(stderr, "holdline run: %s: %s\n", argv[optind], strerror(error));
	return error == ENOENT ? EXIT_RUN_NOT_FOUND : EXIT_RUN_NOT_EXECUTABLE;
}
