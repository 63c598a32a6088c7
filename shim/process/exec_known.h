/*
 * Files that this process has looked at before it executed them (exec_kind.h): shells execute the same few again and
 * again, mostly in vfork children, which have their parent's memory.
 *
 * No lock, no memory of the caller's, no system call; async-signal-safe.
 */
#pragma once

#include <stdbool.h>

#include "shim/process/exec_kind.h"

struct stat;

/* True if the file with that status was noted, and has not changed since; *kind is then what was noted. */
bool exec_known_find(const struct stat *status, enum exec_kind *kind);

/* Notes it, unless it was changed so lately that its times would not show another change. */
void exec_known_note(const struct stat *status, enum exec_kind kind);
