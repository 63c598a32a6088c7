/*
 * The program of an ExecStart= (systemd.service(5)): its prefixes and its path.
 */
#pragma once

#include <limits.h>
#include <stddef.h>

struct command_line {
	char prefixes[8];	/* of @ - : + ! and |, as they stand */
	char program[PATH_MAX]; /* the first word */
	const char *rest;	/* of the line, from the program on, as it stands there */
};

/* 0; -EINVAL: systemd would not take it either; -ENAMETOOLONG. */
int command_line_parse(struct command_line *line, const char *text) __attribute__((warn_unused_result));
