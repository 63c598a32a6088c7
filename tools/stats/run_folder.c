/* Making, folding and removing folders of runs. See run_folder.h. */
#include "tools/stats/run_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "pool/stats/file.h"
#include "tools/stats/folder.h"
#include "tools/stats/page_file.h"
#include "tools/stats/sys.h"

#define HOLDER "holder"
#define LOCK_TRIES 50
#define LOCK_PAUSE_NS 200000
#define MAX_DEPTH 4
#define MAX_NAMES 10

bool run_folder_is_name(const char *name)
{
	size_t digits;

	if (strncmp(name, "run-", 4) != 0)
		return false;
	digits = strspn(name + 4, "0123456789");
	name += 4 + digits;
	if (name[0] == '.' && name[1] >= '0' && name[1] <= '9')
		name += 2;
	return digits > 0 && digits <= 10 && !*name;
}

bool run_folder_lock(int folder, int operation)
{
	for (int i = 0; i < LOCK_TRIES; i++) {
		if (flock(folder, operation | LOCK_NB) == 0)
			return true;
		nanosleep(&(struct timespec){.tv_nsec = LOCK_PAUSE_NS}, NULL);
	}
	return false;
}

/* Calls `each` for the names in the folder that are `is_wanted`, until it returns false; then returns false. */
static bool for_each_name(int folder, bool (*is_wanted)(const char *name),
			  bool (*each)(void *context, const char *name), void *context)
{
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	bool goes_on = true;
	struct dirent *entry;

	if (!directory) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	for (int i = 0; goes_on && i < 2 * STATS_SLOTS && (entry = readdir(directory)); i++)
		if (is_wanted(entry->d_name))
			goes_on = each(context, entry->d_name);
	closedir(directory);
	return goes_on;
}

/* The folder to fold, and the one that gets its numbers. */
struct level {
	int folder, outer;
	int depth;
};

static bool is_not_living(void *context, const char *name)
{
	const struct level *level = context;
	struct stats_page header;

	return !page_file_read_header(level->folder, name, geteuid(), &header) || !header.pid ||
	       !stats_folder_is_living(&header);
}

/* A total of another layout won't accept the numbers later either. */
static bool is_done(int error)
{
	return error == 0 || error == -EPROTO;
}

static bool fold_slot(void *context, const char *name)
{
	const struct level *level = context;
	struct stats_page *page = page_file_read(level->folder, name, geteuid());
	int error = 0;

	if (page && page->pid)
		error = stats_file_put(&stats_sys_libc, level->folder, (unsigned)atoi(name), page);
	free(page);
	if (!is_done(error))
		return false;
	unlinkat(level->folder, name, 0);
	return true;
}

static bool move_total(void *context, const char *name)
{
	const struct level *level = context;
	struct stats_page *total = page_file_read(level->folder, name, geteuid());
	int error = total ? stats_file_fold_total(&stats_sys_libc, level->outer, total) : 0;

	free(total);
	return is_done(error) && unlinkat(level->folder, name, 0) == 0;
}

static bool is_total(const char *name)
{
	return strcmp(name, STATS_TOTAL_NAME) == 0;
}

/* Opens and locks a run's folder, if it is ours and unlocked. */
static int open_abandoned(int outer, const char *name, int *holder)
{
	int folder = openat(outer, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat status;

	if (folder < 0)
		return -errno;
	if (fstat(folder, &status) == 0 && status.st_uid == geteuid()) {
		*holder = openat(folder, HOLDER, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
		/* A folder without a holder file was made by a process that outlived its run. */
		if (*holder < 0 || flock(*holder, LOCK_EX | LOCK_NB) == 0)
			return folder;
		close(*holder);
	}
	close(folder);
	return -EBUSY;
}

static bool move_all(struct level *level)
{
	bool is_moved;

	if (!for_each_name(level->folder, stats_folder_is_slot, is_not_living, level) ||
	    !run_folder_lock(level->outer, LOCK_EX))
		return false;
	is_moved = for_each_name(level->folder, stats_folder_is_slot, fold_slot, level) &&
		   for_each_name(level->folder, is_total, move_total, level);
	flock(level->outer, LOCK_UN);
	return is_moved;
}

/* Returns true in any case, to go on with the next. */
static bool fold_run(void *context, const char *name)
{
	const struct level *outer = context;
	int holder = -1, folder = open_abandoned(outer->folder, name, &holder);
	struct level level = {.folder = folder, .outer = outer->folder, .depth = outer->depth + 1};

	if (folder < 0)
		return true;
	if (level.depth < MAX_DEPTH)
		for_each_name(folder, run_folder_is_name, fold_run, &level);
	/* The folder stays if an inner one does: its total will get that one's numbers. */
	if (move_all(&level)) {
		unlinkat(folder, HOLDER, 0);
		unlinkat(outer->folder, name, AT_REMOVEDIR);
	}
	if (holder >= 0)
		close(holder);
	close(folder);
	return true;
}

void run_folder_fold(int folder)
{
	for_each_name(folder, run_folder_is_name, fold_run, &(struct level){.folder = folder});
}

/* Makes and locks run->path, either in the folder run->outer or as a new folder of its own. */
static int make_folder(struct run_folder *run)
{
	int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;

	if (mkdir(run->path, 0700) < 0)
		return -errno;
	run->folder = open(run->path, flags);
	if (run->folder < 0)
		return -errno;
	run->holder = openat(run->folder, HOLDER, O_RDONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (run->holder >= 0 && flock(run->holder, LOCK_EX | LOCK_NB) == 0)
		return 0;
	close(run->folder);
	return -EAGAIN;
}

static int make_below(struct run_folder *run, const char *outer)
{
	int error = -EEXIST;

	for (int i = 0; i < MAX_NAMES; i++) {
		if (i)
			snprintf(run->name, sizeof(run->name), "run-%d.%d", (int)getpid(), i);
		else
			snprintf(run->name, sizeof(run->name), "run-%d", (int)getpid());
		if ((size_t)snprintf(run->path, sizeof(run->path), "%s/%s", outer, run->name) >= sizeof(run->path))
			return -ENAMETOOLONG;
		error = make_folder(run);
		/* It belonged to an earlier process with our pid, or a reader took the half-made folder for an old
		 * one. */
		if (error != -EEXIST && error != -ENOENT && error != -EAGAIN)
			break;
	}
	return error;
}

/* `folder` is `outer`, open, or the error of opening it. */
static int try_outer(struct run_folder *run, const char *outer, int folder)
{
	int error;

	if (folder < 0)
		return folder;
	run->outer = folder;
	run_folder_fold(run->outer);
	error = make_below(run, outer);
	if (error)
		close(run->outer);
	return error;
}

/* At the end there is no folder to add the numbers to; one below a temporary folder goes away, too. */
static int make_apart(struct run_folder *run)
{
	const char *parent = getenv("TMPDIR");
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/holdline-XXXXXX", parent && *parent == '/' ? parent : "/tmp");
	run->is_apart = true;
	return mkdtemp(path) ? try_outer(run, path, stats_file_open_folder(&stats_sys_libc, path, geteuid())) : -errno;
}

int run_folder_begin(struct run_folder *run, const char *outer)
{
	char path[PATH_MAX];

	memset(run, 0, sizeof(*run));
	if (outer)
		return try_outer(run, outer, stats_file_open_folder(&stats_sys_libc, outer, geteuid()));
	for (unsigned choice = 0; choice < 2; choice++)
		if (stats_file_place(choice, getenv("XDG_RUNTIME_DIR"), geteuid(), path) == 0 &&
		    try_outer(run, path, stats_file_open_default(&stats_sys_libc, path, geteuid())) == 0)
			return 0;
	return make_apart(run);
}

void run_folder_end(struct run_folder *run)
{
	close(run->holder);
	close(run->folder);
	fold_run(&(struct level){.folder = run->outer}, run->name);
	if (run->is_apart) {
		unlinkat(run->outer, STATS_TOTAL_NAME, 0);
		*strrchr(run->path, '/') = '\0';
		rmdir(run->path);
	}
	close(run->outer);
}
