/* See symbols.h. */
#include "shim/base/symbols.h"

#include <elf.h>
#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>

#define BITS_PER_WORD (8 * sizeof(ElfW(Addr)))
/* Of an entry of DT_VERSYM: not the default version of its name. */
#define VERSION_IS_HIDDEN 0x8000

#ifdef __GLIBC__
#include <gnu/lib-names.h>
#else
/* musl's list of objects, which has another name there. */
extern struct r_debug *_dl_debug_addr;
#define _r_debug (*_dl_debug_addr)
#endif

/* This library's own, by which the loader's list names it. */
extern ElfW(Dyn) _DYNAMIC[] __attribute__((visibility("hidden")));

static const struct link_map
	*startup_end; /* the last of the startup's objects, NULL: not known yet. Immutable after init */

/* The parts of one object that a search needs. */
struct object {
	ElfW(Addr) base;
	const ElfW(Sym) * symbols;
	const char *strings;
	const ElfW(Half) * versions; /* NULL: its names have none */
	const uint32_t *gnu_hash;    /* NULL: it has the other one, or nothing */
	const uint32_t *sysv_hash;
	const char *soname;
};

/* The loader has relocated the addresses in most objects' dynamic sections, but not in those that are read-only. */
static const void *address_of(const struct link_map *map, ElfW(Addr) value)
{
	return (const void *)(value < map->l_addr ? map->l_addr + value : value);
}

static void read_object(const struct link_map *map, struct object *object)
{
	ElfW(Addr) soname = 0;

	*object = (struct object){.base = map->l_addr};
	for (const ElfW(Dyn) *entry = map->l_ld; entry && entry->d_tag != DT_NULL; entry++) {
		switch (entry->d_tag) {
		case DT_SYMTAB:
			object->symbols = address_of(map, entry->d_un.d_ptr);
			break;
		case DT_STRTAB:
			object->strings = address_of(map, entry->d_un.d_ptr);
			break;
		case DT_VERSYM:
			object->versions = address_of(map, entry->d_un.d_ptr);
			break;
		case DT_GNU_HASH:
			object->gnu_hash = address_of(map, entry->d_un.d_ptr);
			break;
		case DT_HASH:
			object->sysv_hash = address_of(map, entry->d_un.d_ptr);
			break;
		case DT_SONAME:
			soname = entry->d_un.d_val;
			break;
		default:
			break;
		}
	}
	if (object->strings && soname)
		object->soname = object->strings + soname;
}

struct wanted {
	const char *name;
	uint32_t gnu_hash;
};

/* Returns where the name ends. */
static const char *hash_name(const char *name, struct wanted *wanted)
{
	const char *at = name;

	*wanted = (struct wanted){name, 5381};
	for (; *at; at++)
		wanted->gnu_hash = wanted->gnu_hash * 33 + (unsigned char)*at;
	return at;
}

static struct wanted want(const char *name)
{
	struct wanted wanted;

	hash_name(name, &wanted);
	return wanted;
}

/* Of the table that only a few objects still have. */
static uint32_t sysv_hash_of(const char *name)
{
	uint32_t hash = 0, high;

	for (const unsigned char *at = (const unsigned char *)name; *at; at++) {
		hash = (hash << 4) + *at;
		high = hash & 0xf0000000;
		hash = (hash ^ high >> 24) & ~high;
	}
	return hash;
}

static bool is_it(const struct object *object, uint32_t index, const char *name)
{
	const ElfW(Sym) *symbol = &object->symbols[index];
	unsigned type = ELF64_ST_TYPE(symbol->st_info);

	if (symbol->st_shndx == SHN_UNDEF || !symbol->st_value || type == STT_TLS || type == STT_SECTION ||
	    type == STT_FILE)
		return false;
	if (object->versions && (object->versions[index] & VERSION_IS_HIDDEN))
		return false;
	return strcmp(object->strings + symbol->st_name, name) == 0;
}

/* Layout: number of buckets, first index, size and shift of the Bloom filter, the filter, the buckets, the chains of
 * hashes whose lowest bit ends them. */
static uint32_t find_by_gnu_hash(const struct object *object, const struct wanted *wanted)
{
	const uint32_t *header = object->gnu_hash;
	uint32_t n_buckets = header[0], first = header[1], n_words = header[2], hash = wanted->gnu_hash;
	const ElfW(Addr) *filter = (const ElfW(Addr) *)(const void *)(header + 4);
	const uint32_t *buckets = (const uint32_t *)(const void *)(filter + n_words), *chains = buckets + n_buckets;
	ElfW(Addr) word, mask;
	uint32_t index;

	if (!n_buckets || !n_words)
		return STN_UNDEF;
	word = filter[hash / BITS_PER_WORD % n_words];
	mask = (ElfW(Addr))1 << hash % BITS_PER_WORD | (ElfW(Addr))1 << (hash >> header[3]) % BITS_PER_WORD;
	index = (word & mask) == mask ? buckets[hash % n_buckets] : STN_UNDEF;
	if (index < first)
		return STN_UNDEF;
	for (;; index++) {
		uint32_t other = chains[index - first];

		if ((other | 1) == (hash | 1) && is_it(object, index, wanted->name))
			return index;
		if (other & 1)
			return STN_UNDEF;
	}
}

static uint32_t find_by_sysv_hash(const struct object *object, const struct wanted *wanted)
{
	uint32_t n_buckets = object->sysv_hash[0], index;
	const uint32_t *buckets = object->sysv_hash + 2, *chains = buckets + n_buckets;

	for (index = n_buckets ? buckets[sysv_hash_of(wanted->name) % n_buckets] : STN_UNDEF; index;
	     index = chains[index])
		if (is_it(object, index, wanted->name))
			break;
	return index;
}

/* As the dynamic loader does with STT_GNU_IFUNC: the symbol is a function that returns the one to call. */
static void *resolve(void *function)
{
	void *(*resolver)(unsigned long hwcap) = (void *(*)(unsigned long))function;

	return resolver(getauxval(AT_HWCAP));
}

static void *find_in(const struct object *object, const struct wanted *wanted)
{
	uint32_t index = STN_UNDEF;
	void *address;

	if (!object->symbols || !object->strings)
		return NULL;
	if (object->gnu_hash)
		index = find_by_gnu_hash(object, wanted);
	else if (object->sysv_hash)
		index = find_by_sysv_hash(object, wanted);
	if (index == STN_UNDEF)
		return NULL;
	address = (void *)(object->base + object->symbols[index].st_value);
	return ELF64_ST_TYPE(object->symbols[index].st_info) == STT_GNU_IFUNC ? resolve(address) : address;
}

static bool is_this_library(const struct link_map *map)
{
	return map->l_ld == _DYNAMIC;
}

/* The kernel's own, which the loader lists but never searches, has no file. */
static bool is_vdso(const struct link_map *map)
{
	static ElfW(Addr) known;
	ElfW(Addr) vdso = __atomic_load_n(&known, __ATOMIC_RELAXED);

	if (!vdso) {
		vdso = getauxval(AT_SYSINFO_EHDR);
		__atomic_store_n(&known, vdso, __ATOMIC_RELAXED);
	}
	return vdso && vdso == map->l_addr;
}

/* So many names are looked up at once, object by object. */
#define WISHES_MAX 128

static bool is_searched(const struct link_map *map)
{
	return !is_vdso(map) && !is_this_library(map);
}

/* True once all are found. */
static bool fulfil_from(const struct object *object, const struct wanted *wanted, void **found, unsigned n)
{
	bool is_whole = true;

	for (unsigned i = 0; i < n; i++) {
		if (!found[i])
			found[i] = find_in(object, &wanted[i]);
		is_whole &= found[i] != NULL;
	}
	return is_whole;
}

static bool fulfil(const struct link_map *map, const struct wanted *wanted, void **found, unsigned n)
{
	struct object object;

	read_object(map, &object);
	return fulfil_from(&object, wanted, found, n);
}

struct search {
	struct wanted wanted[WISHES_MAX];
	void *found[WISHES_MAX];
	unsigned n;
};

static void begin_search(struct search *search, const struct symbols_list *list)
{
	const char *name = list->names;

	search->n = list->n < WISHES_MAX ? list->n : WISHES_MAX;
	for (unsigned i = 0; i < search->n; i++) {
		name = hash_name(name, &search->wanted[i]) + 1;
		search->found[i] = NULL;
	}
}

static void end_search(const struct search *search, const struct symbols_list *list, char *base)
{
	for (unsigned i = 0; i < search->n; i++)
		if (search->found[i])
			memcpy(base + list->offsets[i], &search->found[i], sizeof(search->found[i]));
}

static void bind_along(const struct link_map *map, const struct link_map *last, const struct symbols_list *list,
		       char *base)
{
	struct search search;

	begin_search(&search, list);
	for (; map; map = map == last ? NULL : map->l_next)
		if (is_searched(map) && fulfil(map, search.wanted, search.found, search.n))
			break;
	end_search(&search, list, base);
}

void symbols_bind_next(const struct symbols_list *list, void *base)
{
	const struct link_map *map = _r_debug.r_map;

	while (map && !is_this_library(map))
		map = map->l_next;
	bind_along(map, startup_end, list, base);
}

static bool has_soname(const struct link_map *map, const char *soname)
{
	struct object object;

	read_object(map, &object);
	return object.soname && strcmp(object.soname, soname) == 0;
}

#ifdef __GLIBC__
static bool is_libc(const struct link_map *map)
{
	return has_soname(map, LIBC_SO);
}
#else
/* musl's is the loader itself, which has no name of that kind, or another on each machine. */
static bool is_libc(const struct link_map *map)
{
	const struct wanted wanted = want("__libc_start_main");
	struct object object;

	read_object(map, &object);
	return is_searched(map) && find_in(&object, &wanted);
}
#endif

/* Nobody unloads it. Immutable after init, which is the first to ask. */
static struct object c_library;

void symbols_bind_libc(const struct symbols_list *list, void *base)
{
	struct search search;

	for (const struct link_map *map = _r_debug.r_map; map && !c_library.symbols; map = map->l_next)
		if (is_libc(map))
			read_object(map, &c_library);
	begin_search(&search, list);
	fulfil_from(&c_library, search.wanted, search.found, search.n);
	end_search(&search, list, base);
}

/* Of a library: its ELF header lies at its base. */
static uintptr_t end_of(const struct link_map *map)
{
	const ElfW(Ehdr) *header = (const ElfW(Ehdr) *)map->l_addr;
	const ElfW(Phdr) *program = (const ElfW(Phdr) *)(map->l_addr + header->e_phoff);
	uintptr_t end = 0;

	for (unsigned i = 0; i < header->e_phnum; i++)
		if (program[i].p_type == PT_LOAD && program[i].p_vaddr + program[i].p_memsz > end)
			end = program[i].p_vaddr + program[i].p_memsz;
	return map->l_addr + end;
}

unsigned symbols_bind_in(const char *soname, const struct symbols_list *list, void *base, uintptr_t *begin,
			 uintptr_t *end)
{
	unsigned n = 0;

	for (const struct link_map *map = _r_debug.r_map; map; map = map->l_next) {
		if (!is_searched(map) || !has_soname(map, soname))
			continue;
		n++;
		bind_along(map, map, list, base);
		if (begin)
			*begin = map->l_addr;
		if (end)
			*end = end_of(map);
	}
	return n;
}

_Atomic(unsigned) symbols_generation = 1;

unsigned symbols_count(const char *name, void **first)
{
	struct wanted wanted = want(name);
	unsigned n = 0;

	*first = NULL;
	for (const struct link_map *map = _r_debug.r_map; map; map = map->l_next) {
		void *found = NULL;

		if (is_searched(map))
			fulfil(map, &wanted, &found, 1);
		if (!found)
			continue;
		n++;
		if (!*first)
			*first = found;
	}
	return n;
}

/* The object in which an address lies; NULL: none of the libraries. (The executable may lie anywhere.) */
static const struct link_map *object_at(uintptr_t address)
{
	for (const struct link_map *map = _r_debug.r_map; map; map = map->l_next)
		if (map->l_addr && is_searched(map) && address >= map->l_addr && address < end_of(map))
			return map;
	return _r_debug.r_map;
}

/* Of the libraries that an object needs, one that defines it. */
static void *find_needed(const struct link_map *object, const char *name)
{
	struct wanted wanted = want(name);
	struct object parts;
	void *found = NULL;

	read_object(object, &parts);
	for (const ElfW(Dyn) *entry = object->l_ld; entry && entry->d_tag != DT_NULL && !found; entry++)
		for (const struct link_map *map = _r_debug.r_map;
		     entry->d_tag == DT_NEEDED && parts.strings && map && !found; map = map->l_next)
			if (is_searched(map) && has_soname(map, parts.strings + entry->d_un.d_val))
				fulfil(map, &wanted, &found, 1);
	return found;
}

void *symbols_find_for(const void *return_address, const char *name)
{
	const struct link_map *object = object_at((uintptr_t)return_address);
	struct wanted wanted = want(name);
	void *found = NULL;

	/* Its own first: a library calls itself by its exported names. */
	if (object && is_searched(object))
		fulfil(object, &wanted, &found, 1);
	if (!found && object)
		found = find_needed(object, name);
	return found ? found : symbols_find_anywhere(name);
}

void *symbols_find_anywhere(const char *name)
{
	struct wanted wanted = want(name);
	void *found = NULL;

	for (const struct link_map *map = _r_debug.r_map; map && !found; map = map->l_next)
		if (is_searched(map))
			fulfil(map, &wanted, &found, 1);
	return found;
}

void symbols_end_startup(void)
{
	const struct link_map *map = _r_debug.r_map;

	while (map && map->l_next)
		map = map->l_next;
	startup_end = map;
}

const char *symbols_own_path(void)
{
	for (const struct link_map *map = _r_debug.r_map; map; map = map->l_next)
		if (is_this_library(map))
			return map->l_name;
	return "";
}

const char *symbols_own_name(void)
{
	const char *path = symbols_own_path(), *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}
