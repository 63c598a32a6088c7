/*
 * The command line of a subcommand: its help, its options, its messages. `holdline run` parses its own, since its flags
 * come from the option table and end at the program's name.
 */
#pragma once

#include <stdbool.h>

#define CLI_MAX_OPTIONS 8

enum cli_kind {
	CLI_SWITCH, /* sets a bool */
	CLI_TEXT,   /* sets a const char * to the option's value */
};

struct cli_option {
	const char *name; /* "window", for --window=VALUE; NULL: only the letter */
	char letter;	  /* its short form; 0: none */
	enum cli_kind kind;
	void *value;
};

struct cli {
	const char *command; /* "doctor" */
	const char *help;    /* printed on stdout for -h and --help, on stderr after a mistake */
	int usage_status;    /* exit status after a mistake */
};

/* Parses the options, an array that ends with an empty one and has at most CLI_MAX_OPTIONS others; operands begin at
 * argv[optind] then. False: help was printed, and *status is the exit status. */
bool cli_parse(const struct cli *cli, const struct cli_option *options, int argc, char **argv, int *status);

/* Prints the help on stderr. Returns the exit status. */
int cli_print_usage(const struct cli *cli);

/* Prints "holdline COMMAND: WHAT: " and the text of errno `error` on stderr. Returns EXIT_CANNOT. */
int cli_complain(const char *command, const char *what, int error);
