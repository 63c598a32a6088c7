/*
 * Libraries that only some subcommands need, and few runs of those: loaded when they are, since to load them takes longer
 * than all that `holdline run` does (libmicrohttpd and what it needs 6 ms, libdw 0.6 ms; an empty program starts in 1 ms).
 */
#pragma once

#include <stddef.h>

struct library_symbol {
	const char *name;
	void *address; /* of the pointer to the function, which is set */
};

/* Loads it for good. 0; -ENOENT if it is not there, or lacks one of the symbols. */
int library_load(const char *soname, const struct library_symbol *symbols, size_t n_symbols)
	__attribute__((warn_unused_result));
