/* See in_root.h. */
#include "tools/service/in_root.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIBRARY "libholdline.so"

static const char *const libraries[] = {"/usr/lib/" HOLDLINE_MULTIARCH "/" LIBRARY,
					"/usr/lib64/" LIBRARY,
					"/usr/local/lib/" HOLDLINE_MULTIARCH "/" LIBRARY,
					"/usr/local/lib64/" LIBRARY,
					"/opt/holdline/lib/holdline/" LIBRARY,
					NULL};
static const char *const commands[] = {"/usr/bin/holdline", "/usr/local/bin/holdline", "/opt/holdline/bin/holdline",
				       NULL};

/* The part of an absolute path that is below the root; NULL: it is not below it. */
static const char *strip(const char *root, const char *path)
{
	size_t length = strlen(root);

	return strncmp(path, root, length) == 0 && path[length] == '/' ? path + length : NULL;
}

static bool is_there(const char *root, const char *path)
{
	char full[PATH_MAX], real[PATH_MAX];

	return snprintf(full, sizeof(full), "%s%s", root, path) < PATH_MAX && realpath(full, real) && strip(root, real);
}

int in_root_translate(const char *root, const char *here, char path[PATH_MAX])
{
	char real_root[PATH_MAX];
	const char *found;

	if (!realpath(root, real_root))
		return -errno;
	found = strip(real_root, here);
	if (!found)
		found = here;
	if (*found != '/' || !is_there(real_root, found))
		return -ENOENT;
	snprintf(path, PATH_MAX, "%s", found);
	return 0;
}

int in_root_find(const char *root, enum in_root_file file, const char *here, char path[PATH_MAX])
{
	const char *const *places = file == IN_ROOT_LIBRARY ? libraries : commands;
	int error = in_root_translate(root, here, path);

	for (; error == -ENOENT && *places; places++)
		error = in_root_translate(root, *places, path);
	return error;
}
