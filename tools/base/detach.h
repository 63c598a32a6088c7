/* Starting a process of our own beside the program that we become. */
#pragma once

/* Where the process finds the descriptor that it was given. */
#define DETACH_FD 3

/* Starts `holdline ARGUMENT...` (the names end with NULL; the first is the subcommand) in a session of its own, in the
 * root folder, with default signals, /dev/null as its standard streams, and `fd` as DETACH_FD: it keeps nothing else of
 * the caller's, whose pipe would keep a `$(...)` waiting. It is no child of the caller. 0 or -errno of fork(2); whether
 * it could be executed shows on `fd`. */
int detach_start(int fd, const char *const arguments[]) __attribute__((warn_unused_result));

/* Calls `run` in a process that is no child of the caller either, but keeps all that it has. */
void detach_call(void (*run)(int fd), int fd);
