/* prctl: a filter of system calls is about to be set. */
#include <stdarg.h>
#include <sys/prctl.h>

#include "shim/base/real.h"
#include "shim/process/fork.h"
#include "shim/wrap/wrap.h"

EXPORT int prctl(int operation, ...)
{
	unsigned long argument[4];
	va_list arguments;

	va_start(arguments, operation);
	for (int i = 0; i < 4; i++)
		argument[i] = va_arg(arguments, unsigned long);
	va_end(arguments);
	if (operation == PR_SET_SECCOMP)
		fork_before_seccomp((long)argument[0], (const void *)argument[1]);
	return REAL(prctl)(operation, argument[0], argument[1], argument[2], argument[3]);
}
