/* A wrapper that the program's calls are to reach; everything else in the library is hidden (exports.map agrees). */
#pragma once

#include <errno.h>

#include "shim/base/fdtable.h"

#define EXPORT __attribute__((visibility("default")))

/* The result of a failed call. */
#define FAIL(error)              \
	({                       \
		errno = (error); \
		-1;              \
	})

/* A call on an untracked descriptor: the real call. On one of our descriptors it fails, since to the program there is
 * no such descriptor. */
#define NATIVE(fd, call) (fdtable_is_internal(fd) ? FAIL(EBADF) : (call))
