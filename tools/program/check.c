/*
 * holdline check: can the shim work in a program, and if not, why; which of its socket calls bypass the shim.
 */
#include "tools/commands.h"
#include "tools/base/cli.h"
#include "tools/base/off_switch.h"
#include "tools/program/imports.h"
#include "tools/program/neighbours.h"
#include "tools/program/preload.h"
#include "tools/program/program.h"

#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/base/text.h"

static const struct cli cli = {
	"check",
	"usage: holdline check PROGRAM\n\n"
	"Says whether Holdline can work for PROGRAM (found in PATH, through the interpreters of scripts):\n"
	"by the library or, where no library can enter it, by the relay, and which socket calls it makes\n"
	"that the library does not see.\n"
	"Exit status: 0 it can work, 1 it can't, 2 PROGRAM is missing or can't be read.\n",
	EXIT_USAGE};

static void print_steps(const struct program *program)
{
	for (unsigned i = 0; i + 1 < program->n_steps; i++)
		printf("%s: a script, run by %s\n", program->steps[i], program->steps[i + 1]);
}

static void print_imports(const struct imports *imports)
{
	unsigned n_used = 0, n_seen = 0;

	for (size_t i = 0; i < imports->n_calls; i++) {
		n_used += imports->calls[i].n_users > 0;
		n_seen += imports->calls[i].n_users > 0 && imports->calls[i].is_interposed;
	}
	printf("  socket calls imported: %u, by it and %zu librar%s; interposed: %u\n", n_used, imports->n_objects - 1,
	       imports->n_objects == 2 ? "y" : "ies", n_seen);
	if (n_seen < n_used)
		puts("  not interposed (a connection that these move bytes on is closed, not reused):");
	for (size_t i = 0; i < imports->n_calls; i++) {
		const struct imports_call *call = &imports->calls[i];

		if (call->n_users == 0 || call->is_interposed)
			continue;
		printf("    %s (%s", call->name, text_base_name(imports->objects[call->first_user]));
		if (call->n_users > 1)
			printf(" and %u more", call->n_users - 1);
		puts(")");
	}
	for (size_t i = 0; i < imports->n_missing; i++)
		printf("  not examined, since it was not found: %s\n", imports->missing[i]);
}

static bool uses(const struct imports *imports, const char *name)
{
	for (size_t i = 1; i < imports->n_objects; i++)
		if (strcmp(text_base_name(imports->objects[i]), name) == 0)
			return true;
	return false;
}

/* A library that is only loaded when it is needed (as Python's) is not among those. */
static void print_tls(const struct imports *imports)
{
	static const struct {
		const char *name;
		bool is_kept;
	} libraries[] = {{"libssl.so.3", true}, {"libgnutls.so.30", true}, {"libssl.so.1.1", false}};

	for (size_t i = 0; i < sizeof(libraries) / sizeof(libraries[0]); i++)
		if (uses(imports, libraries[i].name))
			printf("  TLS by %s: %s\n", libraries[i].name,
			       libraries[i].is_kept
				       ? "HTTPS is reused with --tls=reuse, other protocols stay as they are"
				       : "stays as it is, its version is not supported");
}

static void examine_imports(const char *path)
{
	static struct imports imports;
	char library[PATH_MAX], real[PATH_MAX];

	if (preload_find_library(library) < 0 || imports_init(&imports, library) < 0) {
		printf("  %s is not there: its calls were not compared\n", library);
		return;
	}
	/* $ORIGIN is the folder of the file itself, not of a symbolic link to it. */
	if (imports_collect(&imports, realpath(path, real) ? real : path) < 0)
		puts("  its libraries could not all be examined");
	print_imports(&imports);
	print_tls(&imports);
	neighbours_print(&imports);
	imports_fini(&imports);
}

/* A name without a slash is looked for in PATH only, as execvp(3) does, even where this folder has it. */
static void complain(const char *path, int error)
{
	bool is_searched = !strchr(path, '/'), is_there;
	struct stat status;

	is_there = stat(path, &status) == 0;
	fprintf(stderr, "holdline check: %s: %s", path, strerror(-error));
	if (is_searched && error == -ENOENT)
		fputs(": no folder of PATH has a program of that name", stderr);
	else if (is_searched && error == -EACCES)
		fputs(": what the folders of PATH have of that name is not executable", stderr);
	else if (is_there && error == -EACCES && (!S_ISREG(status.st_mode) || access(path, X_OK) != 0))
		fputs(": it is not an executable file", stderr);
	fputc('\n', stderr);
	if (is_searched && is_there)
		fprintf(stderr, "holdline check: this folder was not looked at; what is here is ./%s\n", path);
}

/* Of a wrapper, as pyenv's, the verdict is on its shell, and says nothing of the program that connects. */
static void print_script_limit(const struct program *program, const char *path)
{
	if (program->n_steps > 1)
		printf("  this is about %s, which runs the script: programs that the script starts were not looked at\n",
		       text_base_name(path));
}

static int print_verdict(const struct program *program, const char *path)
{
	if (program_fits_relay(program->obstacle)) {
		printf("%s: %s: Holdline's relay serves it\n", path, program_explain(program->obstacle));
		return 0;
	}
	if (program->obstacle != PROGRAM_NO_OBSTACLE) {
		printf("%s: Holdline can't work: %s\n", path, program_explain(program->obstacle));
		return EXIT_CANNOT;
	}
	printf("%s: Holdline can work\n", path);
	examine_imports(path);
	return 0;
}

int command_check(int argc, char **argv)
{
	static struct program program;
	const char *path;
	int result;

	if (!cli_parse(&cli, (const struct cli_option[]){{0}}, argc, argv, &result))
		return result;
	if (optind != argc - 1)
		return cli_print_usage(&cli);
	off_switch_warn(cli.command);
	result = program_judge(&program, argv[optind]);
	path = program.steps[program.n_steps - 1];
	print_steps(&program);
	if (result < 0) {
		fflush(stdout);
		complain(path, result);
		return EXIT_USAGE;
	}
	result = print_verdict(&program, path);
	print_script_limit(&program, path);
	return result;
}
