/* See dropin.h. */
#include "tools/service/dropin.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/run/settings.h"
#include "tools/service/command_line.h"
#include "tools/service/quote.h"
#include "tools/service/unit.h"

#define MARK "# Written by `holdline enable`; `holdline disable` removes it.\n"

static const char preload[] = "LD_PRELOAD=";

/* Libraries that the unit preloads already, with their specifiers; "" if there are none. */
static int find_preloaded(const struct unit *unit, char *list, size_t room)
{
	char word[PATH_MAX];
	size_t position = 0;
	const char *value;

	*list = '\0';
	while ((value = unit_next(unit, "Environment", &position))) {
		int result;

		while ((result = quote_take_word(&value, word, sizeof(word))) > 0)
			if (strncmp(word, preload, strlen(preload)) == 0)
				snprintf(list, room, "%s", word + strlen(preload));
		if (result < 0)
			return result;
	}
	return 0;
}

static int print_variable(FILE *stream, const char *name, const char *before, const char *value)
{
	char quoted[4 * PATH_MAX] = "";
	int error = quote_append(quoted, sizeof(quoted), before, true);

	if (!error)
		error = quote_append(quoted, sizeof(quoted), value, false);
	if (!error)
		fprintf(stream, "Environment=\"%s=%s\"\n", name, quoted);
	return error;
}

static int print_preload(FILE *stream, const struct dropin *dropin, const struct unit *unit)
{
	char list[PATH_MAX], before[PATH_MAX + 1];
	int error = find_preloaded(unit, list, sizeof(list));

	if (error)
		return error;
	snprintf(before, sizeof(before), "%s%s", list, *list ? ":" : "");
	return print_variable(stream, "LD_PRELOAD", before, dropin->library);
}

/* A path as the first word of a command, behind its prefixes. */
static int print_path(FILE *stream, const char *path)
{
	char quoted[4 * PATH_MAX] = "";
	int error = quote_append(quoted, sizeof(quoted), path, false);
	const char *mark = strpbrk(quoted, " \"'\\") ? "\"" : "";

	fprintf(stream, "%s%s%s", mark, quoted, mark);
	return error;
}

/* The empty line takes away the unit's own; theirs follow in full, behind ours. */
static int print_commands(FILE *stream, const struct dropin *dropin, const struct unit *unit)
{
	struct command_line line;
	size_t position = 0;
	const char *text;

	fputs("ExecStart=\n", stream);
	while ((text = unit_next(unit, "ExecStart", &position))) {
		int error = command_line_parse(&line, text);

		if (error)
			return error;
		/* Where a name is given, the library serves: see judge.c. */
		if (strchr(line.prefixes, '@')) {
			fprintf(stream, "ExecStart=%s\n", text);
			continue;
		}
		fprintf(stream, "ExecStart=%s", line.prefixes);
		error = print_path(stream, dropin->command);
		if (error)
			return error;
		fprintf(stream, " run --quiet -- %s\n", line.rest);
	}
	return 0;
}

static int print_all(FILE *stream, const struct dropin *dropin, const struct unit *unit)
{
	int error = 0;

	fprintf(stream, MARK "[Service]\n");
	for (size_t i = 0; i < dropin->settings->n && !error; i++)
		error = print_variable(stream, dropin->settings->items[i].variable, "",
				       dropin->settings->items[i].value);
	if (!error)
		error = dropin->way == JUDGE_RELAY ? print_commands(stream, dropin, unit)
						   : print_preload(stream, dropin, unit);
	return error;
}

int dropin_compose(const struct dropin *dropin, const struct unit *unit, char **text)
{
	size_t size;
	FILE *stream = open_memstream(text, &size);
	int error;

	if (!stream)
		return -ENOMEM;
	error = print_all(stream, dropin, unit);
	if (fclose(stream) != 0 && !error)
		error = -ENOMEM;
	if (error) {
		free(*text);
		*text = NULL;
	}
	return error;
}

bool dropin_is_ours(const char *path)
{
	char text[sizeof(MARK)] = "";
	FILE *file = fopen(path, "re");
	bool is_ours;

	if (!file)
		return false;
	is_ours = fread(text, 1, strlen(MARK), file) == strlen(MARK) && strcmp(text, MARK) == 0;
	fclose(file);
	return is_ours;
}

static int write_whole(const char *path, const char *text)
{
	size_t length = strlen(text);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644), error = 0;

	if (fd < 0)
		return -errno;
	if (fchmod(fd, 0644) != 0 || write(fd, text, length) != (ssize_t)length || fsync(fd) != 0)
		error = errno ? -errno : -EIO;
	close(fd);
	return error;
}

static int make_folder(const char *path)
{
	char parent[PATH_MAX];
	char *slash;

	if (mkdir(path, 0755) == 0 || errno == EEXIST)
		return 0;
	snprintf(parent, sizeof(parent), "%s", path);
	slash = strrchr(parent, '/');
	if (errno != ENOENT || !slash || slash == parent)
		return -errno;
	*slash = '\0';
	if (make_folder(parent) < 0 || mkdir(path, 0755) != 0)
		return -errno;
	return 0;
}

/* Links may lead out of the folder that is another system's root: what there is of the path is looked at. */
static int check_root(const char *root, const char *folder)
{
	char path[PATH_MAX], real_root[PATH_MAX], real_path[PATH_MAX];
	size_t length;

	if (!*root)
		return 0;
	if (!realpath(root, real_root))
		return -errno;
	snprintf(path, sizeof(path), "%s", folder);
	while (!realpath(path, real_path)) {
		struct stat status;
		char *slash = strrchr(path, '/');

		/* A link to nowhere would be followed, too. */
		if (errno != ENOENT || lstat(path, &status) == 0 || !slash || slash == path)
			return -EXDEV;
		*slash = '\0';
	}
	length = strlen(real_root);
	if (strncmp(real_path, real_root, length) != 0 || (real_path[length] != '/' && real_path[length] != '\0'))
		return -EXDEV;
	return 0;
}

/* What the first versions wrote. */
static int remove_old(const char *folder)
{
	char path[PATH_MAX + 32];

	snprintf(path, sizeof(path), "%s/" UNIT_DROPIN_OF_OLD, folder);
	if (!dropin_is_ours(path))
		return -ENOENT;
	return unlink(path) == 0 ? 0 : -errno;
}

int dropin_write(const char *root, const char *folder, const char *text)
{
	char path[PATH_MAX + 32], temporary[PATH_MAX + 32];
	int error = check_root(root, folder);

	if (error)
		return error;
	snprintf(path, sizeof(path), "%s/" UNIT_DROPIN, folder);
	snprintf(temporary, sizeof(temporary), "%s/." UNIT_DROPIN ".%d", folder, getpid());
	if (access(path, F_OK) == 0 && !dropin_is_ours(path))
		return -EEXIST;
	error = make_folder(folder);
	if (error)
		return error;
	errno = 0;
	error = write_whole(temporary, text);
	if (!error && rename(temporary, path) != 0)
		error = -errno;
	if (error) {
		if (error != -EEXIST)
			unlink(temporary);
		return error;
	}
	error = remove_old(folder);
	return error == -ENOENT ? 0 : error;
}

int dropin_remove(const char *root, const char *folder)
{
	char path[PATH_MAX + 32];
	int error = check_root(root, folder), old;

	if (error)
		return error;
	old = remove_old(folder);
	if (old && old != -ENOENT)
		return old;
	snprintf(path, sizeof(path), "%s/" UNIT_DROPIN, folder);
	if (access(path, F_OK) != 0)
		error = -errno;
	else if (!dropin_is_ours(path))
		error = -EEXIST;
	else if (unlink(path) != 0)
		error = -errno;
	if (error == -ENOENT && !old)
		error = 0;
	/* Others' drop-ins keep their folder. */
	if (!error)
		rmdir(folder);
	return error;
}
