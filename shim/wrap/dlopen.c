/* dlopen. */
#include <dlfcn.h>

#include "shim/base/real.h"
#include "shim/process/init.h"
#include "shim/wrap/wrap.h"

/*
 * RTLD_DEEPBIND makes a library prefer its own dependencies' symbols, libc's read() before ours. The flag is dropped.
 * glibc takes the return address for the caller, whose RUNPATH and namespace count: so this must be a tail jump, which
 * the optimiser makes of it.
 */
EXPORT void *dlopen(const char *path, int flags)
{
	void *(*next)(const char *, int) = REAL_OR_LATE(dlopen);

	symbols_generation++;
	if (!next)
		return NULL;
	return next(path, init_is_off() ? flags : flags & ~RTLD_DEEPBIND);
}
