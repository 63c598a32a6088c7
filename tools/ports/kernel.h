/* The present state of this network namespace's ports, read from the kernel for ports.h. Nothing here needs root. */
#pragma once

#include "tools/ports/ports.h"

/* Dials of the whole namespace while ports_kernel_watch() watched. */
struct ports_pace {
	double seconds;
	uint64_t n_dials;
	double first_s, last_s; /* when the first and the last dial were seen */
};

/* Reads /proc/sys/net/ipv4. 0 or -errno. */
int ports_kernel_settings(struct ports_settings *settings) __attribute__((warn_unused_result));

/* Makes a sealed sample of all sockets in one dump. `before`: an earlier sample to compare with, or NULL. 0 or -errno;
 * then there is nothing to fini. */
int ports_kernel_sample(struct ports_sample *sample, const struct ports_sample *before)
	__attribute__((warn_unused_result));

/* Dials of the namespace since it exists (Tcp: ActiveOpens of /proc/net/snmp), without those that found no port. 0 or
 * -errno. */
int ports_kernel_dials(uint64_t *n_dials) __attribute__((warn_unused_result));

/* Sleeps for `window_ms` and counts dials. A signal ends it early. 0 or -errno. */
int ports_kernel_watch(unsigned window_ms, struct ports_pace *pace) __attribute__((warn_unused_result));
