/* exec and posix_spawn: another program, which inherits sockets. */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdarg.h>
#include <unistd.h>

#include "shim/base/fdlimit.h"
#include "shim/base/home.h"
#include "shim/base/real.h"
#include "shim/base/usermem.h"
#include "shim/process/exec_environment.h"
#include "shim/process/exec_kind.h"
#include "shim/process/exec_relay.h"
#include "shim/process/exec_room.h"
#include "shim/process/fork.h"
#include "shim/wrap/wrap.h"

extern char **environ;

/* The environment for a new program of that kind, in the caller's frame or until exec_room_end(); `all` as in
 * exec_state.h. */
#define PREPARED(environment, kind, all)                                                          \
	({                                                                                        \
		size_t size_ = exec_environment_size(environment, kind, all);                     \
		size_ ? exec_environment_prepare(EXEC_ROOM(size_), size_, environment, kind, all) \
		      : (char **)(environment);                                                   \
	})

typedef int execute_function(const char *path, char *const arguments[], char *const environment[]);

/* Comes back if that cannot be executed. */
static void execute_relayed(const char *path, char *const arguments[], char *const environment[])
{
	char **prepared = PREPARED(environment, EXEC_KIND_WITHOUT_US, 0);
	size_t size = exec_relay_size(arguments, prepared);
	struct exec_relay_call call;

	if (!size)
		return;
	call = exec_relay_prepare(EXEC_ROOM(size), size, path, arguments, prepared);
	if (call.path)
		REAL(execve)(call.path, call.arguments, call.environment);
}

/* The kind of the file to be executed; doubt means a program with us. */
static enum exec_kind look(int directory, const char *path, char *const environment[])
{
	if (!exec_relay_may_look(environment) || !guard_readable(path, 1))
		return EXEC_KIND_WITH_US;
	return exec_kind_of(directory, path);
}

static enum exec_kind look_into(int fd, char *const environment[])
{
	return exec_relay_may_look(environment) ? exec_kind_of_open(fd) : EXEC_KIND_WITH_US;
}

static int execute(const char *path, char *const arguments[], char *const environment[])
{
	struct exec_room *room = exec_room_begin();
	enum exec_kind kind;
	int begun = fork_before_exec(), result;

	kind = look(AT_FDCWD, path, environment);
	if (exec_kind_may_be_relayed(kind) && exec_relay_may(path, arguments, environment))
		execute_relayed(path, arguments, environment);
	result = REAL(execve)(path, arguments, PREPARED(environment, kind, 0));
	fork_after_exec(begun);
	exec_room_end(room);
	return result;
}

/* The caller's frame must not have this one's buffer: a vfork child's stack may be small. */
static enum exec_kind find_and_look(const char *file, char *const arguments[], char *const environment[])
{
	char found[EXEC_RELAY_PATH_MAX];
	const char *path = exec_relay_may_look(environment) ? exec_relay_find(file, found) : NULL;
	enum exec_kind kind = path ? exec_kind_of(AT_FDCWD, path) : EXEC_KIND_WITH_US;

	/* A file of the working directory has another name for the program, if it was found there. */
	if (exec_kind_may_be_relayed(kind) && (path == file || *path == '/') &&
	    exec_relay_may(path, arguments, environment))
		execute_relayed(path, arguments, environment);
	return kind;
}

/* The same for a program that is looked for in PATH. */
static int execute_found(const char *file, char *const arguments[], char *const environment[])
{
	struct exec_room *room = exec_room_begin();
	enum exec_kind kind;
	int begun = fork_before_exec(), result;

	kind = find_and_look(file, arguments, environment);
	result = REAL(execvpe)(file, arguments, PREPARED(environment, kind, 0));
	fork_after_exec(begun);
	exec_room_end(room);
	return result;
}

EXPORT int execve(const char *path, char *const arguments[], char *const environment[])
{
	return execute(path, arguments, environment);
}

EXPORT int execv(const char *path, char *const arguments[])
{
	return execute(path, arguments, environ);
}

EXPORT int execvpe(const char *file, char *const arguments[], char *const environment[])
{
	return execute_found(file, arguments, environment);
}

EXPORT int execvp(const char *file, char *const arguments[])
{
	return execute_found(file, arguments, environ);
}

EXPORT int fexecve(int fd, char *const arguments[], char *const environment[])
{
	struct exec_room *room = exec_room_begin();
	enum exec_kind kind;
	int begun = fork_before_exec(), result;

	kind = look_into(fd, environment);
	result = REAL(fexecve)(fd, arguments, PREPARED(environment, kind, 0));
	fork_after_exec(begun);
	exec_room_end(room);
	return result;
}

int execveat(int directory, const char *path, char *const arguments[], char *const environment[], int flags);
EXPORT int execveat(int directory, const char *path, char *const arguments[], char *const environment[], int flags)
{
	struct exec_room *room = exec_room_begin();
	enum exec_kind kind;
	int begun = fork_before_exec(), result;

	if ((flags & AT_EMPTY_PATH) && guard_readable(path, 1) && !*path)
		kind = look_into(directory, environment);
	else
		kind = look(directory, path, environment);
	result = REAL(execveat)(directory, path, arguments, PREPARED(environment, kind, 0), flags);
	fork_after_exec(begun);
	exec_room_end(room);
	return result;
}

static size_t count_arguments(va_list arguments)
{
	size_t n = 1;

	while (va_arg(arguments, char *))
		n++;
	return n;
}

/* The list forms, as vectors. The stack is the only memory that a vfork child may use. An environment may follow the
 * list. */
static int execute_list(execute_function *run, const char *path, const char *first, bool has_environment, va_list list)
{
	char *const *environment = environ;
	char **arguments;
	va_list counted;
	size_t n;

	va_copy(counted, list);
	n = count_arguments(counted);
	va_end(counted);
	arguments = __builtin_alloca((n + 1) * sizeof(arguments[0]));
	arguments[0] = (char *)first;
	for (size_t i = 1; i <= n; i++)
		arguments[i] = va_arg(list, char *);
	if (has_environment)
		environment = va_arg(list, char *const *);
	return run(path, arguments, environment);
}

EXPORT int execl(const char *path, const char *first, ...)
{
	va_list list;
	int result;

	va_start(list, first);
	result = execute_list(execute, path, first, false, list);
	va_end(list);
	return result;
}

EXPORT int execlp(const char *file, const char *first, ...)
{
	va_list list;
	int result;

	va_start(list, first);
	result = execute_list(execute_found, file, first, false, list);
	va_end(list);
	return result;
}

EXPORT int execle(const char *path, const char *first, ...)
{
	va_list list;
	int result;

	va_start(list, first);
	result = execute_list(execute, path, first, true, list);
	va_end(list);
	return result;
}

typedef int spawn_function(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
			   const posix_spawnattr_t *attributes, char *const arguments[], char *const environment[]);

/* The arguments of a call of posix_spawn(). */
struct spawn {
	pid_t *pid;
	const char *path;
	const posix_spawn_file_actions_t *actions;
	const posix_spawnattr_t *attributes;
	char *const *arguments;
	char *const *environment;
	bool is_searched; /* for `path` in PATH */
	int error;	  /* the caller's errno: looks lose it, and the call itself hardly ever sets it */
};

/* The file that will be executed; NULL: that is not known. */
static const char *find_spawned(const struct spawn *call, char found[EXEC_RELAY_PATH_MAX])
{
	if (call->is_searched)
		return exec_relay_find(call->path, found);
	return guard_readable(call->path, 1) ? call->path : NULL;
}

/* File actions may go to another folder, where another file is executed, or none. It would then run without the library
 * for nothing, which does no harm; but the command of a relay would be there where the call must fail. */
static bool is_certain(const struct spawn *call, const char *path)
{
	return *path == '/' || (!call->actions && path == call->path);
}

/* -1: natively. */
static int spawn_relayed(const struct spawn *call, const char *path, char *const environment[])
{
	struct exec_relay_call relayed;
	size_t size;

	if (!is_certain(call, path) || !exec_relay_may(path, call->arguments, environment))
		return -1;
	size = exec_relay_size(call->arguments, environment);
	if (!size)
		return -1;
	relayed = exec_relay_prepare(EXEC_ROOM(size), size, path, call->arguments, environment);
	if (!relayed.path)
		return -1;
	errno = call->error;
	return REAL(posix_spawn)(call->pid, relayed.path, call->actions, call->attributes, relayed.arguments,
				 relayed.environment) == 0
		       ? 0
		       : -1;
}

static int spawn(spawn_function *run, const struct spawn *call)
{
	char found[EXEC_RELAY_PATH_MAX];
	char *const *environment = call->environment;
	struct exec_room *room = exec_room_begin();
	int all = call->actions != NULL, result = -1;
	const char *path;
	enum exec_kind kind;
	bool is_held;

	fork_before_spawn(call->actions);
	path = exec_relay_may_look(environment) ? find_spawned(call, found) : NULL;
	kind = path ? exec_kind_of(AT_FDCWD, path) : EXEC_KIND_WITH_US;
	is_held = guard_is_home() && fdlimit_hold();
	if (exec_kind_may_be_relayed(kind))
		result = spawn_relayed(call, path, PREPARED(environment, EXEC_KIND_WITHOUT_US, all));
	if (result) {
		environment = PREPARED(environment, kind, all);
		errno = call->error;
		result = run(call->pid, call->path, call->actions, call->attributes, call->arguments, environment);
	}
	exec_room_end(room);
	if (is_held)
		fdlimit_release();
	return result;
}

EXPORT int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
		       const posix_spawnattr_t *attributes, char *const arguments[], char *const environment[])
{
	struct spawn call = {pid, path, actions, attributes, arguments, environment, false, errno};

	return spawn(REAL(posix_spawn), &call);
}

EXPORT int posix_spawnp(pid_t *pid, const char *file, const posix_spawn_file_actions_t *actions,
			const posix_spawnattr_t *attributes, char *const arguments[], char *const environment[])
{
	struct spawn call = {pid, file, actions, attributes, arguments, environment, true, errno};

	return spawn(REAL(posix_spawnp), &call);
}
