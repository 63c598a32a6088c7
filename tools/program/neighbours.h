/*
 * What else stands between a program and libc: allocators that it brings, and libraries that are preloaded beside ours.
 */
#pragma once

struct imports;

/* Prints a line for each: allocators among the program's objects and the preloaded ones; preloaded libraries that define calls which
 * Holdline does too, and whether they are ahead of it or behind. */
void neighbours_print(const struct imports *imports);
