/*
 * Running one of the demo's client programs, and its output.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define DEMO_MAX_ARGUMENTS 24

struct demo_result {
	bool timed_out;
	double seconds;
	char output[65536]; /* standard output, cut off if longer */
	char errors[4096];  /* standard error, likewise */
};

/* Runs a command (NULL-terminated, its program found in PATH) to its end, for at most `limit_s` seconds; then kills its
 * whole process group. 0 or -errno: it could not be started. */
int demo_client_run(char *const argv[], int limit_s, struct demo_result *result) __attribute__((warn_unused_result));
