/*
 * Flags of `holdline run` for what is not run by it: a unit of systemd, another launcher. A list of variables.
 */
#pragma once

#include <stddef.h>

#define SETTINGS_MAX 64

struct setting {
	const char *variable, *value;
};

struct settings {
	size_t n;
	struct setting items[SETTINGS_MAX];
};

/* Takes the flag `arguments[0]`, which begins with `--`, with its value in the same argument or the next. Returns how
 * many arguments that were; -EINVAL after saying on stderr, for `holdline COMMAND`, what is wrong. */
int settings_take(struct settings *settings, const char *command, char **arguments) __attribute__((warn_unused_result));
