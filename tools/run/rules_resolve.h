/* Names of hosts in HOLDLINE_RULES: the library takes addresses only, since it must not look up names in its host. */
#pragma once

/* The rules with each name's rule repeated for every address of it. malloc'ed; NULL: *bad_name (malloc'ed) could not be
 * looked up, or (then NULL) there is no memory. */
char *rules_resolve(const char *rules, char **bad_name) __attribute__((warn_unused_result));
