/*
 * Where libholdline.so is, and how it gets into LD_PRELOAD.
 */
#include "tools/program/preload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIBRARY "libholdline.so"

/* Relative to the executable's folder, in this order: the build folder, then the possible layouts of an
 * installation. */
static const char *const places[] = {
	LIBRARY,
	"../lib/holdline/" LIBRARY,
	"../lib/" HOLDLINE_MULTIARCH "/" LIBRARY,
	"../lib64/" LIBRARY,
};

static int take_library(const char *candidate, char path[PATH_MAX])
{
	char absolute[PATH_MAX];

	if (!realpath(candidate, absolute) || access(absolute, R_OK) != 0)
		return -ENOENT;
	strcpy(path, absolute);
	return strpbrk(path, " \t\n:$") ? -EINVAL : 0;
}

int preload_find_library(char path[PATH_MAX])
{
	const char *override = getenv("HOLDLINE_LIBRARY");
	char self[PATH_MAX], candidate[PATH_MAX + 64];
	ssize_t length;

	if (override && *override) {
		snprintf(path, PATH_MAX, "%s", override);
		return take_library(override, path);
	}
	strcpy(path, LIBRARY);
	length = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (length <= 0)
		return -ENOENT;
	self[length] = '\0';
	*strrchr(self, '/') = '\0';
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		int result;

		snprintf(candidate, sizeof(candidate), "%s/%s", self, places[i]);
		result = take_library(candidate, path);
		if (result != -ENOENT)
			return result;
	}
	return -ENOENT;
}

/* The library's place in a list, or NULL. */
static const char *find_in_list(const char *list, const char *library)
{
	size_t length = strlen(library);

	for (list += strspn(list, " :"); *list; list += strspn(list, " :")) {
		size_t item_length = strcspn(list, " :");

		if (item_length == length && strncmp(list, library, length) == 0)
			return list;
		list += item_length;
	}
	return NULL;
}

int preload_append(const char *library)
{
	const char *old = getenv("LD_PRELOAD");
	char *list;
	int result;

	if (!old || !*old)
		return setenv("LD_PRELOAD", library, 1) == 0 ? 0 : -ENOMEM;
	if (find_in_list(old, library))
		return 0;
	if (asprintf(&list, "%s:%s", old, library) < 0)
		return -ENOMEM;
	result = setenv("LD_PRELOAD", list, 1) == 0 ? 0 : -ENOMEM;
	free(list);
	return result;
}

int preload_remove(const char *library)
{
	const char *old = getenv("LD_PRELOAD"), *at = old ? find_in_list(old, library) : NULL, *rest;
	char *list;
	int result;

	if (!at)
		return 0;
	rest = at + strlen(library);
	/* As it was before the library was appended. */
	if (!*rest && at > old)
		at--;
	if (asprintf(&list, "%.*s%s", (int)(at - old), old, rest) < 0)
		return -ENOMEM;
	if (list[strspn(list, " :")])
		result = setenv("LD_PRELOAD", list, 1) == 0 ? 0 : -ENOMEM;
	else
		result = unsetenv("LD_PRELOAD");
	free(list);
	return result;
}
