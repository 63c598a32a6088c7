/* dlopen, and the system calls that some libraries make by number. */
#include <dlfcn.h>
#include <stdarg.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "shim/export.h"
#include "shim/fdtable.h"
#include "shim/guard.h"
#include "shim/real.h"

/*
 * RTLD_DEEPBIND makes a library prefer its own dependencies' symbols, libc's read() before ours. The flag is dropped.
 * glibc takes the return address for the caller, whose RUNPATH and namespace count: so this must be a tail jump, which
 * only the optimiser makes; tests/contract looks for it.
 */
EXPORT void *dlopen(const char *path, int flags)
{
	return REAL(dlopen)(path, flags & ~RTLD_DEEPBIND);
}

/* libuv closes by number. Everything else passes through with all six registers. */
EXPORT long syscall(long number, ...)
{
	long argument[6];
	va_list arguments;

	va_start(arguments, number);
	for (int i = 0; i < 6; i++)
		argument[i] = va_arg(arguments, long);
	va_end(arguments);
	if (number == SYS_close && fdtable_get((int)argument[0]))
		return close((int)argument[0]);
	if (number == SYS_vfork || number == SYS_clone || number == SYS_clone3)
		guard_distrust_memory();
	if (number == SYS_close_range)
		return close_range((unsigned)argument[0], (unsigned)argument[1], (int)argument[2]);
	return REAL(syscall)(number, argument[0], argument[1], argument[2], argument[3], argument[4], argument[5]);
}
