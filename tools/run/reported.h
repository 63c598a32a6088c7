/* holdline run --report: stays the program's parent (parent.h), and reports the counts at its end. */
#pragma once

struct config;

/* Runs the program; the report goes to stderr, or to the file `path`. Returns the exit status, or ends as the program
 * did. */
int run_reported(const struct config *config, const char *path, char **argv);
