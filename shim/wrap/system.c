/* system and popen: the C library executes a shell by itself, with `environ` as it is. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "shim/base/alone.h"
#include "shim/base/fdlimit.h"
#include "shim/base/home.h"
#include "shim/base/real.h"
#include "shim/exchange/handoff.h"
#include "shim/process/exec_state.h"
#include "shim/base/blocks.h"
#include "shim/sock/sock.h"
#include "shim/wrap/wrap.h"

extern char **environ;

/* The program's environment while the shell is started. */
struct environment {
	char **own;
	char **prepared;
	struct block memory;
};

/* The shell is told of exchanges in flight as a program that is executed is: see exec_state.h. Not where other
 * threads may be reading or changing the environment; there the parent is taken for the one that goes on reading.
 * The memory is not on the stack, since a handler may leave system() by longjmp. */
static void begin_shell(struct environment *environment)
{
	int saved = errno;
	size_t size;

	*environment = (struct environment){.own = environ};
	if (!guard_is_home() || !atomic_load_explicit(&sock_n_tracked, memory_order_relaxed))
		return;
	handoff_waiting();
	handoff_unused_inheritable();
	sock_share_all(true);
	/* A handler may have left an earlier call by longjmp. */
	if (is_alone())
		exec_state_forget(environ);
	size = is_alone() ? exec_state_size(environ, 0) : 0;
	if (size && blocks_grow(&environment->memory, 0, size))
		environ = environment->prepared = exec_state_prepare(environment->memory.bytes, size, environ, 0);
	errno = saved;
}

/* In the program's own array, where it fits: it has as many entries at most. */
static void give_back(struct environment *environment)
{
	char **from = environment->prepared, **to = environment->own;

	environ = to;
	while (from != to && (*to = *from)) {
		from++;
		to++;
	}
}

static void end_shell(struct environment *environment)
{
	int saved = errno;

	/* A handler may have changed a variable, in our array or in a copy of that, which the program has then. */
	if (environment->prepared && environment->prepared != environment->own)
		exec_state_forget(environ);
	if (environment->prepared && environ == environment->prepared)
		give_back(environment);
	blocks_put(&environment->memory);
	errno = saved;
}

EXPORT int system(const char *command)
{
	struct environment environment;
	uint64_t hold = 0;
	int result;

	begin_shell(&environment);
	if (command && guard_is_home())
		hold = fdlimit_hold_briefly();
	result = REAL(system)(command);
	if (hold)
		fdlimit_end_hold(hold);
	end_shell(&environment);
	return result;
}

EXPORT FILE *popen(const char *command, const char *mode)
{
	struct environment environment;
	bool is_held;
	FILE *stream;

	begin_shell(&environment);
	is_held = guard_is_home() && fdlimit_hold();
	stream = REAL(popen)(command, mode);
	if (is_held)
		fdlimit_release();
	end_shell(&environment);
	return stream;
}
