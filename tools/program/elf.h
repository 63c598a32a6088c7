/*
 * Reading ELF files: just what decides whether a library can be preloaded into a program, and which symbols go in and
 * out of it. The bytes may be hostile: every offset is checked, nothing is believed. No allocation.
 * Sources: elf(5), ld.so(8).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct elf_range {
	uint64_t offset;
	uint64_t size;
};

/* Pointers lead into the bytes given to elf_parse(), which must outlive it. */
struct elf {
	const unsigned char *bytes;
	size_t size;

	bool native;		 /* word size and byte order are ours; if not, nothing below is filled in */
	uint16_t machine;	 /* EM_... */
	bool is_go;		 /* the Go linker's sections are there */
	const char *interpreter; /* PT_INTERP, or NULL: no dynamic loader is run */

	/* Private: dynamic section and symbol table with their strings; empty if there are none. */
	struct elf_range dynamic, dynamic_names, symbols, symbol_names;
};

struct elf_symbol {
	const char *name;
	bool is_undefined; /* to be found elsewhere */
	bool is_exported;  /* others may find it here */
};

/* 0; -ENOEXEC if it doesn't begin as an ELF file does. Contradictory contents are left out, not complained of. */
int elf_parse(struct elf *elf, const void *bytes, size_t size) __attribute__((warn_unused_result));

/* The string that the `index`th dynamic entry with this tag (DT_NEEDED, DT_RUNPATH...) names, or NULL. */
const char *elf_dynamic_string(const struct elf *elf, int64_t tag, size_t index);

/* The dynamic symbols one after the other; begin with *position = 0. False at the end. */
bool elf_next_symbol(const struct elf *elf, size_t *position, struct elf_symbol *symbol);

/* A file mapped into memory; what is parsed from it stays valid until elf_unmap(). */
struct elf_mapping {
	void *bytes;
	size_t size;
};

/* 0 or -errno; -ENOEXEC for an empty file or one that is not regular. */
int elf_map(struct elf_mapping *mapping, const char *path) __attribute__((warn_unused_result));
void elf_unmap(struct elf_mapping *mapping);
