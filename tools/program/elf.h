/*
 * Reading ELF files: only the parts that decide whether a library can be preloaded into a program, and which symbols it
 * imports and exports. The bytes may be hostile: every offset is checked. No allocation. Sources: elf(5), ld.so(8).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct elf_range {
	uint64_t offset;
	uint64_t size;
};

/* Pointers lead into the bytes given to elf_parse(), which must outlive this. */
struct elf {
	const unsigned char *bytes;
	size_t size;

	bool native;		 /* our word size and byte order; if false, the rest is not filled in */
	uint16_t machine;	 /* EM_... */
	bool is_go;		 /* it has sections of the Go linker */
	const char *interpreter; /* PT_INTERP, or NULL: no dynamic loader runs */

	/* Private: dynamic section and symbol table with their strings; empty if there are none. */
	struct elf_range dynamic, dynamic_names, symbols, symbol_names;
};

struct elf_symbol {
	const char *name;
	bool is_undefined; /* to be found in another file */
	bool is_exported;  /* other files may find it here */
};

/* 0; -ENOEXEC if it doesn't begin as an ELF file does. Contradictory contents are left out silently. */
int elf_parse(struct elf *elf, const void *bytes, size_t size) __attribute__((warn_unused_result));

/* The string of the `index`th dynamic entry with this tag (DT_NEEDED, DT_RUNPATH...), or NULL. */
const char *elf_dynamic_string(const struct elf *elf, int64_t tag, size_t index);

/* Walks through the dynamic symbols; begin with *position = 0. False at the end. */
bool elf_next_symbol(const struct elf *elf, size_t *position, struct elf_symbol *symbol);

/* A file mapped into memory; structures parsed from it stay valid until elf_unmap(). */
struct elf_mapping {
	void *bytes;
	size_t size;
};

/* 0 or -errno; -ENOEXEC for a file that is empty or not regular. */
int elf_map(struct elf_mapping *mapping, const char *path) __attribute__((warn_unused_result));
void elf_unmap(struct elf_mapping *mapping);
