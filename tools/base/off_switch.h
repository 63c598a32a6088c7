/* The switch of a whole machine, /etc/holdline/off: while it exists, Holdline does nothing in programs that start. */
#pragma once

#include <stdbool.h>

bool off_switch_is_set(void);

/* Says on stderr that it is set, if it is. Returns that. */
bool off_switch_warn(const char *command);
