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
	EXEC_KIND_WITHOUT_US, /* a program of this machine that has no loader, or makes its own calls: static, Go */
	EXEC_KIND_OTHER_LIBC, /* a program of this machine with another C library's loader, which may end it for us */
	EXEC_KIND_FOREIGN,    /* a program of another machine or word size, whose loader would complain of us; or one
				 with another C library that a script has by a relative path, which no relay serves */
	EXEC_KIND_UNSEEN,     /* no descriptor is left to look into it: any of these */
};

/* Of the file, or of the interpreter of a script, as the kernel finds it; a relative path is looked for in that
 * directory (openat(2)). */
enum exec_kind exec_kind_of(int directory, const char *path);

/* The same for a file that is open. Its offset stays. */
enum exec_kind exec_kind_of_open(int fd);

/* True where a relay can serve it. */
bool exec_kind_may_be_relayed(enum exec_kind kind);

/* True where its environment must not have this library, unless a relay serves it. */
bool exec_kind_cannot_load_us(enum exec_kind kind);
