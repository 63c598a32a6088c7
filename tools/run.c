/*
 * holdline run: turns flags into HOLDLINE_* variables, preloads the shim and becomes the program (same pid, same signals,
 * its exit status). It judges the program beforehand only to warn: whatever it is, it is run.
 */
#include "pool/config.h"
#include "pool/rules.h"
#include "tools/broker_place.h"
#include "tools/broker_start.h"
#include "tools/commands.h"
#include "tools/options.h"
#include "tools/preload.h"
#include "tools/program.h"
#include "tools/rules_resolve.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FLAG_HELP = 1000, FLAG_QUIET };
#define MAX_OPTIONS 64

static void print_help(void)
{
	puts("usage: holdline run [FLAG...] [--] PROGRAM [ARGUMENT...]\n\n"
	     "Becomes PROGRAM, with its TCP connections kept and reused. A flag sets the variable named\n"
	     "with it, and PROGRAM's children inherit it; without the flag the variable counts.\n");
	options_print_help(stdout);
	puts("  --quiet\n      Don't warn on stderr when Holdline can't help PROGRAM.\n\n"
	     "HOLDLINE_LIBRARY names the libholdline.so to preload, if not the one beside this command.\n"
	     "Exit status: PROGRAM's; 125: a bad flag or variable, or no libholdline.so; 126: PROGRAM can't\n"
	     "be executed; 127: it is not found.");
}

static void make_getopt_table(struct option table[MAX_OPTIONS + 3])
{
	size_t n = 0;

	for (; n < config_n_options && n < MAX_OPTIONS; n++)
		table[n] = (struct option){config_options[n].flag, required_argument, NULL, (int)n};
	table[n++] = (struct option){"help", no_argument, NULL, FLAG_HELP};
	table[n++] = (struct option){"quiet", no_argument, NULL, FLAG_QUIET};
	table[n] = (struct option){NULL, 0, NULL, 0};
}

static int set_variable(const struct config_option *option, const char *value)
{
	static struct config scratch;

	if (config_set(&scratch, option, value) < 0) {
		fprintf(stderr, "holdline run: --%s=%s: expected %s\n", option->flag, value,
			options_describe_value(option));
		return -EINVAL;
	}
	return setenv(option->variable, value, 1) == 0 ? 0 : -ENOMEM;
}

/* 0: go on with argv[optind], 1: help was shown, negative: said why on stderr. */
static int take_flags(int argc, char **argv, bool *quiet)
{
	struct option table[MAX_OPTIONS + 3];
	int flag;

	make_getopt_table(table);
	opterr = 0;
	while ((flag = getopt_long(argc, argv, "+:hq", table, NULL)) != -1) {
		if (flag == FLAG_HELP || flag == 'h') {
			print_help();
			return 1;
		}
		if (flag == FLAG_QUIET || flag == 'q') {
			*quiet = true;
		} else if (flag == ':' || flag == '?') {
			fprintf(stderr, "holdline run: %s '%s' (holdline run --help lists the flags)\n",
				flag == ':' ? "a value is missing after" : "bad flag", argv[optind - 1]);
			return -EINVAL;
		} else if (set_variable(&config_options[flag], optarg) < 0) {
			return -EINVAL;
		}
	}
	return 0;
}

/* The log belongs to the whole tree of processes: their working directories must not matter. It also has to be writable,
 * since the shim couldn't tell anyone that it is not. */
static int settle_log(const struct config *config)
{
	char directory[PATH_MAX], path[2 * PATH_MAX];
	int fd;

	if (!config->log_path[0])
		return 0;
	if (config->log_path[0] == '/')
		strcpy(path, config->log_path);
	else if (getcwd(directory, sizeof(directory)))
		snprintf(path, sizeof(path), "%s/%s", directory, config->log_path);
	else
		return -errno;
	if (strlen(path) >= PATH_MAX)
		return -ENAMETOOLONG;
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
	if (fd < 0)
		return -errno;
	close(fd);
	return setenv("HOLDLINE_LOG", path, 1) == 0 ? 0 : -ENOMEM;
}

static int settle_rules(void)
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

static int settle_configuration(struct config *config)
{
	const struct config_option *bad;
	int result;

	config_init(config);
	if (settle_rules() < 0)
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
	result = settle_log(config);
	if (result < 0)
		fprintf(stderr, "holdline run: HOLDLINE_LOG=%s: %s\n", config->log_path, strerror(-result));
	return result;
}

static int settle_preload(void)
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

static void warn_if_hopeless(const char *name)
{
	static struct program program;

	if (program_judge(&program, name) == 0 && program.obstacle != PROGRAM_NO_OBSTACLE)
		fprintf(stderr, "holdline: warning: %s: %s: its connections are not reused\n",
			program.steps[program.n_steps - 1], program_explain(program.obstacle));
}

/* Without a broker the program has a pool of its own, and nothing else changes: no reason to say a word, unless somebody
 * has put something in our place. */
static void settle_broker(const struct config *config, bool quiet)
{
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	int error;

	if (config->broker_path[0])
		return;
	error = broker_place_find(path);
	if (error == -EPERM && !quiet)
		fprintf(stderr, "holdline: warning: %s: its folder is not ours alone: nothing is shared\n", path);
	if (!error && broker_start(path) == 0)
		setenv("HOLDLINE_BROKER", path, 1);
}

int command_run(int argc, char **argv)
{
	static struct config config;
	bool quiet = false;
	int result = take_flags(argc, argv, &quiet), error;

	if (result != 0)
		return result > 0 ? 0 : EXIT_RUN_FAILED;
	if (optind == argc) {
		fputs("holdline run: which program? (holdline run --help)\n", stderr);
		return EXIT_RUN_FAILED;
	}
	if (settle_configuration(&config) < 0)
		return EXIT_RUN_FAILED;
	if (config.policy.mode == CONFIG_MODE_FULL)
		settle_broker(&config, quiet);
	if (config.policy.mode != CONFIG_MODE_OFF) {
		if (settle_preload() < 0)
			return EXIT_RUN_FAILED;
		if (!quiet)
			warn_if_hopeless(argv[optind]);
	}
	execvp(argv[optind], argv + optind);
	error = errno;
	fprintf(stderr, "holdline run: %s: %s\n", argv[optind], strerror(error));
	return error == ENOENT ? EXIT_RUN_NOT_FOUND : EXIT_RUN_NOT_EXECUTABLE;
}
