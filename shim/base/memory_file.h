/* Memory with a descriptor, which goes to other processes (memfd_create(2)). */
#pragma once

/* Some of this size, all zero, which cannot be changed; -1: there is none. The caller's to close. */
int memory_file_make(const char *name, long size);
