/* See alone.h. */
#include "shim/base/alone.h"

#include <errno.h>
#include <stddef.h>

#include "shim/base/real.h"
#include "shim/base/symbols.h"

/* A folder for each thread, its own name and its parent's (proc(5)). */
#define TASKS "/proc/self/task"
#define LINKS_ALONE 3

static const char unknown;

const char *alone_word = &unknown;

/* In the main program first: its linker may have moved the variable there. */
void alone_bind(void)
{
	const char *word = symbols_find_anywhere("__libc_single_threaded");

	if (word)
		alone_word = word;
}

bool alone_by_kernel(void)
{
	struct stat status;
	int saved = errno;
	bool alone = alone_word == &unknown && libc.stat(TASKS, &status) == 0 && status.st_nlink == LINKS_ALONE;

	errno = saved;
	return alone;
}
