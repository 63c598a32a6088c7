/* Turns flags and variables into the environment of the program. See environment.h. */
#include "tools/run/environment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/random.h>
#include <sys/un.h>
#include <unistd.h>

#include "pool/base/path_trust.h"
#include "pool/config/config.h"
#include "pool/config/rules.h"
#include "tools/base/off_switch.h"
#include "tools/broker/path.h"
#include "tools/broker/start.h"
#include "tools/program/preload.h"
#include "tools/run/options.h"
#include "tools/run/relayed.h"
#include "tools/run/rules_resolve.h"

/* The paths in variables are for the whole process tree: the working directory must not matter. */
static int make_absolute(const char *given, char path[PATH_MAX])
{
	char directory[PATH_MAX] = "";

	if (given[0] != '/' && !getcwd(directory, sizeof(directory)))
		return -errno;
	if (snprintf(path, PATH_MAX, "%s%s%s", directory, directory[0] ? "/" : "", given) >= PATH_MAX)
		return -ENAMETOOLONG;
	return 0;
}

/* The file has to be writable: the shim couldn't report that it is not. */
static int prepare_log(const struct config *config)
{
	char path[PATH_MAX];
	struct stat status;
	bool is_fit;
	int fd, error;

	if (!config->log_path[0])
		return 0;
	error = make_absolute(config->log_path, path);
	if (error)
		return error;
	fd = open(path, PATH_TRUST_LOG_FLAGS, 0600);
	if (fd < 0)
		return -errno;
	is_fit = fstat(fd, &status) == 0 && path_trust_is_log(&status);
	close(fd);
	if (!is_fit)
		return -EINVAL;
	return setenv("HOLDLINE_LOG", path, 1) == 0 ? 0 : -ENOMEM;
}

static int prepare_rules(void)
{
	const char *rules = getenv("HOLDLINE_RULES");
	char *bad_name, *resolved;
	int result;

	if (!rules || !*rules)
		return 0;
	resolved = rules_resolve(rules, &bad_name);
	if (!resolved && bad_name)
		fprintf(stderr, "holdline run: HOLDLINE_RULES: '%s' can't be looked up\n", bad_name);
	free(bad_name);
	result = resolved && setenv("HOLDLINE_RULES", resolved, 1) == 0 ? 0 : -EINVAL;
	free(resolved);
	return result;
}

static void complain_of_rules(struct config *config)
{
	size_t place = 0;

	if (rules_parse(config, &place) == 0)
		return;
	fprintf(stderr, "holdline run: HOLDLINE_RULES: wrong at '%.*s': expected %s\n",
		(int)strcspn(config->rules_text + place, " \t\n;"), config->rules_text + place,
		options_describe_value(config_find("HOLDLINE_RULES")));
}

static int prepare_stats(const struct config *config)
{
	char path[PATH_MAX];
	int error;

	if (strcmp(config->stats_path, "auto") == 0 || strcmp(config->stats_path, "off") == 0)
		return 0;
	error = make_absolute(config->stats_path, path);
	if (error)
		return error;
	return setenv("HOLDLINE_STATS", path, 1) == 0 ? 0 : -ENOMEM;
}

static int prepare_configuration(struct config *config)
{
	const struct config_option *bad;
	int result;

	config_init(config);
	if (prepare_rules() < 0)
		return -EINVAL;
	if (config_read_environment(config, environ, &bad) < 0 && bad->kind == CONFIG_KIND_RULES) {
		complain_of_rules(config);
		return -EINVAL;
	}
	if (config_read_environment(config, environ, &bad) < 0) {
		fprintf(stderr, "holdline run: %s=%s: expected %s\n", bad->variable, getenv(bad->variable),
			options_describe_value(bad));
		return -EINVAL;
	}
	result = prepare_stats(config);
	if (result < 0) {
		fprintf(stderr, "holdline run: HOLDLINE_STATS=%s: %s\n", config->stats_path, strerror(-result));
		return result;
	}
	result = prepare_log(config);
	if (result < 0)
		fprintf(stderr, "holdline run: HOLDLINE_LOG=%s: %s\n", config->log_path, strerror(-result));
	return result;
}

static int prepare_preload(void)
{
	char library[PATH_MAX];
	int result = preload_find_library(library);

	if (result == 0)
		result = preload_append(library);
	else if (result == -EINVAL)
		fprintf(stderr, "holdline run: %s: LD_PRELOAD can't name a path with a blank, colon or $\n", library);
	if (result < 0 && result != -EINVAL)
		fprintf(stderr, "holdline run: %s: %s\n", library, strerror(-result));
	return result;
}

/* By this the library finds a relay for children that it can't enter. */
static int prepare_command(void)
{
	char self[PATH_MAX];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (length <= 0)
		return 0;
	self[length] = '\0';
	return setenv("HOLDLINE_COMMAND", self, 1) == 0 ? 0 : -ENOMEM;
}

/* Without a broker the program has a pool of its own, and nothing else changes: warn only if another user's file is in
 * the broker's place. */
static void prepare_broker(const struct config *config, bool quiet)
{
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	int error;

	if (config->broker_path[0]) {
		broker_join(config->broker_path);
		return;
	}
	error = broker_path_find(path);
	if (error == -EPERM && !quiet)
		fprintf(stderr, "holdline: warning: %s: its folder is not ours alone: nothing is shared\n", path);
	if (!error && broker_start(path) == 0)
		setenv("HOLDLINE_BROKER", path, 1);
}

/* A name for the run that nobody guesses: its processes share what others may not have. Those of a run inside of it
 * belong to it. */
static int name_run(void)
{
	uint64_t number;
	char name[2 * sizeof(number) + 1];

	if (getenv("HOLDLINE_RUN"))
		return 0;
	if (getrandom(&number, sizeof(number), 0) != sizeof(number))
		return -errno;
	snprintf(name, sizeof(name), "%016" PRIx64, number);
	return setenv("HOLDLINE_RUN", name, 1) == 0 ? 0 : -ENOMEM;
}

int run_prepare_environment(struct config *config, bool is_quiet)
{
	int error = prepare_configuration(config);

	if (error)
		return error;
	if (is_quiet ? off_switch_is_set() : off_switch_warn("run")) {
		config->policy.mode = CONFIG_MODE_OFF;
		return 0;
	}
	if (config->policy.mode == CONFIG_MODE_FULL)
		prepare_broker(config, is_quiet);
	if (config->policy.mode == CONFIG_MODE_OFF)
		return 0;
	error = name_run();
	if (!error && !run_relayed_serves_all(config))
		error = prepare_preload();
	if (!error && config->policy.mode == CONFIG_MODE_FULL && config->relay != CONFIG_RELAY_OFF)
		error = prepare_command();
	return error;
}
