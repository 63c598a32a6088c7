/* holdline run --report: stays the program's parent (parent.h), and reports the counts at its end. */
#pragma once

struct config;
struct run_relayed;

/* Runs the program, by a relay where that is wanted; the report goes to stderr, or to the file `path`. Returns the exit
 * status, or ends as the program did. */
int run_reported(const struct config *config, const char *path, const struct run_relayed *relayed, char **argv);
