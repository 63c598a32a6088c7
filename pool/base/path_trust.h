/*
 * Tells from a file's or folder's status (stat(2)) whether only its user, and root, could have put it there. Asked
 * before anything is read or written in a place where others may have been first.
 *
 * Pure: async-signal-safe, no system calls.
 */
#pragma once

#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

/* A folder that is the user's, and that nobody else may enter. */
bool path_trust_is_private(const struct stat *status, uid_t user);

/* A folder in which nobody but the user or root can put something else in an entry's place: it is the user's or
 * root's, and where others may write to it, the sticky bit is set (as in /tmp; unlink(2), EPERM). */
bool path_trust_is_steady(const struct stat *status, uid_t user);

/* To open(2) a log for appending: no link is followed, and a pipe makes nobody wait. */
#define PATH_TRUST_LOG_FLAGS (O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY)

/* True if the opened file is safe to write to: a file by its only name (another name may be that of any file of the
 * user's, link(2)), a terminal or another device. Not a pipe: a write there may take for ever or raise SIGPIPE. */
bool path_trust_is_log(const struct stat *status);
