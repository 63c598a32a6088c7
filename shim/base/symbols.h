/*
 * Names of functions in the objects that the loader has mapped, looked up without it: dlsym() takes its lock and
 * allocates (a name that is missing makes it format an error), which deadlocks where an allocator's own
 * initialisation has called us with its lock held.
 *
 * Reads the objects' symbol tables (elf(5), DT_GNU_HASH) along the loader's list (struct r_debug, <link.h>). Takes
 * no lock, allocates nothing, makes no system call, and is async-signal-safe; it works from the moment that our own
 * references are bound. Of several versions of a name the default one is taken, as dlsym() does. In a search only
 * objects count that were there when the program started, which nobody unloads.
 */
#pragma once

#include <stdint.h>

/* Names, and where the pointers to what they mean are, as offsets from a base. No address is among it, which the
 * loader would have to relocate in each process. */
struct symbols_list {
	const char *names; /* one behind the other, each with its end */
	const uint16_t *offsets;
	unsigned n;
};

/* Fills the pointers with the definitions that the loader would use behind ours, as dlsym(RTLD_NEXT). One that has
 * none stays as it is. */
void symbols_bind_next(const struct symbols_list *list, void *base);

/* The same with the C library's own, whoever is behind us. */
void symbols_bind_libc(const struct symbols_list *list, void *base);

/* The same with the objects of that name (DT_SONAME), also those that were loaded since. Returns how many there are,
 * and where the last of them lies (NULL: not asked). */
unsigned symbols_bind_in(const char *soname, const struct symbols_list *list, void *base, uintptr_t *begin,
			 uintptr_t *end);

/* How many objects define a name, also those that were loaded since; *first is the first of them. */
unsigned symbols_count(const char *name, void **first);

/* Of several definitions the one that the caller's object means, by the return address: its own, or of what it was
 * linked with; else the first one anywhere. */
void *symbols_find_for(const void *return_address, const char *name);

/* Changes when objects may have been loaded. */
extern _Atomic(unsigned) symbols_generation;

/* The first one anywhere, also in what was loaded since; NULL: there is none. */
void *symbols_find_anywhere(const char *name);

/* No object that is loaded from now on counts. In the constructor. */
void symbols_end_startup(void);

/* The path by which the loader has this library. */
const char *symbols_own_path(void);

/* Its last part. */
const char *symbols_own_name(void);
