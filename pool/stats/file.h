/*
 * Where pages of counters lie: a folder of one user's, on a file system in memory, with a file for each living process and
 * one for the total of those that ended.
 *
 * A process takes one of a bounded number of files ("slots"), by default the one of its pid's remainder, and removes it at
 * its end. What one that was killed has left in it is added to the total when the slot is taken: nobody has to clean up,
 * and the folder never grows without bound. A file is never shortened, and all of it is written before it is mapped: to write to the mapping can't fault (a hole of a full
 * tmpfs would, mmap(2), SIGBUS). Counting never waits for a lock: folding takes flock(2) without waiting, or is left to
 * the next one.
 *
 * System calls come in through a struct, so that faults can be injected. Functions return 0 or more, or -errno; errno
 * itself is not preserved. Not async-signal-safe only where the calls of the struct are not. No memory is allocated.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/vfs.h>

#include "pool/stats/stats.h"

/* As libc's, each. */
struct stats_sys {
	int (*openat)(int folder, const char *name, int flags, ...);
	int (*mkdir)(const char *path, mode_t mode);
	int (*close)(int fd);
	int (*fstat)(int fd, struct stat *status);
	int (*fstatfs)(int fd, struct statfs *status);
	ssize_t (*pread)(int fd, void *buffer, size_t length, off_t offset);
	ssize_t (*pwrite)(int fd, const void *buffer, size_t length, off_t offset);
	int (*fallocate)(int fd, int mode, off_t offset, off_t length);
	int (*flock)(int fd, int operation);
	int (*unlinkat)(int folder, const char *name, int flags);
	void *(*mmap)(void *address, size_t length, int protection, int flags, int fd, off_t offset);
	int (*munmap)(void *address, size_t length);
	int (*kill)(pid_t pid, int signal_number);
};

#define STATS_SLOTS 1024
#define STATS_SLOT_NAME_MAX 16
#define STATS_TOTAL_NAME "total"

/* Name of a slot's file in its folder. */
void stats_file_name_slot(unsigned slot, char name[STATS_SLOT_NAME_MAX]);

/* The folders that HOLDLINE_STATS=auto means, in the order in which they are tried: 0 and 1. `runtime` is
 * $XDG_RUNTIME_DIR or NULL. -ENOENT: there is no such one. */
int stats_file_place(unsigned choice, const char *runtime, uid_t user, char path[PATH_MAX])
	__attribute__((warn_unused_result));

/* Opens a folder where the user wants it, made with mode 0700 (and its parent) if it is not there. -EPERM: it is not the
 * user's alone. The descriptor is close-on-exec and the caller's to close. */
int stats_file_open_folder(const struct stats_sys *sys, const char *path, uid_t user)
	__attribute__((warn_unused_result));

/* The same for what stats_file_place() says, where nobody has looked: its parent too must be the user's alone, in a place
 * where others can't replace it (-EPERM); and it must be in memory (-EXDEV). `path` is changed meanwhile: a thread's stack
 * may be too small for another one. */
int stats_file_open_default(const struct stats_sys *sys, char *path, uid_t user) __attribute__((warn_unused_result));

/*
 * Takes a slot for the process that `*page` (sound, its pid set) describes, and maps the slot's file: `*page` is then the
 * mapping, of STATS_PAGE_SIZE bytes, to which what was counted so far has been moved, or copied index by index if the former has
 * room for as much. The former page is the caller's, and
 * nothing is counted in it any more. Returns the slot. -EBUSY: all are taken; -ENOSPC...: `*page` stays as it was.
 */
int stats_file_take(const struct stats_sys *sys, int folder, struct stats_page **page)
	__attribute__((warn_unused_result));

/* Adds the page of a slot that was taken to the folder's total, makes it nobody's (pid 0), and removes the file; the
 * mapping stays. -EWOULDBLOCK: somebody else is adding for too long; then it is added when its slot is taken. */
int stats_file_put(const struct stats_sys *sys, int folder, unsigned slot, struct stats_page *page)
	__attribute__((warn_unused_result));

/* Adds a total to another folder's, when all who counted in it have ended. The same errors. */
int stats_file_fold_total(const struct stats_sys *sys, int to_folder, struct stats_page *total)
	__attribute__((warn_unused_result));
