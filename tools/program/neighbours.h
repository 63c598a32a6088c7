/*
 * Code between a program and libc: the program's own allocator, and libraries that are preloaded beside ours.
 */
#pragma once

struct imports;

/* Prints a line for each allocator among the program's objects and the preloaded libraries, and for each preloaded
 * library that defines calls of Holdline's, with its place before or behind Holdline. */
void neighbours_print(const struct imports *imports);
