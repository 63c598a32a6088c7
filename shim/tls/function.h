/*
 * The real function behind one of our wrappers of a TLS library's, whatever library and version is loaded.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

/* What is known of it. All zero at first. */
struct function {
	_Atomic(void *) first;
	_Atomic(unsigned) n; /* objects that define it */
	_Atomic(unsigned) looked_at;
};

/* Where there are several, the one that the caller was linked with. NULL: there is none. No lock, no memory. */
void *function_find(struct function *function, const char *name, const void *return_address);

/* The loaded object of that name stays where it is until the process ends; once is enough, which `is_done` says. Where
 * the library may allocate. */
void function_pin_library(const char *soname, _Atomic(bool) *is_done);

/* Of the function that calls us; in the wrapper itself. */
#define FUNCTION(name)                                                                          \
	({                                                                                      \
		static struct function known;                                                   \
		(__typeof__(&(name)))function_find(&known, #name, __builtin_return_address(0)); \
	})
