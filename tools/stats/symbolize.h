/*
 * From an address in a file of code to its function, source file and line: by the file's symbol tables and its DWARF,
 * also in separate files found via /usr/lib/debug and .gnu_debuglink. Never asks the network (debuginfod). Uses
 * elfutils' libdw. Not thread-safe.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct symbolizer;

struct symbolize_place {
	const char *function; /* NULL: unknown */
	const char *file;     /* likewise, then line is 0; as given to the compiler */
	int line;
};

/* `trusts_all`: any file is parsed; else only root's, since others' files could attack the parser. NULL: no memory. */
struct symbolizer *symbolizer_new(bool trusts_all);
void symbolizer_free(struct symbolizer *symbolizer);

/* Describes the code just before `address`, an ELF virtual address of the file `module`: the call, if `address` is
 * where it returns to. False if nothing is known; then *place is empty. Strings live as long as the symbolizer. */
bool symbolize(struct symbolizer *symbolizer, const char *module, uint64_t address, struct symbolize_place *place);
