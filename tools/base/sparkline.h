/* A row of numbers as a small curve in text. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define SPARKLINE_MAX 60 /* values */
#define SPARKLINE_BYTES (SPARKLINE_MAX * 3 + 1)

/* Whether the terminal's locale can show the block characters of UTF-8; ASCII is used otherwise. Needs setlocale(). */
bool sparkline_is_utf8(void);

/* Writes a character for each of at most SPARKLINE_MAX values, scaled to the largest: a value above 0 never looks like
 * 0. */
void sparkline_write(const unsigned *values, size_t n, bool is_utf8, char text[SPARKLINE_BYTES]);
