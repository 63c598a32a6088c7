/* Entering another process's network namespace. */
#pragma once

#include <stdint.h>
#include <sys/types.h>

/* Moves this process into the network namespace of `pid`, for good: netlink sockets, /proc/sys/net and /proc/net are
 * that namespace's from then on, the rest stays. Needs CAP_SYS_ADMIN, or a user namespace of the same user around it
 * (setns(2)). 0 or -errno: -ESRCH, there is no such process; -EPERM. Single-threaded processes only. */
int netns_enter(pid_t pid) __attribute__((warn_unused_result));

/* The cookie of a socket's network namespace, or of this process's (SO_NETNS_COOKIE, socket(7)). 0: the kernel does not
 * tell. */
uint64_t netns_cookie_of(int fd);
uint64_t netns_own_cookie(void);
