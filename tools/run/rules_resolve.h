/* Host names in HOLDLINE_RULES: the library takes addresses only, since it must not look up names in its host
 * program. */
#pragma once

/* Returns the rules with each name's rule repeated for every address of the name. malloc'ed; NULL: *bad_name
 * (malloc'ed) could not be looked up, or (if that is NULL) there is no memory. */
char *rules_resolve(const char *rules, char **bad_name) __attribute__((warn_unused_result));
