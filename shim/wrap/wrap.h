/* A wrapper that the program's calls are to reach; everything else in the library is hidden (exports.map agrees). */
#pragma once

#include <errno.h>

#include "shim/base/fdtable.h"

#define EXPORT __attribute__((visibility("default")))

/* What a failed call returns. */
#define FAIL(error)              \
	({                       \
		errno = (error); \
		-1;              \
	})

/* What a call does with a descriptor that is not tracked: the real one; on one of ours it fails, since to the
 * program there is no such descriptor. */
#define NATIVE(fd, call) (fdtable_is_internal(fd) ? FAIL(EBADF) : (call))
