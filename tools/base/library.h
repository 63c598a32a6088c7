/*
 * Libraries that only some subcommands need, and only in few runs: they are loaded when they are needed, since loading
 * takes longer than all that `holdline run` does (libmicrohttpd and its dependencies 6 ms, libdw 0.6 ms; an empty
 * program starts in 1 ms).
 */
#pragma once

#include <stddef.h>

struct library_symbol {
	const char *name;
	void *address; /* of the function pointer, which is set */
};

/* Loads the library for good. 0; -ENOENT if it is missing or lacks one of the symbols. */
int library_load(const char *soname, const struct library_symbol *symbols, size_t n_symbols)
	__attribute__((warn_unused_result));
