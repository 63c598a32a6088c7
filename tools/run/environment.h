/* What the flags and variables of `holdline run` say, made into what the program inherits. */
#pragma once

#include <stdbool.h>

struct config;

/* Reads the configuration from the environment, with defaults, into `config`; starts a broker if one is wanted, preloads the
 * library, and puts paths and names that depend on where we are into variables that don't. Warns on stderr if `program`
 * can't be helped, unless `is_quiet`. 0, or -errno after saying why on stderr. */
int run_prepare_environment(struct config *config, const char *program, bool is_quiet)
	__attribute__((warn_unused_result));
