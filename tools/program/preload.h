/*
 * Where libholdline.so is, and how it gets into LD_PRELOAD.
 */
#pragma once

#include <limits.h>

/* Finds the library: HOLDLINE_LIBRARY if set, else beside this executable, else where `make install` put it relative to
 * this executable. 0 with its absolute path; -ENOENT; -EINVAL if LD_PRELOAD can't name it (ld.so(8): blanks and colons
 * separate, `$` expands), with that path. */
int preload_find_library(char path[PATH_MAX]) __attribute__((warn_unused_result));

/* Appends the library to LD_PRELOAD unless it is there already: the user's own libraries stay first. 0, or -ENOMEM. */
int preload_append(const char *library) __attribute__((warn_unused_result));

/* Takes it out of LD_PRELOAD, which is unset if nothing else is in it. 0, or -ENOMEM. */
int preload_remove(const char *library) __attribute__((warn_unused_result));
