/*
 * The subcommands of `holdline`, a file each. Each gets the arguments from its own name on and returns the exit status.
 */
#pragma once

#include <stddef.h>

struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *summary; /* NULL: not shown in the help */
};

extern const struct command commands[];
extern const size_t n_commands;

#define EXIT_CANNOT 1	    /* check: the shim can't work in that program */
#define EXIT_USAGE 2	    /* bad arguments, or nothing to work on */
#define EXIT_RUN_FAILED 125 /* run: our own failure, as in env(1) */
#define EXIT_RUN_NOT_EXECUTABLE 126
#define EXIT_RUN_NOT_FOUND 127

int command_bench(int argc, char **argv);
int command_bench_client(int argc, char **argv);
int command_broker(int argc, char **argv);
int command_bugreport(int argc, char **argv);
int command_check(int argc, char **argv);
int command_complete(int argc, char **argv);
int command_demo(int argc, char **argv);
int command_doctor(int argc, char **argv);
int command_disable(int argc, char **argv);
int command_enable(int argc, char **argv);
int command_enabled(int argc, char **argv);
int command_env(int argc, char **argv);
int command_metrics(int argc, char **argv);
int command_options(int argc, char **argv);
int command_relay(int argc, char **argv);
int command_report(int argc, char **argv);
int command_run(int argc, char **argv);
int command_status(int argc, char **argv);
int command_top(int argc, char **argv);
int command_version(int argc, char **argv);
