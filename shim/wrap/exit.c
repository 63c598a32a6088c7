/* _exit: the end of a process without its destructors. */
#include <stdlib.h>
#include <unistd.h>

#include "shim/base/real.h"
#include "shim/process/init.h"
#include "shim/wrap/wrap.h"

/* No destructor runs then, and what was counted would be lost with the process. */
static _Noreturn void end(int status)
{
	init_end_at_once();
	REAL(_exit)(status);
	__builtin_unreachable();
}

EXPORT void _exit(int status)
{
	end(status);
}

EXPORT void _Exit(int status)
{
	end(status);
}
