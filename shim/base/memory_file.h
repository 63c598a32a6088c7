/* Memory with a descriptor, which goes to other processes (memfd_create(2)). */
#pragma once

#include <stdbool.h>

/* A file that grows beyond the program's limit ends the program (setrlimit(2), RLIMIT_FSIZE). True if one may grow to
 * this size. */
bool memory_file_may_have(long size);

/* Some of this size, all zero, which cannot be changed; -1: there is none. The caller's to close. */
int memory_file_make(const char *name, long size);

/* True for some of just that size which cannot be changed any more, or looking at it could end the process: one that
 * came from another process may be anything. */
bool memory_file_is_sound(int fd, long size);
