/*
 * Programs that the loader would not load this library into (static ones, Go, another libc), executed by one that has
 * it, as by a shell: `holdline run` is executed in their place, in the same process. It puts a relay around the process
 * (tools/relay) and executes the program, which finds its arguments, environment and descriptors as the caller meant
 * them.
 *
 * Decided by the first bytes of the file (exec_kind.h). Native stays what cannot be executed just now, and what a
 * process executes that is traced, has a filter of system calls of its own, or little memory. A program of another word
 * size is not seen by the relay either.
 *
 * Works on the caller's stack only, and never blocks: a vfork child may be the caller. errno is lost.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define EXEC_RELAY_VARIABLE "HOLDLINE_COMMAND"
#define EXEC_RELAY_PATH_MAX 256 /* longer paths are executed natively */

/* In the constructor: the path of the holdline command, which the environment names. Without it nothing is done. */
void exec_relay_init(char *const environment[]);

/* The program has one more filter of system calls of its own from now on (NULL: it cannot be read, or is the strict
 * mode): no relay any more, and looks at files only where the filter allows their calls. */
struct sock_fprog;
void exec_relay_note_filter(const struct sock_fprog *filter);

/* A first look, without a system call: true if a program with this environment would have this library where its loader
 * obeys, so that the file is worth a look. Its entries can be read then. */
bool exec_relay_may_look(char *const environment[]);

/* The file that execvp(3) would find, in `path` where it is not `file` itself; NULL: none, or that is in doubt. */
const char *exec_relay_find(const char *file, char path[EXEC_RELAY_PATH_MAX]);

/* True if a program that the loader does not take this library into can be executed with these, and is to have a relay.
 * The environment has been looked at. */
bool exec_relay_may(const char *path, char *const arguments[], char *const environment[]);

/* The call to make instead of the program's own; path NULL: there is none. */
struct exec_relay_call {
	const char *path;
	char **arguments;
	char **environment;
};

/* How large a buffer exec_relay_prepare() needs; 0: there are no such arguments. */
size_t exec_relay_size(char *const arguments[], char *const environment[]);

/* Fills the buffer (aligned for pointers, of that size) with the arguments and the environment of the call. There is no
 * call where there is no buffer, or it is too small by now. */
struct exec_relay_call exec_relay_prepare(void *buffer, size_t size, const char *path, char *const arguments[],
					  char *const environment[]);
