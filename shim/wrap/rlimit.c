/* getrlimit and kin, sysconf: the calls with which a program asks for its limit of descriptors or sets it; see
 * fdlimit.h. */
#include <errno.h>
#include <unistd.h>

#include "shim/base/fdlimit.h"
#include "shim/base/home.h"
#include "shim/base/real.h"
#include "shim/base/usermem.h"
#include "shim/wrap/wrap.h"

struct question {
	rlimit_resource resource;
	struct rlimit *limit;
	int name;
	long result;
};

static void ask_limit(void *argument)
{
	struct question *question = argument;

	question->result = REAL(getrlimit)(question->resource, question->limit);
}

static int get_limit(rlimit_resource resource, struct rlimit *limit)
{
	struct question question = {.resource = resource, .limit = limit};
	struct rlimit own;

	if (resource != RLIMIT_NOFILE)
		return REAL(getrlimit)(resource, limit);
	if (fdlimit_ask(ask_limit, &question, &own))
		return (int)question.result;
	if (!guard_readable(limit, sizeof(*limit)))
		return FAIL(EFAULT);
	*limit = own;
	return 0;
}

static int set_limit(rlimit_resource resource, const struct rlimit *limit)
{
	bool is_held = resource == RLIMIT_NOFILE && fdlimit_begin_change();
	int result = REAL(setrlimit)(resource, limit);

	if (is_held)
		fdlimit_end_change();
	else if (result == 0 && resource == RLIMIT_NOFILE)
		fdlimit_note_change(limit);
	return result;
}

static int get_and_set(pid_t pid, rlimit_resource resource, const struct rlimit *set, struct rlimit *get)
{
	bool is_held = resource == RLIMIT_NOFILE && (pid == 0 || pid == guard_pid()) && fdlimit_begin_change();
	int result = REAL(prlimit)(pid, resource, set, get);

	if (is_held)
		fdlimit_end_change();
	return result;
}

static void ask_name(void *argument)
{
	struct question *question = argument;

	question->result = REAL(sysconf)(question->name);
}

static long get_value(int name)
{
	struct question question = {.name = name};
	struct rlimit own;

	if (name != _SC_OPEN_MAX)
		return REAL(sysconf)(name);
	return fdlimit_ask(ask_name, &question, &own) ? question.result : (long)own.rlim_cur;
}

EXPORT int getrlimit(rlimit_resource resource, struct rlimit *limit)
{
	return get_limit(resource, limit);
}

EXPORT int setrlimit(rlimit_resource resource, const struct rlimit *limit)
{
	return set_limit(resource, limit);
}

EXPORT int prlimit(pid_t pid, rlimit_resource resource, const struct rlimit *set, struct rlimit *get)
{
	return get_and_set(pid, resource, set, get);
}

EXPORT long sysconf(int name)
{
	return get_value(name);
}

EXPORT int getdtablesize(void)
{
	return (int)get_value(_SC_OPEN_MAX);
}
