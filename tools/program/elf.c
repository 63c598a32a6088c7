/*
 * Reading ELF files, hostile ones too. Structures are copied out of the bytes, since these may be unaligned.
 */
#include "tools/program/elf.h"

#include <elf.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define OUR_CLASS (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32)
#define OUR_DATA (__BYTE_ORDER == __LITTLE_ENDIAN ? ELFDATA2LSB : ELFDATA2MSB)
#define SYMBOL_BIND(info) ((info) >> 4)

/* Copies `size` bytes at `offset`, if the file has them. */
static bool copy_bytes(const struct elf *elf, uint64_t offset, void *target, size_t size)
{
	if (offset > elf->size || size > elf->size - offset)
		return false;
	memcpy(target, elf->bytes + offset, size);
	return true;
}

/* Copies the `index`th structure of a table that lies in `range`. */
static bool copy_entry(const struct elf *elf, struct elf_range range, uint64_t index, void *target, size_t size)
{
	return index < range.size / size && copy_bytes(elf, range.offset + index * size, target, size);
}

/* The string that begins `offset` bytes into `range` and ends inside it, or NULL. */
static const char *find_string(const struct elf *elf, struct elf_range range, uint64_t offset)
{
	const char *string;

	if (offset >= range.size || range.offset > elf->size || range.size > elf->size - range.offset)
		return NULL;
	string = (const char *)elf->bytes + range.offset + offset;
	return memchr(string, '\0', range.size - offset) ? string : NULL;
}

static void read_program_headers(struct elf *elf, const ElfW(Ehdr) * header)
{
	struct elf_range table = {header->e_phoff, (uint64_t)header->e_phnum * sizeof(ElfW(Phdr))};
	ElfW(Phdr) entry;

	if (header->e_phentsize != sizeof(entry))
		return;
	for (uint64_t i = 0; copy_entry(elf, table, i, &entry, sizeof(entry)); i++)
		if (entry.p_type == PT_INTERP)
			elf->interpreter = find_string(elf, (struct elf_range){entry.p_offset, entry.p_filesz}, 0);
}

/* The range of section `index`, and in *linked the range of the section with its strings. */
static struct elf_range find_section(const struct elf *elf, struct elf_range table, uint64_t index,
				     struct elf_range *linked)
{
	ElfW(Shdr) entry, other;

	memset(linked, 0, sizeof(*linked));
	if (!copy_entry(elf, table, index, &entry, sizeof(entry)) || entry.sh_type == SHT_NOBITS)
		return (struct elf_range){0, 0};
	if (copy_entry(elf, table, entry.sh_link, &other, sizeof(other)) && other.sh_type == SHT_STRTAB)
		*linked = (struct elf_range){other.sh_offset, other.sh_size};
	return (struct elf_range){entry.sh_offset, entry.sh_size};
}

static void read_section_headers(struct elf *elf, const ElfW(Ehdr) * header)
{
	struct elf_range table = {header->e_shoff, (uint64_t)header->e_shnum * sizeof(ElfW(Shdr))};
	struct elf_range ignored, names = find_section(elf, table, header->e_shstrndx, &ignored);
	ElfW(Shdr) entry;

	if (header->e_shentsize != sizeof(entry))
		return;
	for (uint64_t i = 0; copy_entry(elf, table, i, &entry, sizeof(entry)); i++) {
		const char *name = find_string(elf, names, entry.sh_name);

		if (name && (strcmp(name, ".note.go.buildid") == 0 || strcmp(name, ".gopclntab") == 0))
			elf->is_go = true;
		if (entry.sh_type == SHT_DYNAMIC)
			elf->dynamic = find_section(elf, table, i, &elf->dynamic_names);
		if (entry.sh_type == SHT_DYNSYM)
			elf->symbols = find_section(elf, table, i, &elf->symbol_names);
	}
}

int elf_parse(struct elf *elf, const void *bytes, size_t size)
{
	unsigned char ident[EI_NIDENT];
	ElfW(Ehdr) header;

	memset(elf, 0, sizeof(*elf));
	elf->bytes = bytes;
	elf->size = size;
	if (!copy_bytes(elf, 0, ident, sizeof(ident)) || memcmp(ident, ELFMAG, SELFMAG) != 0)
		return -ENOEXEC;
	if (ident[EI_CLASS] != OUR_CLASS || ident[EI_DATA] != OUR_DATA)
		return 0;
	if (!copy_bytes(elf, 0, &header, sizeof(header)))
		return -ENOEXEC;
	elf->native = true;
	elf->machine = header.e_machine;
	read_program_headers(elf, &header);
	read_section_headers(elf, &header);
	return 0;
}

const char *elf_dynamic_string(const struct elf *elf, int64_t tag, size_t index)
{
	ElfW(Dyn) entry;

	for (uint64_t i = 0; copy_entry(elf, elf->dynamic, i, &entry, sizeof(entry)) && entry.d_tag != DT_NULL; i++)
		if (entry.d_tag == tag && index-- == 0)
			return find_string(elf, elf->dynamic_names, entry.d_un.d_val);
	return NULL;
}

bool elf_next_symbol(const struct elf *elf, size_t *position, struct elf_symbol *symbol)
{
	ElfW(Sym) entry;

	while (copy_entry(elf, elf->symbols, (*position)++, &entry, sizeof(entry))) {
		unsigned bind = SYMBOL_BIND(entry.st_info), visibility = ELF64_ST_VISIBILITY(entry.st_other);

		symbol->name = find_string(elf, elf->symbol_names, entry.st_name);
		if (!symbol->name || !*symbol->name)
			continue;
		symbol->is_undefined = entry.st_shndx == SHN_UNDEF;
		symbol->is_exported = !symbol->is_undefined && (bind == STB_GLOBAL || bind == STB_WEAK) &&
				      (visibility == STV_DEFAULT || visibility == STV_PROTECTED);
		return true;
	}
	return false;
}

int elf_map(struct elf_mapping *mapping, const char *path)
{
	struct stat status;
	int error = 0, fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return -errno;
	if (fstat(fd, &status) != 0) {
		error = -errno;
	} else if (!S_ISREG(status.st_mode) || status.st_size <= 0) {
		error = -ENOEXEC;
	} else {
		mapping->size = (size_t)status.st_size;
		mapping->bytes = mmap(NULL, mapping->size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (mapping->bytes == MAP_FAILED)
			error = -errno;
	}
	close(fd);
	return error;
}

void elf_unmap(struct elf_mapping *mapping)
{
	munmap(mapping->bytes, mapping->size);
}
