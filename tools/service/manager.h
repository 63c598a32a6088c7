/*
 * What is asked of a running systemd, by systemctl(1): its bus has no other client of ours.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* True if systemd runs as this system's manager (sd_booted(3)). */
bool manager_runs(void);

/* Makes it read its units again. 0 or -EIO. */
int manager_reload(void) __attribute__((warn_unused_result));

/* The main process of a unit; 0: it has none, or that is not known. */
pid_t manager_find_process(const char *unit);
