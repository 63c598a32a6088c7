/* See relayed.h. */
#include "tools/run/relayed.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "pool/config/config.h"
#include "tools/base/text.h"
#include "tools/program/preload.h"
#include "tools/relay/launch.h"

static const char *path_of(const struct run_relayed *relayed)
{
	return relayed->program.steps[relayed->program.n_steps - 1];
}

static void warn(const struct run_relayed *relayed, const char *reason)
{
	enum program_obstacle obstacle = relayed->program.obstacle;

	if (relayed->is_quiet)
		return;
	fprintf(stderr, "holdline: warning: %s: %s%s%s\n", path_of(relayed),
		obstacle == PROGRAM_NO_OBSTACLE ? "" : program_explain(obstacle), reason,
		obstacle == PROGRAM_NO_OBSTACLE ? "" : ": its connections are not reused");
}

bool run_relayed_serves_all(const struct config *config)
{
	return config->policy.mode == CONFIG_MODE_FULL && config->relay == CONFIG_RELAY_ALWAYS;
}

static bool is_wanted(const struct config *config, enum program_obstacle obstacle)
{
	if (config->policy.mode != CONFIG_MODE_FULL || config->relay == CONFIG_RELAY_OFF)
		return false;
	if (obstacle == PROGRAM_NO_OBSTACLE)
		return config->relay == CONFIG_RELAY_ALWAYS;
	return program_fits_relay(obstacle);
}

void run_relayed_init(struct run_relayed *relayed, const struct config *config, const char *name, bool is_quiet)
{
	relayed->config = config;
	relayed->is_quiet = is_quiet;
	relayed->is_judged = program_judge(&relayed->program, name) == 0;
	relayed->is_wanted = relayed->is_judged && is_wanted(config, relayed->program.obstacle);
	if (!relayed->is_judged || relayed->is_wanted || relayed->program.obstacle == PROGRAM_NO_OBSTACLE)
		return;
	if (config->policy.mode != CONFIG_MODE_OFF)
		warn(relayed, "");
}

void run_relayed_leave_out_library(const struct run_relayed *relayed)
{
	enum program_obstacle obstacle = relayed->is_judged ? relayed->program.obstacle : PROGRAM_NO_OBSTACLE;
	char library[PATH_MAX];

	if ((obstacle == PROGRAM_MUSL || obstacle == PROGRAM_OTHER_ARCHITECTURE) && preload_find_library(library) == 0)
		(void)!preload_remove(library);
}

/* Only the library can serve it now. */
static void fall_back(void)
{
	char library[PATH_MAX];

	if (preload_find_library(library) == 0)
		(void)!preload_append(library);
}

/* The process that helped to start the relay was our child. Where the program is to find SIGCHLD blocked, that of our
 * child must not be pending. */
static int launch(const char *name, const char **step)
{
	sigset_t child, before;
	int error;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigpending(&before);
	error = relay_launch(name, step);
	if (!sigismember(&before, SIGCHLD))
		sigtimedwait(&child, NULL, &(struct timespec){0});
	return error;
}

void run_relayed_launch(const struct run_relayed *relayed)
{
	bool has_obstacle = relayed->program.obstacle != PROGRAM_NO_OBSTACLE;
	const char *step = "";
	char reason[256];
	int error;

	if (!relayed->is_wanted)
		return;
	error = launch(text_base_name(relayed->program.steps[0]), &step);
	if (error == -EBUSY) /* an outer relay serves it */
		return;
	if (!error) {
		setenv("HOLDLINE_RELAYED", "1", 1);
		return;
	}
	unsetenv("HOLDLINE_RELAYED");
	if (run_relayed_serves_all(relayed->config))
		fall_back();
	snprintf(reason, sizeof(reason), "%sthe relay can't serve it: %s: %s%s", has_obstacle ? "; " : "", step,
		 strerror(-error), has_obstacle ? "" : ": the library does");
	warn(relayed, reason);
}
