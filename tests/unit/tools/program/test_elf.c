/*
 * The ELF reader: its findings in a real file, and that no damaged file leads it astray (run it under ASan, too).
 */
#include "tools/program/elf.h"

#include <check.h>
#include <elf.h>
#include <errno.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>

static unsigned char *bytes; /* of this very program, ours to damage */
static size_t size;

static void read_self(void)
{
	struct elf_mapping mapping;

	ck_assert_int_eq(elf_map(&mapping, "/proc/self/exe"), 0);
	size = mapping.size;
	bytes = malloc(size);
	ck_assert_ptr_nonnull(bytes);
	memcpy(bytes, mapping.bytes, size);
	elf_unmap(&mapping);
}

static void free_self(void)
{
	free(bytes);
}

/* Asks for everything that can be asked. The bytes are at the end of an allocation, so that ASan sees each step too
 * far. */
static size_t read_all(const unsigned char *source, size_t length)
{
	unsigned char *copy = malloc(length ? length : 1);
	struct elf_symbol symbol;
	size_t position = 0, n = 0;
	struct elf elf;

	ck_assert_ptr_nonnull(copy);
	memcpy(copy, source, length);
	if (elf_parse(&elf, copy, length) == 0) {
		n += elf.interpreter ? strlen(elf.interpreter) : 0;
		for (size_t i = 0; i < 1000 && elf_dynamic_string(&elf, DT_NEEDED, i); i++)
			n += strlen(elf_dynamic_string(&elf, DT_NEEDED, i));
		while (elf_next_symbol(&elf, &position, &symbol))
			n += strlen(symbol.name);
	}
	free(copy);
	return n;
}

START_TEST(real_program_is_read)
{
	bool needs_libc = false, imports_malloc = false;
	struct elf_symbol symbol;
	size_t position = 0;
	struct elf elf;

	ck_assert_int_eq(elf_parse(&elf, bytes, size), 0);
	ck_assert(elf.native);
	ck_assert(!elf.is_go);
	ck_assert_ptr_nonnull(elf.interpreter);
	ck_assert_ptr_nonnull(strstr(elf.interpreter, "/ld"));
	for (size_t i = 0; elf_dynamic_string(&elf, DT_NEEDED, i); i++)
		needs_libc |= strncmp(elf_dynamic_string(&elf, DT_NEEDED, i), "libc.so", 7) == 0;
	ck_assert(needs_libc);
	while (elf_next_symbol(&elf, &position, &symbol)) {
		ck_assert(!(symbol.is_undefined && symbol.is_exported));
		imports_malloc |= symbol.is_undefined && strcmp(symbol.name, "malloc") == 0;
	}
	ck_assert(imports_malloc);
}
END_TEST

START_TEST(short_files_are_refused)
{
	struct elf elf;

	for (size_t length = 0; length < EI_NIDENT; length++)
		ck_assert_int_eq(elf_parse(&elf, bytes, length), -ENOEXEC);
	for (size_t length = EI_NIDENT; length < sizeof(ElfW(Ehdr)); length++)
		ck_assert_int_eq(elf_parse(&elf, bytes, length), -ENOEXEC);
	bytes[0] = 'X';
	ck_assert_int_eq(elf_parse(&elf, bytes, size), -ENOEXEC);
}
END_TEST

START_TEST(foreign_files_are_not_read)
{
	struct elf elf;

	bytes[EI_CLASS] = bytes[EI_CLASS] == ELFCLASS64 ? ELFCLASS32 : ELFCLASS64;
	ck_assert_int_eq(elf_parse(&elf, bytes, size), 0);
	ck_assert(!elf.native);
	ck_assert_ptr_null(elf.interpreter);
	ck_assert_ptr_null(elf_dynamic_string(&elf, DT_NEEDED, 0));
}
END_TEST

START_TEST(truncated_files_are_survived)
{
	size_t full = read_all(bytes, size);

	ck_assert_uint_gt(full, 0);
	for (size_t length = 0; length < 4096 && length < size; length++)
		ck_assert_uint_le(read_all(bytes, length), full);
	for (size_t length = 4096; length < size; length += size / 97)
		read_all(bytes, length);
}
END_TEST

/* Every 8 bytes of the file header become all ones, then a value just short of the file's size. */
START_TEST(damaged_header_is_survived)
{
	for (size_t offset = EI_NIDENT; offset < sizeof(ElfW(Ehdr)); offset++) {
		uint64_t values[] = {UINT64_MAX, INT64_MAX, size - 1, size, 1};

		for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
			unsigned char saved[8];

			memcpy(saved, bytes + offset, 8);
			memcpy(bytes + offset, &values[i], 8);
			read_all(bytes, size);
			memcpy(bytes + offset, saved, 8);
		}
	}
}
END_TEST

START_TEST(damaged_tables_are_survived)
{
	ElfW(Ehdr) header;
	unsigned seed = 1;

	memcpy(&header, bytes, sizeof(header));
	for (int i = 0; i < 2000; i++) {
		size_t n_sections = (size_t)header.e_shnum * sizeof(ElfW(Shdr));
		size_t at = (unsigned)rand_r(&seed) % 2 ? header.e_shoff + (unsigned)rand_r(&seed) % n_sections
							: (unsigned)rand_r(&seed) % 8192;
		unsigned char saved = bytes[at];

		bytes[at] = (unsigned char)rand_r(&seed);
		read_all(bytes, size);
		if (i % 4) /* let some of the damage add up */
			bytes[at] = saved;
	}
}
END_TEST

START_TEST(mapping_refuses_what_is_no_file)
{
	struct elf_mapping mapping;

	ck_assert_int_eq(elf_map(&mapping, "/nonexistent"), -ENOENT);
	ck_assert_int_eq(elf_map(&mapping, "/dev/null"), -ENOEXEC);
	ck_assert_int_eq(elf_map(&mapping, "/"), -ENOEXEC);
}
END_TEST

Suite *elf_suite(void)
{
	Suite *suite = suite_create("elf");
	TCase *self = tcase_create("self");

	tcase_add_checked_fixture(self, read_self, free_self);
	tcase_set_timeout(self, 60);
	tcase_add_test(self, real_program_is_read);
	tcase_add_test(self, short_files_are_refused);
	tcase_add_test(self, foreign_files_are_not_read);
	tcase_add_test(self, truncated_files_are_survived);
	tcase_add_test(self, damaged_header_is_survived);
	tcase_add_test(self, damaged_tables_are_survived);
	tcase_add_test(self, mapping_refuses_what_is_no_file);
	suite_add_tcase(suite, self);
	return suite;
}
