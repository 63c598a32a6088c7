/* Foreign strings (names of programs, paths, arguments), made fit to be shown. */
#pragma once

#include <stdio.h>

/* A copy that is valid UTF-8 throughout: each byte that belongs to no character becomes U+FFFD. NULL: no memory. The
 * caller frees it with free(). */
char *text_make_utf8(const char *text);

/* Replaces every byte that is not printable ASCII by '?', for output that may not contain UTF-8. */
void text_make_printable(char *text);

/* Prints UTF-8 so that no terminal does anything but show it: control characters become '?'. */
void text_print_safe(FILE *stream, const char *text);

/* For a count before a noun or a verb: "s", or "" for one; "were", or "was" for one. Static storage. */
const char *text_plural(double n);
const char *text_were(double n);

/* The part behind the last slash. */
const char *text_base_name(const char *path);
