/* The usual places. See read.h. */
#include "tools/stats/read.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pool/stats/file.h"
#include "tools/stats/folder.h"
#include "tools/stats/view.h"

#define MAX_PLACES 256

/* Folders read already: two paths may lead to the same one. */
struct places {
	size_t n;
	struct {
		dev_t device;
		ino_t inode;
	} seen[MAX_PLACES];
};

static bool is_new(struct places *places, int fd)
{
	struct stat status;

	if (fstat(fd, &status) < 0 || places->n == MAX_PLACES)
		return false;
	for (size_t i = 0; i < places->n; i++)
		if (places->seen[i].device == status.st_dev && places->seen[i].inode == status.st_ino)
			return false;
	places->seen[places->n].device = status.st_dev;
	places->seen[places->n++].inode = status.st_ino;
	return true;
}

static void read_place(struct stats_view *view, struct places *places, const char *path, uid_t owner)
{
	int fd = stats_folder_open(path, owner, false);

	if (fd < 0)
		return;
	if (is_new(places, fd))
		stats_folder_read(view, fd, owner);
	close(fd);
}

static void read_places_of(struct stats_view *view, struct places *places, const char *runtime, uid_t user)
{
	char path[PATH_MAX];

	for (unsigned choice = 0; choice < 2; choice++)
		if (stats_file_place(choice, runtime, user, path) == 0)
			read_place(view, places, path, user);
}

/* The owner of such a folder is the user who may use it: systemd and the shim see to that. */
static void read_everybodys(struct stats_view *view, struct places *places)
{
	static const char *const parents[] = {"/run/user/*", "/dev/shm/holdline-*"};

	for (int i = 0; i < 2; i++) {
		glob_t found;

		if (glob(parents[i], GLOB_NOSORT, NULL, &found) != 0)
			continue;
		for (size_t j = 0; j < found.gl_pathc; j++) {
			struct stat status;

			if (lstat(found.gl_pathv[j], &status) == 0 && S_ISDIR(status.st_mode))
				read_places_of(view, places, i == 0 ? found.gl_pathv[j] : NULL, status.st_uid);
		}
		globfree(&found);
	}
}

static void read_usual_places(struct stats_view *view)
{
	struct places places = {0};
	char runtime[64];

	/* A service has no XDG_RUNTIME_DIR while its user's shell has one. */
	snprintf(runtime, sizeof(runtime), "/run/user/%u", (unsigned)geteuid());
	read_places_of(view, &places, runtime, geteuid());
	read_places_of(view, &places, getenv("XDG_RUNTIME_DIR"), geteuid());
	if (geteuid() == 0)
		read_everybodys(view, &places);
}

static bool names_a_folder(const char *setting)
{
	return setting && *setting && strcmp(setting, "auto") != 0 && strcmp(setting, "off") != 0;
}

static int read_view(struct stats_view *view, const char *folder)
{
	const char *setting = getenv("HOLDLINE_STATS");
	int fd = 0;

	if (!folder && names_a_folder(setting))
		folder = setting;
	if (!folder) {
		read_usual_places(view);
	} else {
		fd = stats_folder_open(folder, geteuid(), true);
		if (fd >= 0) {
			stats_folder_read(view, fd, geteuid());
			close(fd);
		}
	}
	stats_view_seal(view);
	return fd < 0 ? fd : 0;
}

int stats_read(struct stats_view *view, const char *folder)
{
	stats_view_init(view);
	return read_view(view, folder);
}

int stats_read_counts(struct stats_view *view, const char *folder)
{
	stats_view_init(view);
	view->has_counts_only = true;
	return read_view(view, folder);
}
