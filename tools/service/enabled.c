/*
 * holdline enabled: the units with a drop-in of ours, their settings, and whether their processes have the library.
 */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "tools/base/cli.h"
#include "tools/base/off_switch.h"
#include "tools/base/text.h"
#include "tools/commands.h"
#include "tools/service/dropin.h"
#include "tools/service/manager.h"
#include "tools/service/quote.h"
#include "tools/service/unit.h"

#define FOLDER "etc/systemd/system"

static const struct cli cli = {
	"enabled",
	"usage: holdline enabled [--root=FOLDER]\n\n"
	"Lists the units that `holdline enable` has changed: how, with which settings, and whether\n"
	"the process that runs now has it.\n",
	EXIT_USAGE};

/* True if the process has the library, or its relay; *is_known: that could be found out. */
static bool process_has_it(pid_t pid, bool *is_known)
{
	char path[64], line[PATH_MAX + 256];
	bool has = false;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	maps = fopen(path, "re");
	*is_known = maps && fgets(line, sizeof(line), maps);
	while (*is_known && !has && fgets(line, sizeof(line), maps))
		has = strstr(line, "/libholdline.so") != NULL;
	if (maps)
		fclose(maps);
	return has;
}

/* A program with a relay has no library in it, but its environment says so. */
static bool process_has_relay(pid_t pid)
{
	static const char wanted[] = "HOLDLINE_RELAYED=1";
	char path[64], *word = NULL;
	size_t room = 0;
	bool has = false;
	FILE *environment;

	snprintf(path, sizeof(path), "/proc/%d/environ", pid);
	environment = fopen(path, "re");
	while (environment && !has && getdelim(&word, &room, '\0', environment) > 0)
		has = strcmp(word, wanted) == 0;
	free(word);
	if (environment)
		fclose(environment);
	return has;
}

static void describe_state(const char *root, const char *name, char *text, size_t room)
{
	bool is_known, has;
	pid_t pid;

	if (*root || !manager_runs()) {
		snprintf(text, room, "unknown");
		return;
	}
	if (strstr(name, "@.service")) {
		snprintf(text, room, "instances");
		return;
	}
	pid = manager_find_process(name);
	if (pid == 0) {
		snprintf(text, room, "not running");
		return;
	}
	has = process_has_it(pid, &is_known) || process_has_relay(pid);
	snprintf(text, room, "%s (%d)", has ? "working" : is_known ? "restart it" : "unknown", pid);
}

/* A drop-in that was added later may come behind ours and win. */
static void find_later(const char *root, const char *name, char later[NAME_MAX + 1])
{
	struct unit unit;

	*later = '\0';
	if (unit_read(&unit, root, name) != 0)
		return;
	strcpy(later, unit.later);
	unit_fini(&unit);
}

static void print_settings(const struct unit *unit)
{
	char word[PATH_MAX];
	size_t position = 0;
	const char *value;

	while ((value = unit_next(unit, "Environment", &position)))
		while (quote_take_word(&value, word, sizeof(word)) > 0)
			if (strncmp(word, "HOLDLINE_", strlen("HOLDLINE_")) == 0) {
				putchar(' ');
				text_print_safe(stdout, word);
			}
}

static int print_unit(const char *root, const char *name, const char *path)
{
	char state[64], later[NAME_MAX + 1], shown[NAME_MAX + 1], *text = NULL;
	struct unit unit = {.root = root};
	size_t room = 0;
	FILE *file = fopen(path, "re");
	int error = 0;

	if (!file)
		return -errno;
	if (getdelim(&text, &room, '\0', file) > 0)
		error = unit_add_text(&unit, text);
	fclose(file);
	free(text);
	if (!error) {
		describe_state(root, name, state, sizeof(state));
		snprintf(shown, sizeof(shown), "%s", name);
		text_make_printable(shown);
		printf("%-32s %-8s %-20s", shown, unit_get(&unit, "ExecStart") ? "relay" : "library", state);
		print_settings(&unit);
		find_later(root, name, later);
		if (*later) {
			fputs(" overruled by ", stdout);
			text_print_safe(stdout, later);
		}
		putchar('\n');
	}
	unit_fini(&unit);
	return error;
}

static int print_units(const char *root)
{
	char folder[PATH_MAX], path[PATH_MAX + 2 * NAME_MAX];
	struct dirent **entries;
	int n, error = 0;

	snprintf(folder, sizeof(folder), "%s/" FOLDER, root);
	n = scandir(folder, &entries, NULL, alphasort);
	for (int i = 0; i < n; i++) {
		char *name = entries[i]->d_name, *suffix = strstr(name, ".service.d");

		snprintf(path, sizeof(path), "%s/%s/" UNIT_DROPIN, folder, name);
		if (access(path, F_OK) != 0)
			snprintf(path, sizeof(path), "%s/%s/" UNIT_DROPIN_OF_OLD, folder, name);
		if (!error && suffix && strcmp(suffix, ".service.d") == 0 && dropin_is_ours(path)) {
			suffix[strlen(".service")] = '\0';
			error = print_unit(root, name, path);
		}
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
	return n < 0 && errno != ENOENT ? -errno : error;
}

int command_enabled(int argc, char **argv)
{
	const char *root = "";
	const struct cli_option options[] = {{"root", 0, CLI_TEXT, &root}, {0}};
	int status;

	if (!cli_parse(&cli, options, argc, argv, &status))
		return status;
	if (optind != argc)
		return cli_print_usage(&cli);
	if (!*root)
		off_switch_warn(cli.command);
	status = print_units(strcmp(root, "/") == 0 ? "" : root);
	return status ? cli_complain(cli.command, FOLDER, -status) : 0;
}
