/*
 * Carrying the framing of an exchange to another process, into which the same library was loaded at another address: a
 * struct framing is plain data but for the pointers inside llhttp's parser, which point into the library.
 */
#pragma once

#include <stdint.h>

struct framing;

/* Makes a copy usable that was taken where the library lay so much lower. */
void framing_relocate(struct framing *framing, uintptr_t by);
