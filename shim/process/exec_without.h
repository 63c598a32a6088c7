/*
 * An environment without this library, for programs whose loader cannot load it: it would print that, or end the
 * program. Other libraries that are preloaded stay. Works on the caller's memory only; async-signal-safe.
 */
#pragma once

#include <stddef.h>

/* How large a buffer exec_without_prepare() needs. All entries can be read. */
size_t exec_without_size(char *const environment[]);

/* Fills the buffer (aligned for pointers, of that size) with the environment that is left, and returns that. Returns
 * the environment as it is where there is no buffer, or it is too small by now. */
char **exec_without_prepare(void *buffer, size_t size, char *const environment[]);
