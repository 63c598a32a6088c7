/*
 * Where Holdline's own files are, as the units of another system see them, whose root is a folder of this one.
 */
#pragma once

#include <limits.h>

enum in_root_file { IN_ROOT_LIBRARY, IN_ROOT_COMMAND };

/* The path below the folder `root` of a file whose path on this system is `here` (absolute): it leads into that folder,
 * or the same path is there below it. 0; -ENOENT: neither, or a link leads out of the root; another -errno. */
int in_root_translate(const char *root, const char *here, char path[PATH_MAX]) __attribute__((warn_unused_result));

/* The same; else the place of it where packages and `make install` put it. */
int in_root_find(const char *root, enum in_root_file file, const char *here, char path[PATH_MAX])
	__attribute__((warn_unused_result));
