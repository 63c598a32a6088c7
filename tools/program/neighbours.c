/* See neighbours.h. The answers come from symbol tables: no code of the libraries runs. */
#include "tools/program/neighbours.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/base/text.h"
#include "tools/program/elf.h"
#include "tools/program/imports.h"

/* Exported names that identify an allocator. */
static const struct {
	const char *prefix;
	const char *allocator;
} MARKS[] = {
	{"mallctl", "jemalloc"},	  {"je_malloc", "jemalloc"},
	{"mi_malloc", "mimalloc"},	  {"tc_malloc", "tcmalloc"},
	{"MallocExtension_", "tcmalloc"}, {"_ZN15MallocExtension", "tcmalloc"},
	{"_ZN8tcmalloc", "tcmalloc"},	  {"_ZN15partition_alloc", "PartitionAlloc"},
	{"__asan_init", "a sanitizer's"},
};

struct neighbour {
	const char *allocator; /* NULL: it defines none */
	unsigned n_calls;      /* calls that Holdline defines as well */
	const char *first;     /* the first such call */
	bool goes_past;	       /* it opens libc by name, to call that directly */
};

static const struct imports_call *find_interposed(const struct imports *imports, const char *name)
{
	for (size_t i = 0; i < imports->n_calls; i++)
		if (imports->calls[i].is_interposed && strcmp(imports->calls[i].name, name) == 0)
			return &imports->calls[i];
	return NULL;
}

static void look_at_symbol(const struct imports *imports, const struct elf_symbol *symbol, struct neighbour *neighbour)
{
	const struct imports_call *call = find_interposed(imports, symbol->name);

	if (!call)
		return;
	/* The best known name. */
	if (!neighbour->n_calls++ || strcmp(call->name, "connect") == 0)
		neighbour->first = call->name;
}

/* The string table names each library that it needs once. */
static bool names_libc_twice(const struct elf_mapping *mapping)
{
	static const char name[] = "libc.so.6";
	const char *at = mapping->bytes, *end = at + mapping->size;
	unsigned n = 0;

	while (n < 2 && (at = memmem(at, (size_t)(end - at), name, sizeof(name)))) {
		at += sizeof(name);
		n++;
	}
	return n > 1;
}

static struct neighbour look_at(const struct imports *imports, const char *path)
{
	struct neighbour neighbour = {0};
	const char *marked = NULL;
	bool has_malloc = false;
	struct elf_mapping mapping;
	struct elf_symbol symbol;
	size_t position = 0;
	struct elf elf;

	if (elf_map(&mapping, path) < 0)
		return neighbour;
	if (elf_parse(&elf, mapping.bytes, mapping.size) == 0) {
		while (elf_next_symbol(&elf, &position, &symbol)) {
			if (!symbol.is_exported)
				continue;
			has_malloc |= strcmp(symbol.name, "malloc") == 0;
			for (size_t i = 0; i < sizeof(MARKS) / sizeof(MARKS[0]); i++)
				if (strncmp(symbol.name, MARKS[i].prefix, strlen(MARKS[i].prefix)) == 0)
					marked = MARKS[i].allocator;
			look_at_symbol(imports, &symbol, &neighbour);
		}
		neighbour.goes_past = neighbour.n_calls && names_libc_twice(&mapping);
	}
	neighbour.allocator = marked ? marked : has_malloc ? "one of its own" : NULL;
	elf_unmap(&mapping);
	return neighbour;
}

static void print_allocator(const struct neighbour *neighbour, const char *path)
{
	if (neighbour->allocator)
		printf("  its allocator is %s (%s): Holdline never allocates in it\n", neighbour->allocator,
		       text_base_name(path));
}

static void print_preloaded(const struct imports *imports, const char *name, bool is_ahead)
{
	struct neighbour neighbour;
	char path[PATH_MAX];

	if (!imports_find(path, name))
		return;
	neighbour = look_at(imports, path);
	print_allocator(&neighbour, path);
	if (!neighbour.n_calls)
		return;
	printf("  preloaded %s Holdline: %s, which defines %s", is_ahead ? "ahead of" : "behind", name,
	       neighbour.first);
	if (neighbour.n_calls > 1)
		printf(" and %u more call%s", neighbour.n_calls - 1, text_plural(neighbour.n_calls - 1));
	if (neighbour.goes_past && is_ahead)
		puts(" and calls libc past it: what that connects is not kept");
	else if (is_ahead)
		puts(": it is called first, and calls Holdline");
	else
		puts(": it sees what Holdline does, not each request's connection");
}

/* Calls `each` for each library of a list as in LD_PRELOAD and /etc/ld.so.preload (ld.so(8)). */
static void print_list(const struct imports *imports, char *list, bool *is_ahead)
{
	for (char *name; (name = strsep(&list, " \t\n:"));) {
		if (strcmp(text_base_name(name), "libholdline.so") == 0)
			*is_ahead = false;
		else if (*name)
			print_preloaded(imports, name, *is_ahead);
	}
}

void neighbours_print(const struct imports *imports)
{
	const char *preload = getenv("LD_PRELOAD");
	char list[PATH_MAX];
	bool is_ahead = true;
	FILE *file;

	for (size_t i = 0; i < imports->n_objects; i++) {
		struct neighbour neighbour = look_at(imports, imports->objects[i]);

		print_allocator(&neighbour, imports->objects[i]);
	}
	/* `holdline run` appends itself to the list. */
	snprintf(list, sizeof(list), "%s", preload ? preload : "");
	print_list(imports, list, &is_ahead);
	is_ahead = false;
	file = fopen("/etc/ld.so.preload", "re");
	while (file && fgets(list, sizeof(list), file)) {
		list[strcspn(list, "#")] = '\0';
		print_list(imports, list, &is_ahead);
	}
	if (file)
		fclose(file);
}
