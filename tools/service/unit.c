/* See unit.h. */
#include "tools/service/unit.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/service/dropin.h"

#define ALIASES_MAX 8

#define FOLDER_OF_ADMINISTRATOR "etc/systemd/system"

/* The first has the last word (systemd.unit(5), "Unit File Load Path"). */
static const char *const folders[] = {
	"run/systemd/generator.early",	FOLDER_OF_ADMINISTRATOR,  "run/systemd/system", "run/systemd/generator",
	"usr/local/lib/systemd/system", "usr/lib/systemd/system", "lib/systemd/system", "run/systemd/generator.late"};

#define N_FOLDERS (sizeof(folders) / sizeof(folders[0]))

int unit_complete_name(const char *given, char name[NAME_MAX + 1])
{
	static const char *const others[] = {".socket", ".timer", ".target", ".mount", ".automount",
					     ".swap",	".path",  ".slice",  ".scope", ".device"};
	const char *suffix = strrchr(given, '.');
	bool is_service = suffix && strcmp(suffix, ".service") == 0;

	for (size_t i = 0; suffix && i < sizeof(others) / sizeof(others[0]); i++)
		if (strcmp(suffix, others[i]) == 0)
			return -EINVAL;
	if (!*given || *given == '.' || *given == '@' || *given == '-')
		return -EINVAL;
	for (const char *c = given; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr(":-_.\\@", *c))
			return -EINVAL;
	if (snprintf(name, NAME_MAX + 1, "%s%s", given, is_service ? "" : ".service") > NAME_MAX)
		return -ENAMETOOLONG;
	return 0;
}

int unit_dropin_folder(const char *root, const char *name, char path[PATH_MAX])
{
	return snprintf(path, PATH_MAX, "%s/%s/%s.d", root, FOLDER_OF_ADMINISTRATOR, name) < PATH_MAX ? 0
												      : -ENAMETOOLONG;
}

static void remove_settings(struct unit *unit, const char *name)
{
	size_t n = 0;

	for (size_t i = 0; i < unit->n_settings; i++) {
		struct unit_setting *setting = &unit->settings[i];

		if (strcmp(setting->name, name) != 0) {
			unit->settings[n++] = *setting;
			continue;
		}
		free(setting->name);
		free(setting->value);
	}
	unit->n_settings = n;
}

static int add_setting(struct unit *unit, const char *name, const char *value)
{
	struct unit_setting *grown;

	if (!*value) {
		unit->is_environment_cleared |= strcmp(name, "Environment") == 0;
		remove_settings(unit, name);
		return 0;
	}
	grown = realloc(unit->settings, (unit->n_settings + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	unit->settings = grown;
	grown += unit->n_settings;
	grown->name = strdup(name);
	grown->value = strdup(value);
	if (!grown->name || !grown->value) {
		free(grown->name);
		free(grown->value);
		return -ENOMEM;
	}
	unit->n_settings++;
	return 0;
}

static char *trim(char *text)
{
	size_t length;

	text += strspn(text, " \t\r");
	length = strlen(text);
	while (length > 0 && strchr(" \t\r", text[length - 1]))
		text[--length] = '\0';
	return text;
}

static bool is_comment(const char *line)
{
	line += strspn(line, " \t");
	return *line == '#' || *line == ';';
}

/* Takes a line, joined with those that continue it; comments may stand between them (systemd.syntax(7)). NULL at the
 * end. */
static char *take_line(char **text)
{
	char *line = *text, *end = line;

	if (!*line)
		return NULL;
	for (char *next = line;;) {
		size_t length = strcspn(next, "\n");
		char *after = next + length + (next[length] == '\n');
		bool is_skipped = next != line && is_comment(next);
		bool continues = length > 0 && next[length - 1] == '\\' && !(next == line && is_comment(next));

		if (!is_skipped) {
			memmove(end, next, length);
			end += length;
			if (continues)
				end[-1] = ' ';
		}
		next = after;
		if ((!continues && !is_skipped) || !*next) {
			*text = next;
			*end = '\0';
			return line;
		}
	}
}

int unit_add_text(struct unit *unit, char *text)
{
	bool is_service = false;
	char *line;

	while ((line = take_line(&text))) {
		char *equals;
		int error;

		line = trim(line);
		if (*line == '[')
			is_service = strcmp(line, "[Service]") == 0;
		equals = strchr(line, '=');
		if (!is_service || is_comment(line) || *line == '[' || !equals)
			continue;
		*equals = '\0';
		error = add_setting(unit, trim(line), trim(equals + 1));
		if (error)
			return error;
	}
	return 0;
}

static int add_file(struct unit *unit, const char *path)
{
	FILE *file = fopen(path, "re");
	char *text = NULL;
	size_t room = 0;
	int error;

	if (!file)
		return -errno;
	/* A unit's file has no '\0'. */
	error = getdelim(&text, &room, '\0', file) < 0 ? (ferror(file) ? -EIO : 0) : unit_add_text(unit, text);
	free(text);
	fclose(file);
	return error;
}

/* `foo@.service` of `foo@bar.service`; false: it is no instance. */
static bool name_template(const char *name, char template[NAME_MAX + 1])
{
	const char *at = strchr(name, '@'), *suffix = strrchr(name, '.');

	if (!at || !suffix || at + 1 == suffix)
		return false;
	snprintf(template, NAME_MAX + 1, "%.*s%s", (int)(at + 1 - name), name, suffix);
	return true;
}

/* The file of a name in the first folder that has it. 0 or -ENOENT. */
static int find_fragment(const struct unit *unit, const char *name, char path[PATH_MAX])
{
	struct stat status;

	for (size_t i = 0; i < N_FOLDERS; i++) {
		if (snprintf(path, PATH_MAX, "%s/%s/%s", unit->root, folders[i], name) >= PATH_MAX)
			continue;
		if (lstat(path, &status) == 0)
			return 0;
	}
	return -ENOENT;
}

/* An alias is a symbolic link to a file of another name. An instance keeps its own. */
static int follow_aliases(struct unit *unit)
{
	char template[NAME_MAX + 1], target[PATH_MAX];

	for (int i = 0; i < ALIASES_MAX; i++) {
		int error = find_fragment(unit, unit->name, unit->fragment);
		const char *base;
		ssize_t length;

		if (error && name_template(unit->name, template))
			error = find_fragment(unit, template, unit->fragment);
		if (error)
			return error;
		length = readlink(unit->fragment, target, sizeof(target) - 1);
		if (length < 0)
			return 0;
		target[length] = '\0';
		if (strcmp(target, "/dev/null") == 0)
			return -ESHUTDOWN;
		base = strrchr(target, '/') ? strrchr(target, '/') + 1 : target;
		if (strcmp(base, unit->name) == 0 || strchr(base, '@')) {
			/* The same name elsewhere: `systemctl link`. */
			if (target[0] == '/' &&
			    snprintf(unit->fragment, PATH_MAX, "%s%s", unit->root, target) >= PATH_MAX)
				return -ENAMETOOLONG;
			return 0;
		}
		if (strlen(base) > NAME_MAX)
			return -ENAMETOOLONG;
		strcpy(unit->name, base);
	}
	return -ELOOP;
}

struct found {
	char name[NAME_MAX + 1], path[PATH_MAX];
};

/* Drop-ins, each name once: that of the highest rank. */
struct list {
	size_t n;
	struct found *items;
};

static int list_add(struct list *list, const char *folder, const char *name)
{
	struct found *grown;

	for (size_t i = 0; i < list->n; i++)
		if (strcmp(list->items[i].name, name) == 0)
			return 0;
	grown = realloc(list->items, (list->n + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	list->items = grown;
	grown += list->n;
	snprintf(grown->name, sizeof(grown->name), "%s", name);
	if (snprintf(grown->path, sizeof(grown->path), "%s/%s", folder, name) >= PATH_MAX)
		return -ENAMETOOLONG;
	list->n++;
	return 0;
}

static int find_dropins_in(struct list *list, const struct unit *unit, const char *of, size_t rank)
{
	char folder[PATH_MAX];
	struct dirent **entries;
	int n, error = 0;

	if (snprintf(folder, sizeof(folder), "%s/%s/%s.d", unit->root, folders[rank], of) >= PATH_MAX)
		return -ENAMETOOLONG;
	n = scandir(folder, &entries, NULL, NULL);
	for (int i = 0; i < n; i++) {
		const char *suffix = strrchr(entries[i]->d_name, '.');

		if (!error && suffix && strcmp(suffix, ".conf") == 0)
			error = list_add(list, folder, entries[i]->d_name);
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
	return error;
}

/* Those of the unit, of its template and of its prefixes (`a-.service` of `a-b.service`, the longest first). */
static int find_dropins_of_rank(struct list *list, const struct unit *unit, size_t rank)
{
	char name[NAME_MAX + 1];
	int error = find_dropins_in(list, unit, unit->name, rank);

	if (!error && name_template(unit->name, name))
		error = find_dropins_in(list, unit, name, rank);
	for (size_t end = strcspn(unit->name, "@."); end > 0 && !error; end--)
		if (unit->name[end - 1] == '-' && unit->name[end] != '.' &&
		    snprintf(name, sizeof(name), "%.*s.service", (int)end, unit->name) <= NAME_MAX)
			error = find_dropins_in(list, unit, name, rank);
	return error;
}

static int find_dropins(struct list *list, const struct unit *unit)
{
	int error = 0;

	for (size_t rank = 0; rank < N_FOLDERS && !error; rank++)
		error = find_dropins_of_rank(list, unit, rank);
	/* Those of all services. */
	for (size_t rank = 0; rank < N_FOLDERS && !error; rank++)
		error = find_dropins_in(list, unit, "service", rank);
	return error;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct found *)a)->name, ((const struct found *)b)->name);
}

static bool sets_what_ours_sets(const struct unit *unit)
{
	size_t position = 0;
	const char *value;

	while ((value = unit_next(unit, "Environment", &position)))
		if (strstr(value, "LD_PRELOAD="))
			return true;
	return unit->is_environment_cleared || unit_get(unit, "ExecStart") != NULL;
}

static int note_later(struct unit *unit, const struct found *found)
{
	struct unit alone = {.root = unit->root};
	int error = add_file(&alone, found->path);

	if (!error && sets_what_ours_sets(&alone))
		strcpy(unit->later, found->name);
	unit_fini(&alone);
	return error;
}

static bool is_ours(const struct found *found)
{
	return strcmp(found->name, UNIT_DROPIN) == 0 ||
	       (strcmp(found->name, UNIT_DROPIN_OF_OLD) == 0 && dropin_is_ours(found->path));
}

/* In systemd's order: by name, whichever folder they are in. */
static int add_dropins(struct unit *unit)
{
	struct list list = {0};
	int error = find_dropins(&list, unit);

	if (list.n)
		qsort(list.items, list.n, sizeof(list.items[0]), compare_names);
	for (size_t i = 0; i < list.n && !error; i++) {
		if (is_ours(&list.items[i]))
			continue;
		error = add_file(unit, list.items[i].path);
		if (!error && strcmp(list.items[i].name, UNIT_DROPIN) > 0)
			error = note_later(unit, &list.items[i]);
	}
	free(list.items);
	return error;
}

int unit_read(struct unit *unit, const char *root, const char *name)
{
	int error;

	*unit = (struct unit){.root = root};
	snprintf(unit->name, sizeof(unit->name), "%s", name);
	error = follow_aliases(unit);
	if (!error)
		error = add_file(unit, unit->fragment);
	if (!error)
		error = add_dropins(unit);
	if (error)
		unit_fini(unit);
	return error;
}

void unit_fini(struct unit *unit)
{
	for (size_t i = 0; i < unit->n_settings; i++) {
		free(unit->settings[i].name);
		free(unit->settings[i].value);
	}
	free(unit->settings);
	unit->settings = NULL;
	unit->n_settings = 0;
}

const char *unit_next(const struct unit *unit, const char *name, size_t *position)
{
	while (*position < unit->n_settings) {
		const struct unit_setting *setting = &unit->settings[(*position)++];

		if (strcmp(setting->name, name) == 0)
			return setting->value;
	}
	return NULL;
}

const char *unit_get(const struct unit *unit, const char *name)
{
	const char *last = NULL, *value;
	size_t position = 0;

	while ((value = unit_next(unit, name, &position)))
		last = value;
	return last;
}

bool unit_is_true(const char *value)
{
	static const char *const words[] = {"yes", "y", "true", "t", "on", "1"};

	for (size_t i = 0; value && i < sizeof(words) / sizeof(words[0]); i++)
		if (strcasecmp(value, words[i]) == 0)
			return true;
	return false;
}
