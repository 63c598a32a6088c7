/*
 * A program that is served by a relay (tools/relay), since no library can enter it, or since all are to be.
 */
#pragma once

#include <stdbool.h>

#include "tools/program/program.h"

struct config;

struct run_relayed {
	const struct config *config;
	struct program program;
	bool is_judged; /* `program` is known */
	bool is_wanted;
	bool is_quiet; /* no warnings */
};

/* Judges the program `name`, and warns on stderr if nothing can serve it, unless `is_quiet`. `config` must live on. */
void run_relayed_init(struct run_relayed *relayed, const struct config *config, const char *name, bool is_quiet);

/* In the process that is to become the program, just before its exec: starts a relay if one is wanted, and says so in
 * the environment. If that is refused, warns on stderr, and lets the library serve the program where it can. */
void run_relayed_launch(const struct run_relayed *relayed);

/* Takes the library out of LD_PRELOAD just before the exec of a program whose loader would not start it then (musl's;
 * what that program starts is served by its relay), or would complain (another word size). */
void run_relayed_leave_out_library(const struct run_relayed *relayed);

/* True if the library is left out of what is run with these settings. */
bool run_relayed_serves_all(const struct config *config);
