/* The name of an error; its number where the C library has no names (glibc before 2.32, musl). */
#pragma once

#include <stdio.h>
#include <string.h>

#include "tests/lib/newer.h"

#if HAS_GLIBC(2, 32)
static inline const char *error_name(int error)
{
	const char *name = strerrorname_np(error);

	return name ? name : "?";
}
#else
/* Allocates nothing, which programs of the contract refuse. Until the thread's next call. */
static inline const char *error_name(int error)
{
	static __thread char name[16];

	snprintf(name, sizeof(name), "E%d", error);
	return name;
}
#endif
