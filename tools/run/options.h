/*
 * How the option table (pool/config/config.h) is shown.
 */
#pragma once

#include <stdio.h>

struct config_option;

/* Every flag with its variable, default and meaning, for --help. */
void options_print_help(FILE *stream);

/* The kind of value that the option takes, for error messages: "a duration such as 60s or 500ms". */
const char *options_describe_value(const struct config_option *option);
