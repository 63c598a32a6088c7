/*
 * holdline enable, disable: a drop-in beside the unit of a service. The environment of a unit is where the library
 * goes, since the unit's own commands then stay what they are: an update of them counts, and so does what SELinux and
 * AppArmor say of their programs. Only programs that no library can enter get `holdline run` before their commands.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pool/base/path_trust.h"
#include "tools/base/off_switch.h"
#include "tools/base/text.h"
#include "tools/commands.h"
#include "tools/program/preload.h"
#include "tools/run/settings.h"
#include "tools/service/dropin.h"
#include "tools/service/in_root.h"
#include "tools/service/judge.h"
#include "tools/service/manager.h"
#include "tools/service/unit.h"

static const char enable_help[] =
	"usage: holdline enable [--dry-run] [--force] [--root=FOLDER] UNIT [FLAG...]\n\n"
	"Writes a drop-in, /etc/systemd/system/UNIT.d/" UNIT_DROPIN ", by which the service has its\n"
	"connections kept and reused from its next start on. FLAGs are those of `holdline run`, as\n"
	"--mode=observe. The service is not restarted. Its programs and settings are checked first.\n\n"
	"  --dry-run       print the drop-in, change nothing\n"
	"  --force         write it in spite of what the check says\n"
	"  --root=FOLDER   work on the system below that folder\n\n"
	"Exit status: 0; 1 it can't work, or can't be written; 2 the arguments are wrong, or there is no such unit.\n";

static const char disable_help[] = "usage: holdline disable [--dry-run] [--root=FOLDER] UNIT\n\n"
				   "Removes what `holdline enable` has written. The service is not restarted.\n";

struct request {
	const char *command, *help;
	const char *root; /* "": this system */
	const char *unit; /* as given; NULL: none */
	bool is_dry, is_forced, wants_help;
	struct settings settings;
};

static int complain(const struct request *request, const char *what, const char *why)
{
	fprintf(stderr, "holdline %s: %s: %s\n", request->command, what, why);
	return -EINVAL;
}

static int take_argument(struct request *request, char **argument, int *n_taken)
{
	const char *text = argument[0];
	bool is_enable = request->help == enable_help;

	*n_taken = 1;
	if (strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0)
		request->wants_help = true;
	else if (strcmp(text, "--dry-run") == 0 || strcmp(text, "-n") == 0)
		request->is_dry = true;
	else if (strcmp(text, "--force") == 0 && is_enable)
		request->is_forced = true;
	else if (strncmp(text, "--root=", strlen("--root=")) == 0)
		request->root = text + strlen("--root=");
	else if (strncmp(text, "--", 2) == 0 && is_enable)
		*n_taken = settings_take(&request->settings, request->command, argument);
	else if (*text == '-')
		return complain(request, text, "no such flag");
	else if (request->unit)
		return complain(request, text, "one unit at a time");
	else
		request->unit = text;
	return *n_taken < 0 ? -EINVAL : 0;
}

/* False: *status is the exit status. */
static bool take_arguments(struct request *request, char **arguments, int *status)
{
	int n_taken;

	request->root = "";
	for (; *arguments; arguments += n_taken) {
		*status = EXIT_USAGE;
		if (take_argument(request, arguments, &n_taken) < 0)
			return false;
	}
	if (strcmp(request->root, "/") == 0)
		request->root = "";
	*status = request->wants_help ? 0 : EXIT_USAGE;
	if (!request->wants_help && request->unit)
		return true;
	fputs(request->help, request->wants_help ? stdout : stderr);
	return false;
}

static const char *explain(int error)
{
	switch (error) {
	case -ESHUTDOWN:
		return "it is masked";
	case -ENOENT:
		return "there is no such unit";
	case -EINVAL:
		return "not the name of a service";
	case -EXDEV:
		return "a link leads out of that root";
	case -EEXIST:
		return "its " UNIT_DROPIN " is not of `holdline enable`";
	}
	return strerror(-error);
}

static void print_lines(FILE *stream, const char *unit, const char *kind, size_t n, char *const *lines)
{
	for (size_t i = 0; i < n; i++) {
		fprintf(stream, "%s: %s", unit, kind);
		text_print_safe(stream, lines[i]);
		putc('\n', stream);
	}
}

/* The manager is told where one runs, and only of this system. */
static void reload(const struct request *request)
{
	int error;

	if (*request->root || !manager_runs())
		return;
	error = manager_reload();
	if (error)
		fprintf(stderr, "holdline %s: systemctl daemon-reload failed: run it\n", request->command);
}

/* In a container, say: the drop-in is right, and starts nothing. */
static void note_no_manager(const struct request *request, const char *unit)
{
	if (!*request->root && !manager_runs())
		fprintf(stderr,
			"%s: note: systemd does not run here: the file is written, but nothing starts the service "
			"with it until systemd does\n",
			unit);
}

/* The path of this command, as the unit's system has it. */
static int find_command(const struct request *request, char command[PATH_MAX])
{
	static const char gone[] = " (deleted)";
	char self[PATH_MAX] = "holdline";
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (length > 0)
		self[length] = '\0';
	/* An update has replaced the file while this one runs. */
	if (length > (ssize_t)strlen(gone) && strcmp(self + length - strlen(gone), gone) == 0)
		self[length - (ssize_t)strlen(gone)] = '\0';
	if (*request->root)
		return in_root_find(request->root, IN_ROOT_COMMAND, self, command);
	strcpy(command, self);
	return 0;
}

/* The path of the library, likewise. HOLDLINE_LIBRARY names one and no other. */
static int find_library(const struct request *request, char library[PATH_MAX])
{
	const char *setting = getenv("HOLDLINE_LIBRARY");
	char here[PATH_MAX];
	int error = preload_find_library(here);

	strcpy(library, here);
	if (!*request->root)
		return error;
	error = setting && *setting ? in_root_translate(request->root, setting, library)
				    : in_root_find(request->root, IN_ROOT_LIBRARY, here, library);
	return !error && strpbrk(library, " \t\n:$") ? -EINVAL : error;
}

static int put_dropin(const struct request *request, const struct unit *unit, enum judge_way way, const char *library)
{
	char folder[PATH_MAX], command[PATH_MAX] = "", *text = NULL;
	const struct dropin dropin = {way, library, command, &request->settings};
	int error;

	if (way == JUDGE_RELAY && find_command(request, command) < 0) {
		complain(request, unit->name, "the command `holdline` is not in that root, and the relay needs it");
		return EXIT_CANNOT;
	}
	error = dropin_compose(&dropin, unit, &text);
	if (!error)
		error = unit_dropin_folder(request->root, unit->name, folder);
	if (!error && request->is_dry)
		printf("# %s/" UNIT_DROPIN "\n%s", folder, text);
	else if (!error)
		error = dropin_write(request->root, folder, text);
	free(text);
	if (error) {
		complain(request, unit->name, explain(error));
		return EXIT_CANNOT;
	}
	if (!request->is_dry) {
		reload(request);
		note_no_manager(request, unit->name);
		printf("%s: from its next start on (systemctl restart %s); %s/" UNIT_DROPIN "\n", unit->name,
		       unit->name, folder);
	}
	return 0;
}

/* The first of the library and the folders above it that somebody else may change; NULL: there is none. */
static const char *find_unsteady(const char *library, char path[PATH_MAX])
{
	struct stat status;

	if (!realpath(library, path) || stat(path, &status) != 0 ||
	    (status.st_uid != 0 && status.st_uid != geteuid()) || (status.st_mode & (S_IWGRP | S_IWOTH)))
		return library;
	for (char *slash = strrchr(path, '/'); slash; slash = strrchr(path, '/')) {
		slash[slash == path] = '\0';
		if (stat(path, &status) != 0 || !path_trust_is_steady(&status, geteuid()))
			return path;
		if (slash == path)
			break;
	}
	return NULL;
}

/* Whoever may write to the library becomes the user of the service, which may be root. */
static bool is_trusted(const struct request *request, const char *unit, const char *library)
{
	char path[PATH_MAX];
	const char *unsteady = *request->root ? NULL : find_unsteady(library, path);

	if (unsteady)
		fprintf(stderr,
			"%s: %s%s may be changed by other users than root: the library must not come from there\n",
			unit, request->is_forced ? "in spite of it: " : "Holdline can't work: ", unsteady);
	return !unsteady || request->is_forced;
}

static int enable_unit(const struct request *request, const struct unit *unit, const char *library)
{
	struct judgement judgement;
	enum judge_way way;
	bool is_refused;

	judge_unit(&judgement, unit, library);
	way = judgement.way == JUDGE_NOTHING ? JUDGE_LIBRARY : judgement.way;
	is_refused = judgement.n_refusals > 0 && !request->is_forced;
	print_lines(stderr, unit->name, "note: ", judgement.n_notes, judgement.notes);
	print_lines(stderr, unit->name, is_refused ? "Holdline can't work: " : "in spite of it: ", judgement.n_refusals,
		    judgement.refusals);
	judge_fini(&judgement);
	is_refused |= !is_trusted(request, unit->name, library);
	return is_refused ? EXIT_CANNOT : put_dropin(request, unit, way, library);
}

int command_enable(int argc, char **argv)
{
	struct request request = {.command = "enable", .help = enable_help};
	char name[NAME_MAX + 1], library[PATH_MAX];
	static struct unit unit;
	int status, error;

	(void)argc;
	if (!take_arguments(&request, argv + 1, &status))
		return status;
	if (!*request.root)
		off_switch_warn(request.command);
	error = unit_complete_name(request.unit, name);
	if (!error)
		error = unit_read(&unit, request.root, name);
	if (error) {
		complain(&request, request.unit, explain(error));
		return EXIT_USAGE;
	}
	error = find_library(&request, library);
	if (error) {
		complain(&request, library,
			 error == -EINVAL ? "LD_PRELOAD can't name it"
			 : *request.root  ? "it is not in that root: install it there"
					  : strerror(-error));
		status = EXIT_CANNOT;
	} else {
		status = enable_unit(&request, &unit, library);
	}
	unit_fini(&unit);
	return status;
}

/* The unit itself may be gone meanwhile: then its name is what was given. */
int command_disable(int argc, char **argv)
{
	struct request request = {.command = "disable", .help = disable_help};
	char name[NAME_MAX + 1], folder[PATH_MAX];
	static struct unit unit;
	int status, error;

	(void)argc;
	if (!take_arguments(&request, argv + 1, &status))
		return status;
	error = unit_complete_name(request.unit, name);
	if (error) {
		complain(&request, request.unit, explain(error));
		return EXIT_USAGE;
	}
	if (unit_read(&unit, request.root, name) == 0) {
		strcpy(name, unit.name);
		unit_fini(&unit);
	}
	error = unit_dropin_folder(request.root, name, folder);
	if (!error && request.is_dry)
		printf("%s/" UNIT_DROPIN "\n", folder);
	else if (!error)
		error = dropin_remove(request.root, folder);
	if (error) {
		complain(&request, name, error == -ENOENT ? "it is not enabled" : explain(error));
		return EXIT_CANNOT;
	}
	if (!request.is_dry) {
		reload(&request);
		printf("%s: without Holdline from its next start on (systemctl restart %s)\n", name, name);
	}
	return 0;
}
