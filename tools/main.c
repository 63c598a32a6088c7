/*
 * holdline: finds the subcommand. Everything else is in the subcommand's own file.
 */
#include "tools/commands.h"

#include <stdio.h>
#include <string.h>

static const struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *summary; /* NULL: not shown in the help */
} commands[] = {
	{"run", command_run, "run a program with its TCP connections kept and reused"},
	{"check", command_check, "say whether Holdline can work for a program, and why not"},
	{"metrics", command_metrics, "counts and ports for Prometheus"},
	{"report", command_report, "show what 'run --report=FILE.json' has written, as tables or HTML"},
	{"status", command_status, "list the connections that are kept for this user's programs"},
	{"broker", command_broker, "keep them, in the foreground, for a service manager"},
	{"doctor", command_doctor, "say who uses up the ports for outgoing connections, how soon, and what helps"},
	{"top", command_top, "show what uses the ports for outgoing connections, live"},
	{"demo", command_demo, "show what it does, with real programs on this machine"},
	{"bench", command_bench, "time short, held and long connections, to a server of its own or yours"},
	{"bench-client", command_bench_client, NULL},
	{"options", command_options, NULL},
	{"relay", command_relay, NULL},
	{"version", command_version, "print the version"},
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void print_usage(FILE *stream)
{
	fputs("usage: holdline COMMAND [ARGUMENT...]\n\n", stream);
	for (size_t i = 0; i < N_COMMANDS; i++)
		if (commands[i].summary)
			fprintf(stream, "  %-8s %s\n", commands[i].name, commands[i].summary);
	fputs("\nholdline COMMAND --help says more, and so do the manual pages holdline(1), (5) and (7).\n", stream);
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";

	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
		print_usage(stdout);
		return 0;
	}
	if (strcmp(name, "--version") == 0)
		name = "version";
	for (size_t i = 0; i < N_COMMANDS; i++)
		if (strcmp(name, commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	if (*name)
		fprintf(stderr, "holdline: no command '%s'\n", name);
	print_usage(stderr);
	return EXIT_USAGE;
}
