/*
 * holdline env: the variables by which any launcher starts a program with the library: a container's, a shell's, a
 * supervisor's.
 */
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "tools/commands.h"
#include "tools/program/preload.h"
#include "tools/run/settings.h"

static const char help[] =
	"usage: holdline env [--export | --kubernetes] [--library=PATH] [FLAG...]\n\n"
	"Prints the variables that have the library preloaded, and those of the FLAGs of `holdline run`, a line each,\n"
	"as files of variables of containers have them.\n\n"
	"  --export         for a shell: eval \"$(holdline env --export)\"\n"
	"  --kubernetes     as a list of YAML, for `env:` of a container\n"
	"  --library=PATH   where the library is for that program, if not where it is here\n";

enum format { FORMAT_PLAIN, FORMAT_EXPORT, FORMAT_KUBERNETES };

struct request {
	enum format format;
	const char *library;
	struct settings settings;
	bool wants_help;
};

/* Inside of quotes of one kind, where only that kind means something: '\'' for a shell, '' in YAML. */
static void print_quoted(const char *value, const char *quote)
{
	putchar('\'');
	for (; *value; value++) {
		if (*value == '\'')
			fputs(quote, stdout);
		else
			putchar(*value);
	}
	puts("'");
}

static void print_variable(enum format format, const char *name, const char *value)
{
	switch (format) {
	case FORMAT_PLAIN:
		printf("%s=%s\n", name, value);
		return;
	case FORMAT_EXPORT:
		printf("export %s=", name);
		print_quoted(value, "'\\''");
		return;
	case FORMAT_KUBERNETES:
		printf("- name: %s\n  value: ", name);
		print_quoted(value, "''");
		return;
	}
}

/* How many arguments were taken; -EINVAL after saying why. */
static int take(struct request *request, char **arguments)
{
	const char *text = arguments[0];

	if (strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0)
		request->wants_help = true;
	else if (strcmp(text, "--export") == 0)
		request->format = FORMAT_EXPORT;
	else if (strcmp(text, "--kubernetes") == 0)
		request->format = FORMAT_KUBERNETES;
	else if (strncmp(text, "--library=/", strlen("--library=/")) == 0)
		request->library = text + strlen("--library=");
	else if (strncmp(text, "--", 2) == 0)
		return settings_take(&request->settings, "env", arguments);
	else
		return -EINVAL;
	return 1;
}

int command_env(int argc, char **argv)
{
	static struct request request;
	char found[PATH_MAX];
	int n = 1;

	(void)argc;
	for (argv++; *argv; argv += n) {
		n = take(&request, argv);
		if (n < 0) {
			fputs(help, stderr);
			return EXIT_USAGE;
		}
	}
	if (request.wants_help) {
		fputs(help, stdout);
		return 0;
	}
	if (!request.library && preload_find_library(found) < 0) {
		fprintf(stderr, "holdline env: %s: not found, or not to be named in LD_PRELOAD\n", found);
		return EXIT_CANNOT;
	}
	print_variable(request.format, "LD_PRELOAD", request.library ? request.library : found);
	for (size_t i = 0; i < request.settings.n; i++)
		print_variable(request.format, request.settings.items[i].variable, request.settings.items[i].value);
	return 0;
}
