/*
 * Whether a set of epoll watches a descriptor, where the set that was asked to is gone: a program may close it before
 * the sockets in it. It may be known by another number yet (dup(2)), and then goes on watching.
 */
#pragma once

#include <stdbool.h>

/* True if no set among this process's descriptors watches this one. False also where it can't be told (no /proc, no
 * descriptor left, too many of them). Preserves errno; blocks on nothing. */
bool watched_by_none(int fd);
