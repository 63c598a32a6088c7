/*
 * Words as systemd splits them in ExecStart= and Environment= (systemd.service(5), "Command lines"): blanks separate,
 * quotes of both kinds hold together, a backslash escapes. Specifiers (%n) stay as they are. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* Takes the next word of *text into `word`, without quotes and escapes. 1; 0: no word is left; -EINVAL: a quote is not
 * closed; -ENAMETOOLONG. */
int quote_take_word(const char **text, char *word, size_t room) __attribute__((warn_unused_result));

/* Appends text for the inside of "...": quotes, backslashes and control characters are escaped, and percent signs too
 * unless specifiers may stand in it. 0 or -ENAMETOOLONG. */
int quote_append(char *quoted, size_t room, const char *text, bool has_specifiers) __attribute__((warn_unused_result));
