/*
 * From an address in a file of code to the function, the source file and the line: by the file's symbol tables and its
 * DWARF, also in the separate files that /usr/lib/debug and .gnu_debuglink lead to. Never asks the network (debuginfod).
 * Uses elfutils' libdw. Not thread-safe.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct symbolizer;

struct symbolize_place {
	const char *function; /* NULL: not known */
	const char *file;     /* likewise, then line is 0; as the compiler was told it */
	int line;
};

/* `trusts_all`: any file is parsed; else only those of root, since what is in files of others can be made to hurt a
 * parser. NULL: no memory. */
struct symbolizer *symbolizer_new(bool trusts_all);
void symbolizer_free(struct symbolizer *symbolizer);

/* What lies just before `address`, an ELF virtual address of the file `module`: a call, if that is where it returns to.
 * False if nothing is known of it; then *place is empty. Strings live as long as the symbolizer. */
bool symbolize(struct symbolizer *symbolizer, const char *module, uint64_t address, struct symbolize_place *place);
