/* See function.h. */
#include "shim/tls/function.h"

#include <dlfcn.h>
#include <stddef.h>

#include "shim/base/real.h"
#include "shim/base/symbols.h"

void *function_find(struct function *function, const char *name, const void *return_address)
{
	unsigned generation = symbols_generation;

	if (__builtin_expect(function->looked_at != generation, 0)) {
		void *first;

		function->n = symbols_count(name, &first);
		function->first = first;
		function->looked_at = generation;
	}
	return function->n > 1 ? symbols_find_for(return_address, name) : function->first;
}

void function_pin_library(const char *soname, _Atomic(bool) *is_done)
{
	void *(*next)(const char *, int) = REAL_OR_LATE(dlopen);

	if (next && !atomic_exchange(is_done, true))
		(void)!next(soname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
}
