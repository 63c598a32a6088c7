/*
 * The system calls that the pool makes, passed in by its owner: the shim gives the real libc's functions (never its own
 * wrappers), the tests give ones that fail on demand. All follow libc's convention: -1 and errno.
 * Immutable after init; every member is async-signal-safe.
 */
#pragma once

#include <stdint.h>
#include <sys/socket.h>

struct pool_sys {
	int (*getsockopt)(int fd, int level, int name, void *value, socklen_t *length);
	int (*setsockopt)(int fd, int level, int name, const void *value, socklen_t length);
	int (*close)(int fd);	       /* of a descriptor that the pool owns */
	uint64_t (*now_ns)(void);      /* CLOCK_MONOTONIC or its coarse kin */
	void *(*map)(uint64_t length); /* zeroed memory, NULL if there is none */
	void (*unmap)(void *memory, uint64_t length);
};
