/*
 * The administrator's switch, CONFIG_OFF_SWITCH. The constructor asks, for a microsecond: what has started goes on.
 */
#pragma once

#include <stdbool.h>

/* True if the file is there, or lies in a folder that this user may not search (made under umask 077, it would work
 * for root alone). Async-signal-safe, preserves errno. */
bool off_switch_is_set(void);
