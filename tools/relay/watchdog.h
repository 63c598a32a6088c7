/*
 * The parent of a relay: whatever becomes of that, no program waits for it in vain. A relay that was stopped is
 * continued; where it died, the kernel carries out what its programs call, and were calling.
 */
#pragma once

#include <sys/types.h>

/* Looks after `relay`, a child of this process, until it ends; then, as long as there are processes that could notify
 * on `listener` (-1: none), lets their calls pass. */
void watchdog_run(pid_t relay, int listener);
