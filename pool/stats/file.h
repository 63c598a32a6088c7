/*
 * The place of the pages of counters: a folder of one user's, on a file system in memory, with a file for each living
 * process and one for the total of those that ended.
 *
 * A process takes one of a bounded number of files ("slots"), by default number pid modulo their count, and removes it
 * at its end. A killed process leaves its file; the next owner of the slot adds it to the total. So nobody has to clean
 * up, and the folder never grows without bound. A file is never shortened, and is written as a whole before it is
 * mapped: a store into the mapping can't fault (a hole on a full tmpfs would raise SIGBUS, mmap(2)). Counting never
 * waits for a lock: folding takes flock(2) without waiting, or leaves the page to the slot's next owner.
 *
 * System calls come in through a struct, so that faults can be injected. Functions return 0 or more, or -errno; errno
 * itself is not preserved. They are async-signal-safe if the calls of the struct are. No memory is allocated.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/vfs.h>

#include "pool/stats/stats.h"

/* Each as in libc. */
struct stats_sys {
	int (*openat)(int folder, const char *name, int flags, ...);
	int (*mkdir)(const char *path, mode_t mode);
	int (*close)(int fd);
	int (*fstat)(int fd, struct stat *status);
	int (*fstatat)(int folder, const char *name, struct stat *status, int flags);
	int (*fstatfs)(int fd, struct statfs *status);
	ssize_t (*pread)(int fd, void *buffer, size_t length, off_t offset);
	ssize_t (*pwrite)(int fd, const void *buffer, size_t length, off_t offset);
	int (*fallocate)(int fd, int mode, off_t offset, off_t length);
	int (*flock)(int fd, int operation);
	int (*unlinkat)(int folder, const char *name, int flags);
	void *(*mmap)(void *address, size_t length, int protection, int flags, int fd, off_t offset);
	int (*munmap)(void *address, size_t length);
	int (*kill)(pid_t pid, int signal_number);
	int (*nanosleep)(const struct timespec *time, struct timespec *left);
};

#define STATS_SLOTS 1024
#define STATS_SLOT_NAME_MAX 16
#define STATS_TOTAL_NAME "total"

/* Name of a slot's file in its folder. */
void stats_file_name_slot(unsigned slot, char name[STATS_SLOT_NAME_MAX]);

/* The folders that HOLDLINE_STATS=auto means, in the order in which they are tried: 0 and 1. `runtime` is
 * $XDG_RUNTIME_DIR or NULL. -ENOENT: there is no folder of that index. */
int stats_file_place(unsigned choice, const char *runtime, uid_t user, char path[PATH_MAX])
	__attribute__((warn_unused_result));

/* Opens the folder that the setting HOLDLINE_STATS means (not "off"): by the two functions below, the first of the
 * places of "auto" that will do. */
int stats_file_open(const struct stats_sys *sys, const char *setting, const char *runtime, uid_t user)
	__attribute__((warn_unused_result));

/* Opens the folder that the user named; makes it with mode 0700 (and its parent) if it is missing. -EPERM: others may
 * use it. The descriptor is close-on-exec; the caller closes it. */
int stats_file_open_folder(const struct stats_sys *sys, const char *path, uid_t user)
	__attribute__((warn_unused_result));

/* Opens a default folder (stats_file_place()), which no user has checked. Besides, its parent must be the user's alone,
 * in a place where others can't replace it (-EPERM), and it must be in memory (-EXDEV). `path` is changed meanwhile and
 * restored: a thread's stack may be too small for a copy. */
int stats_file_open_default(const struct stats_sys *sys, char *path, uid_t user) __attribute__((warn_unused_result));

/*
 * Takes a slot for the process that `*page` (sound, its pid set) describes, and maps the slot's file. `*page` is then
 * the mapping, of STATS_PAGE_SIZE bytes. The counts so far are moved to it, index by index if the former page has the
 * same room. The former page stays the caller's, and is no longer counted in. Returns the slot. -EBUSY: all are taken;
 * -ENOSPC...: `*page` stays as it was.
 */
int stats_file_take(const struct stats_sys *sys, int folder, struct stats_page **page)
	__attribute__((warn_unused_result));

/* Adds the page of a taken slot to the folder's total, clears its owner (pid 0), and removes the file; the mapping
 * stays. -EWOULDBLOCK: another process holds the total's lock for too long; the slot's next owner adds the page. */
int stats_file_put(const struct stats_sys *sys, int folder, unsigned slot, struct stats_page *page)
	__attribute__((warn_unused_result));

/* Adds a total to another folder's total, once all processes that counted in it have ended. The same errors. */
int stats_file_fold_total(const struct stats_sys *sys, int to_folder, struct stats_page *total)
	__attribute__((warn_unused_result));
