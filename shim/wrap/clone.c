/* clone, _Fork: processes and threads that are made without the handlers of fork(). */
#include <stdarg.h>
#include <unistd.h>

#include "shim/base/real.h"
#include "shim/process/fork.h"
#include "shim/wrap/wrap.h"

/* fork() without handlers, for signal handlers. Ours are fit for them. */
EXPORT pid_t _Fork(void)
{
	pid_t pid;

	fork_before_clone(0);
	pid = REAL(_Fork)();
	fork_after_clone(0, pid == 0);
	return pid;
}

int clone(int (*run)(void *), void *stack, int flags, void *argument, ...);
EXPORT int clone(int (*run)(void *), void *stack, int flags, void *argument, ...)
{
	void *further[3];
	va_list arguments;
	int result;

	va_start(arguments, argument);
	for (int i = 0; i < 3; i++)
		further[i] = va_arg(arguments, void *);
	va_end(arguments);
	fork_before_clone((unsigned)flags);
	result = REAL(clone)(run, stack, flags, argument, further[0], further[1], further[2]);
	fork_after_clone((unsigned)flags, false);
	return result;
}
