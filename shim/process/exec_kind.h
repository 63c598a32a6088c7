/*
 * What a file is that is about to be executed, by its first bytes: whether the loader will take this library into it.
 * Doubt means that it will: what is no regular file, cannot be read, is setuid (the loader then takes no library, and
 * says nothing), or has tables that lie elsewhere.
 *
 * Works on the caller's stack only, and never blocks: a vfork child may be the caller. errno is lost.
 */
#pragma once

#include <stdbool.h>

/* True where a relay could serve programs of this machine. */
extern const bool exec_kind_has_machine;

enum exec_kind {
	EXEC_KIND_WITH_US,
	EXEC_KIND_WITHOUT_US, /* a program of this machine: static, Go, another libc */
	EXEC_KIND_OTHER_SIZE, /* a program of another word size, whose loader would complain of this library */
};

/* Of the file, or of the interpreter of a script. */
enum exec_kind exec_kind_of(const char *path);
