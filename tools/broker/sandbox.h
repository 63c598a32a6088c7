/* Restricts the broker once it serves. */
#pragma once

#include <stdbool.h>

/* From here on this process makes only the system calls of the broker's loop, never gains privileges, and removes no
 * files but those at the two paths (NULL: none), which are copied. Call it when everything is open. 0, or -errno:
 * nothing is restricted (-ENOTSUP: a sanitized build, whose runtime makes calls of its own). */
int broker_sandbox_enter(const char *socket_path, const char *board_path) __attribute__((warn_unused_result));

/* Whether the sandbox was entered. */
bool broker_sandbox_is_on(void);

/* Removes the files named to broker_sandbox_enter(), also without a sandbox. */
void broker_sandbox_remove(void);
