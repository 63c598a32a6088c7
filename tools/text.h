/* Words of others, before they reach a terminal. */
#pragma once

/* Replaces every byte that is not printable ASCII by '?': names of programs may contain anything. */
void text_make_printable(char *text);
