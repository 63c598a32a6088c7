/* See settings.h. */
#include "tools/run/settings.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "pool/config/config.h"
#include "tools/run/options.h"

static int complain(const char *command, const char *flag, const char *why)
{
	fprintf(stderr, "holdline %s: %s: %s\n", command, flag, why);
	return -EINVAL;
}

static const struct config_option *find_option(const char *flag, size_t length)
{
	for (size_t i = 0; i < config_n_options; i++)
		if (strlen(config_options[i].flag) == length && strncmp(config_options[i].flag, flag, length) == 0)
			return &config_options[i];
	return NULL;
}

/* A working directory of ours means nothing to whoever reads the variable. */
static int is_relative(const struct config_option *option, const char *value)
{
	return option->kind == CONFIG_KIND_PATH && *value != '/' && strcmp(value, "auto") != 0 &&
	       strcmp(value, "off") != 0;
}

int settings_take(struct settings *settings, const char *command, char **arguments)
{
	static struct config scratch;
	const char *flag = arguments[0] + 2, *equals = strchr(flag, '=');
	const char *value = equals ? equals + 1 : arguments[1];
	const struct config_option *option = find_option(flag, equals ? (size_t)(equals - flag) : strlen(flag));

	if (!option)
		return complain(command, arguments[0], "no such flag (holdline run --help lists them)");
	if (!value || config_set(&scratch, option, value) < 0)
		return complain(command, arguments[0], options_describe_value(option));
	if (is_relative(option, value))
		return complain(command, arguments[0], "an absolute path is needed");
	if (settings->n == SETTINGS_MAX)
		return complain(command, arguments[0], "too many flags");
	settings->items[settings->n++] = (struct setting){option->variable, value};
	return equals ? 1 : 2;
}
