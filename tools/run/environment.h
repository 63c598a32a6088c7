/* Turns the flags and variables of `holdline run` into the environment of the program. */
#pragma once

#include <stdbool.h>

struct config;

/* Reads the configuration, with defaults, from the environment into `config`; starts a broker if one is wanted;
 * preloads the library, unless a relay is to serve all programs; makes paths and host names in variables absolute.
 * 0, or -errno after saying why on stderr. */
int run_prepare_environment(struct config *config, bool is_quiet) __attribute__((warn_unused_result));
