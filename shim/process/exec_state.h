/*
 * Exchanges in flight follow into the programs that this one executes: `exec 3<>/dev/tcp/host/80; printf ... >&3; cat
 * <&3`.
 *
 * The server was asked to stay, so whoever reads the answer's end has to make the end of file; the reader may be
 * another program that inherits the socket. Its copy of this library learns of it by a variable in its environment,
 * which names sockets by SO_COOKIE and is taken away again before the program sees it. Such a connection is never
 * parked.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define EXEC_STATE_VARIABLE "HOLDLINE_INFLIGHT"

/* How large a buffer exec_state_prepare() needs for the exchanges that now are to be inherited (0: there are none),
 * and for an environment with one more variable. No more: the caller's stack may be a small one. `all`: also those
 * on close-on-exec descriptors, which file actions may duplicate. */
size_t exec_state_size(char *const environment[], int all);

/* Fills the buffer (aligned for pointers, of that size) with a new environment that carries them, and returns that.
 * Where there is no buffer, or it is too small by now, or the new program will not have this library, or have it
 * switched off, they are given up, and the environment stays what it is. */
char **exec_state_prepare(void *buffer, size_t size, char *const environment[], int all);

/* They do not follow: the servers are asked to make the end of file. */
void exec_state_give_up(int all);

/* True if a program with this environment has this library, where its loader obeys that. */
bool exec_state_is_preloaded(char *const environment[]);

/* Takes the variable out of an environment. */
void exec_state_forget(char **environment);

/* In the constructor: true if the variable is there. */
bool exec_state_is_told(char **environment);

/* In the constructor, when the library has begun: takes over what the variable names, and takes the variable away. */
void exec_state_receive(char **environment);
