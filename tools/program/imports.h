/*
 * Which socket calls a program and its libraries import from libc, and which of them libholdline.so interposes.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#define IMPORTS_MAX_OBJECTS 256
#define IMPORTS_MAX_MISSING 16

/* A libc call that can affect a socket. */
struct imports_call {
	const char *name;
	bool is_interposed;
	unsigned n_users;
	unsigned first_user; /* index into imports.objects */
};

struct imports {
	struct imports_call *calls; /* sorted by name; static storage */
	size_t n_calls;
	char *objects[IMPORTS_MAX_OBJECTS]; /* paths: the program first, then its libraries */
	size_t n_objects;
	char *missing[IMPORTS_MAX_MISSING]; /* names of libraries that were not found */
	size_t n_missing;
};

/* Reads from the shim's exported symbols which calls it interposes. 0 or -errno. Call it first. */
int imports_init(struct imports *imports, const char *shim_path) __attribute__((warn_unused_result));

/* Collects the imports of `path` and of everything it needs. 0, -ENOMEM, -E2BIG for too many libraries. */
int imports_collect(struct imports *imports, const char *path) __attribute__((warn_unused_result));

/* The path of a library that is preloaded by this name. False: there is none. */
bool imports_find(char path[PATH_MAX], const char *name);

void imports_fini(struct imports *imports);
