/*
 * For large arrays of which most processes use little: they lie behind the small variables, which then share a few
 * pages. Each page that a process writes to costs it a page fault, several hundred times as much as the variable.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define LARGE __attribute__((section(".bss.large")))

/* How far into it the next page begins. To align it would align all variables, and leave half a page unused before
 * them. */
static inline size_t large_page_offset(const void *memory)
{
	return -(uintptr_t)memory % 4096;
}
