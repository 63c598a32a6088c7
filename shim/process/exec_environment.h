/*
 * The environment that a program gets which is about to be executed: the caller's, without this library where its
 * loader cannot load it, or with one more variable where exchanges in flight follow it (exec_state.h). A program that
 * could not be looked at gets this library for such exchanges alone: without it no more than reuse is lost.
 *
 * Where there is no memory for another one, or where another thread has changed it meanwhile, it is the caller's.
 */
#pragma once

#include <stddef.h>

#include "shim/process/exec_kind.h"

/* How large a buffer exec_environment_prepare() needs; 0: the environment stays what it is, and nothing has to be done.
 * `all` as in exec_state.h. */
size_t exec_environment_size(char *const environment[], enum exec_kind kind, int all);

/* Returns the environment, in the buffer (NULL: there is none) or as it is. */
char **exec_environment_prepare(void *buffer, size_t size, char *const environment[], enum exec_kind kind, int all);
