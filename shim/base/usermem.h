/*
 * The program's memory: looked at before it is touched. Everything here is async-signal-safe and leaves errno alone.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* In the constructor: what the next three want to know of the program. */
void guard_learn_memory(void);

/* True for memory that can be read and written without a doubt, which most of what a program passes is. Hardly ever
 * a system call. */
bool guard_is_surely_there(const void *memory, size_t length);

/* Can these bytes be read without a fault? Where there is a doubt, one cheap system call a page. The program's
 * pointers are looked at with this before the kernel has; a bad one must give EFAULT, not a crash. */
bool guard_readable(const void *memory, size_t length);

/* Can at least 8 bytes be written? They are overwritten with anything: for what is about to be filled. */
bool guard_take_for_writing(void *memory, size_t length);
