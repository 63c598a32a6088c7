/*
 * Which file a command line would run, through scripts to their interpreter, and whether a library can be preloaded
 * into it.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>

enum program_obstacle {
	PROGRAM_NO_OBSTACLE,
	PROGRAM_STATIC,
	PROGRAM_GO,
	PROGRAM_SETUID,
	PROGRAM_CAPABILITIES,
	PROGRAM_MUSL,
	PROGRAM_OTHER_LIBC,
	PROGRAM_OTHER_ARCHITECTURE,
	PROGRAM_UNKNOWN_FORMAT,
};

#define PROGRAM_MAX_STEPS 6 /* the kernel follows at most five interpreters */

struct program {
	unsigned n_steps;
	char steps[PROGRAM_MAX_STEPS][PATH_MAX]; /* the named file, then the interpreter of each */
	enum program_obstacle obstacle;
};

/* Finds the file that execvp() would run. 0, -ENOENT, -EACCES if only files without execute permission were found. */
int program_resolve(const char *name, char path[PATH_MAX]) __attribute__((warn_unused_result));

/* Follows `name` to the program that the kernel would load, and judges that. 0, or -errno if a step can't be found or
 * read: `program` holds the steps up to that one. */
int program_judge(struct program *program, const char *name) __attribute__((warn_unused_result));

/* True for what a relay (tools/relay) serves instead. Not for what raises privileges, which no_new_privs would deny to
 * it (prctl(2)), nor for another word size, whose system calls have other numbers. */
bool program_fits_relay(enum program_obstacle obstacle);

/* The obstacle as a clause: "it is statically linked". Static storage. */
const char *program_explain(enum program_obstacle obstacle);
