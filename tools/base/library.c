/* See library.h. */
#include "tools/base/library.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>

int library_load(const char *soname, const struct library_symbol *symbols, size_t n_symbols)
{
	void *library = dlopen(soname, RTLD_NOW | RTLD_LOCAL);

	if (!library)
		return -ENOENT;
	for (size_t i = 0; i < n_symbols; i++) {
		void *found = dlsym(library, symbols[i].name);

		if (!found)
			return -ENOENT;
		/* Converts an object pointer to a function pointer: POSIX has them alike (dlsym(3)). */
		memcpy(symbols[i].address, &found, sizeof(found));
	}
	return 0;
}
