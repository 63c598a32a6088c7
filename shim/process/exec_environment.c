/* See exec_environment.h. */
#include "shim/process/exec_environment.h"

#include "shim/process/exec_state.h"
#include "shim/process/exec_without.h"

static bool goes_without(char *const environment[], enum exec_kind kind, int all)
{
	return exec_kind_cannot_load_us(kind) || (kind == EXEC_KIND_UNSEEN && !exec_state_size(environment, all));
}

size_t exec_environment_size(char *const environment[], enum exec_kind kind, int all)
{
	return goes_without(environment, kind, all) ? exec_without_size(environment)
						    : exec_state_size(environment, all);
}

char **exec_environment_prepare(void *buffer, size_t size, char *const environment[], enum exec_kind kind, int all)
{
	if (!goes_without(environment, kind, all))
		return exec_state_prepare(buffer, size, environment, all);
	if (exec_state_size(environment, all))
		exec_state_give_up(all);
	return exec_without_prepare(buffer, size, environment);
}
