/*
 * holdline: finds the subcommand. Everything else is in the subcommand's own file.
 */
#include "tools/commands.h"

#include <stdio.h>
#include <string.h>

static void print_usage(FILE *stream)
{
	fputs("usage: holdline COMMAND [ARGUMENT...]\n\n", stream);
	for (size_t i = 0; i < n_commands; i++)
		if (commands[i].summary)
			fprintf(stream, "  %-9s %s\n", commands[i].name, commands[i].summary);
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
	for (size_t i = 0; i < n_commands; i++)
		if (strcmp(name, commands[i].name) == 0)
			return commands[i].run(argc - 1, argv + 1);
	if (*name)
		fprintf(stderr, "holdline: no command '%s'\n", name);
	print_usage(stderr);
	return EXIT_USAGE;
}
