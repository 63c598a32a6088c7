/* What the broker can't do any more once it serves. */
#pragma once

#include <stdbool.h>

/* From here on this process makes no system call but those of the broker's loop, never gains privileges, and removes no
 * file but those at the two paths (NULL: none), which are copied. Calls it once all that has to be opened is open.
 * 0, or -errno: nothing is restricted (-ENOTSUP: a sanitized build, whose runtime makes calls of its own). */
int broker_sandbox_enter(const char *socket_path, const char *board_path) __attribute__((warn_unused_result));

/* Whether it was entered. */
bool broker_sandbox_is_on(void);

/* Removes the files that broker_sandbox_enter() was told of, also without a sandbox. */
void broker_sandbox_remove(void);
