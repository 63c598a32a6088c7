/* See judge.h. Each rule is one function; all are asked, so that who reads the answer has them at once. */
#include "tools/service/judge.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/program/program.h"
#include "tools/service/command_line.h"
#include "tools/service/quote.h"
#include "tools/service/unit.h"

static void add(char *lines[JUDGE_MAX_NOTES], size_t *n, const char *format, va_list arguments)
{
	if (*n < JUDGE_MAX_NOTES && vasprintf(&lines[*n], format, arguments) >= 0)
		(*n)++;
}

__attribute__((format(printf, 2, 3))) static void refuse(struct judgement *judgement, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	add(judgement->refusals, &judgement->n_refusals, format, arguments);
	va_end(arguments);
}

__attribute__((format(printf, 2, 3))) static void note(struct judgement *judgement, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	add(judgement->notes, &judgement->n_notes, format, arguments);
	va_end(arguments);
}

/* The word is in the list. */
static bool has_word(const char *list, const char *wanted)
{
	char word[PATH_MAX];

	while (list && quote_take_word(&list, word, sizeof(word)) > 0)
		if (strcmp(word, wanted) == 0)
			return true;
	return false;
}

static bool any_has_word(const struct unit *unit, const char *name, const char *wanted)
{
	size_t position = 0;
	const char *value;

	while ((value = unit_next(unit, name, &position)))
		if (has_word(value, wanted))
			return true;
	return false;
}

static bool is_below(const char *path, const char *folder)
{
	size_t length = strlen(folder);

	while (length > 0 && folder[length - 1] == '/')
		length--;
	return strncmp(path, folder, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

/* One of the paths of a setting has this one below it. Before each may stand `-` and `+`. */
static bool any_covers(const struct unit *unit, const char *name, const char *path)
{
	char word[PATH_MAX];
	size_t position = 0;
	const char *value;

	while ((value = unit_next(unit, name, &position)))
		while (quote_take_word(&value, word, sizeof(word)) > 0)
			if (is_below(path, word + strspn(word, "-+")))
				return true;
	return false;
}

static void judge_view(struct judgement *judgement, const struct unit *unit, const char *library)
{
	static const char *const roots[] = {"RootDirectory", "RootImage"};
	const char *home = unit_get(unit, "ProtectHome");

	for (size_t i = 0; i < sizeof(roots) / sizeof(roots[0]); i++) {
		const char *value = unit_get(unit, roots[i]);

		if (value && strcmp(value, "/") != 0)
			refuse(judgement, "%s=%s: its programs see another root, without the library", roots[i], value);
	}
	if (home && !unit_is_true(home) && strcmp(home, "tmpfs") != 0)
		home = NULL;
	if (home && (is_below(library, "/home") || is_below(library, "/root") || is_below(library, "/run/user")))
		refuse(judgement, "ProtectHome=%s: it can't see %s: install the library elsewhere", home, library);
	if ((unit_is_true(unit_get(unit, "PrivateTmp")) || unit_is_true(unit_get(unit, "DynamicUser"))) &&
	    (is_below(library, "/tmp") || is_below(library, "/var/tmp")))
		refuse(judgement, "PrivateTmp=: it can't see %s: install the library elsewhere", library);
	if (any_covers(unit, "InaccessiblePaths", library) || any_covers(unit, "InaccessibleDirectories", library) ||
	    any_covers(unit, "TemporaryFileSystem", library))
		refuse(judgement, "InaccessiblePaths= or TemporaryFileSystem= hides %s", library);
	if (any_covers(unit, "NoExecPaths", library) && !any_covers(unit, "ExecPaths", library))
		refuse(judgement, "NoExecPaths=: the library may not be mapped: add ExecPaths=%s", library);
}

static void judge_network(struct judgement *judgement, const struct unit *unit)
{
	const char *families = unit_get(unit, "RestrictAddressFamilies");
	bool has_inet = any_has_word(unit, "RestrictAddressFamilies", "AF_INET") ||
			any_has_word(unit, "RestrictAddressFamilies", "AF_INET6");

	if (unit_is_true(unit_get(unit, "PrivateNetwork")))
		refuse(judgement, "PrivateNetwork=: it has no network but a loopback interface of its own");
	if (!families)
		return;
	if (strcmp(families, "none") == 0 || (families[0] != '~' && !has_inet))
		refuse(judgement, "RestrictAddressFamilies=: it may not use TCP");
	else if (families[0] != '~' && !any_has_word(unit, "RestrictAddressFamilies", "AF_UNIX"))
		note(judgement,
		     "RestrictAddressFamilies= without AF_UNIX: fewer connections are kept; AF_UNIX would help");
}

/* What the library calls is in @system-service, with all that services need by themselves. */
static void judge_calls(struct judgement *judgement, const struct unit *unit)
{
	const char *first = NULL;
	size_t position = 0;

	first = unit_next(unit, "SystemCallFilter", &position);
	if (first && first[0] != '~' && !any_has_word(unit, "SystemCallFilter", "@system-service"))
		refuse(judgement,
		       "SystemCallFilter=: it allows single calls, and the library needs others (dup3, fcntl,"
		       " getsockopt, socketpair, shutdown): allow @system-service");
	if (judgement->way == JUDGE_RELAY && first && first[0] != '~' &&
	    !any_has_word(unit, "SystemCallFilter", "seccomp") && !any_has_word(unit, "SystemCallFilter", "@sandbox"))
		refuse(judgement, "SystemCallFilter=: the relay needs seccomp too: allow @sandbox");
}

/* A variable that a file sets wins over ours. */
static void judge_file(struct judgement *judgement, const struct unit *unit, const char *file)
{
	char path[PATH_MAX], line[4096];
	FILE *stream;

	if (*file == '-')
		file++;
	if (strchr(file, '%') || snprintf(path, sizeof(path), "%s%s", unit->root, file) >= PATH_MAX)
		return;
	stream = fopen(path, "re");
	while (stream && fgets(line, sizeof(line), stream)) {
		const char *name = line + strspn(line, " \t");

		if (strncmp(name, "LD_PRELOAD=", strlen("LD_PRELOAD=")) == 0)
			refuse(judgement, "EnvironmentFile=%s sets LD_PRELOAD, which wins: add the library there",
			       file);
		if (strncmp(name, "HOLDLINE_", strlen("HOLDLINE_")) == 0)
			note(judgement, "EnvironmentFile=%s sets %.*s, which wins", file, (int)strcspn(name, "=\n"),
			     name);
	}
	if (stream)
		fclose(stream);
}

static void judge_environment(struct judgement *judgement, const struct unit *unit)
{
	size_t position = 0;
	const char *file;

	if (*unit->later)
		refuse(judgement,
		       "%s comes behind " UNIT_DROPIN
		       " and sets ExecStart= or LD_PRELOAD, or clears Environment=: rename it",
		       unit->later);
	if (any_has_word(unit, "UnsetEnvironment", "LD_PRELOAD"))
		refuse(judgement, "UnsetEnvironment= takes LD_PRELOAD away");
	while ((file = unit_next(unit, "EnvironmentFile", &position)))
		judge_file(judgement, unit, file);
}

/* The way that fits one program. */
static enum judge_way judge_program(struct judgement *judgement, const struct unit *unit,
				    const struct command_line *line)
{
	static struct program program;
	char path[PATH_MAX];
	const char *name = line->program;
	int error;

	if (strchr(name, '%')) {
		note(judgement, "%s: which program that is, is not known: it was not checked", name);
		return JUDGE_LIBRARY;
	}
	if (*name == '/' && *unit->root) {
		if (snprintf(path, sizeof(path), "%s%s", unit->root, name) >= PATH_MAX)
			return JUDGE_NOTHING;
		name = path;
	}
	error = program_judge(&program, name);
	name = program.steps[program.n_steps - 1];
	if (error) {
		refuse(judgement, "%s: %s", name, strerror(-error));
		return JUDGE_NOTHING;
	}
	if (program.obstacle == PROGRAM_NO_OBSTACLE)
		return JUDGE_LIBRARY;
	if (!program_fits_relay(program.obstacle)) {
		refuse(judgement, "%s: %s", name, program_explain(program.obstacle));
		return JUDGE_NOTHING;
	}
	if (strchr(line->prefixes, '@')) {
		refuse(judgement, "%s: %s; the relay can't pass on the name that ExecStart=@ gives it", name,
		       program_explain(program.obstacle));
		return JUDGE_NOTHING;
	}
	note(judgement, "%s: %s: the relay serves it", name, program_explain(program.obstacle));
	return JUDGE_RELAY;
}

static void judge_programs(struct judgement *judgement, const struct unit *unit)
{
	struct command_line line;
	size_t position = 0;
	const char *text;

	while ((text = unit_next(unit, "ExecStart", &position))) {
		enum judge_way way;

		if (command_line_parse(&line, text) < 0) {
			refuse(judgement, "ExecStart=%s: it can't be understood", text);
			continue;
		}
		way = judge_program(judgement, unit, &line);
		if (way > judgement->way)
			judgement->way = way;
	}
	if (position == 0 || !unit_get(unit, "ExecStart"))
		refuse(judgement, "it has no ExecStart=");
}

void judge_unit(struct judgement *judgement, const struct unit *unit, const char *library)
{
	*judgement = (struct judgement){.way = JUDGE_NOTHING};
	judge_programs(judgement, unit);
	judge_view(judgement, unit, library);
	judge_network(judgement, unit);
	judge_calls(judgement, unit);
	judge_environment(judgement, unit);
}

void judge_fini(struct judgement *judgement)
{
	for (size_t i = 0; i < judgement->n_refusals; i++)
		free(judgement->refusals[i]);
	for (size_t i = 0; i < judgement->n_notes; i++)
		free(judgement->notes[i]);
	judgement->n_refusals = judgement->n_notes = 0;
}
