/*
 * The filter of system calls (seccomp(2)) by which a relay hears of connect().
 *
 * libseccomp would be the library for it, but Debian's cannot ask for SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, without
 * which a signal handler in the program makes connect() fail with EISCONN: the call is begun again after the relay has
 * carried it out.
 */
#pragma once

#include <stdbool.h>

/* Installs it in this process, for all that it becomes and starts; `tells_of_sockets`: for a relay that makes them
 * (made_sockets.h). Returns the listener, close-on-exec, or -errno:
 * -EACCES: neither no_new_privs nor the privilege to do without; -EBUSY: a filter with a listener is there already;
 * -EINVAL: a kernel before Linux 5.19, or one without filters; -ENOTSUP: not on this processor. */
int relay_filter_install(bool tells_of_sockets);
