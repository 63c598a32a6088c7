/* What wrappers have in common. */
#pragma once

#include <errno.h>

#include "shim/base/export.h"
#include "shim/base/fdtable.h"

/* The result of a failed call. */
#define FAIL(error)              \
	({                       \
		errno = (error); \
		-1;              \
	})

/* A call on an untracked descriptor: the real call. On one of our descriptors it fails, since to the program there is
 * no such descriptor. */
#define NATIVE(fd, call) (fdtable_is_internal(fd) ? FAIL(EBADF) : (call))
