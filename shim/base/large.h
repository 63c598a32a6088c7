/*
 * For large arrays of which most processes use little: they lie behind the small variables, which then share a few
 * pages. Each page that a process writes to costs it a page fault, several hundred times as much as the variable.
 */
#pragma once

#define LARGE __attribute__((section(".bss.large")))
