/*
 * For large arrays of which most processes use little: they lie behind the small variables, which then share a few
 * pages. Each page that a process writes to costs it a page fault, several hundred times as much as the variable.
 */
#pragma once

#include <stddef.h>

#define LARGE __attribute__((section(".bss.large")))

/* Memory that is about to be written to. */
struct large_part {
	const void *begin;
	size_t length;
};

#define LARGE_PARTS_MAX 8

/* Makes the pages of `n` parts (LARGE_PARTS_MAX at the most, in any order) present, which takes a tenth of the time
 * of a fault for each of them. Async-signal-safe, and keeps errno. */
void large_make_present(const struct large_part *parts, size_t n);
