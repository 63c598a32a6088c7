/* See in_place.h. */
#include "tools/run/in_place.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pool/config/config.h"
#include "tools/base/off_switch.h"
#include "tools/commands.h"
#include "tools/run/relayed.h"

/* Without a slash it is a file of the working directory, not of PATH. */
static const char *as_path(const char *given, char path[PATH_MAX])
{
	if (strchr(given, '/'))
		return given;
	snprintf(path, PATH_MAX, "./%s", given);
	return path;
}

int run_in_place(const char *name, char **variables, char **argv)
{
	static struct run_relayed relayed;
	static struct config config;
	const char *given = argv[0];
	char path[PATH_MAX];
	int error;

	config_init(&config);
	if (!off_switch_is_set() && config_read_environment(&config, environ, NULL) == 0) {
		run_relayed_init(&relayed, &config, as_path(given, path), true);
		run_relayed_launch(&relayed);
	}
	/* Not before: the relay is started by the loader, too. */
	for (; *variables; variables++)
		putenv(*variables);
	run_relayed_leave_out_library(&relayed);
	argv[0] = (char *)name;
	execv(given, argv);
	error = errno;
	fprintf(stderr, "%s: %s\n", given, strerror(error));
	return error == ENOENT ? EXIT_RUN_NOT_FOUND : EXIT_RUN_NOT_EXECUTABLE;
}
