/* Files of /proc/PID, proc(5). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Reads the beginning of /proc/PID/NAME, as much as fits, and ends it with '\0'. False: there is no such process, or
 * the file may not be read; then `text` is empty. */
bool proc_file_read(pid_t pid, const char *name, char *text, size_t room);
