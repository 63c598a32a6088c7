/*
 * A folder is read in this order: the generation of its total; the pages of its processes; the total; once more the
 * owners of the pages, unless the total is still of that generation. If nothing was added to the total while the owners
 * were read, a page that has lost its owner by then was added before. See folder.h.
 */
#include "tools/stats/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "pool/stats/file.h"
#include "tools/base/clock.h"
#include "tools/base/proc_file.h"
#include "tools/stats/page_file.h"
#include "tools/stats/run_folder.h"
#include "tools/stats/view.h"

#define TRIES 50
#define PAUSE_NS 200000
#define MAX_DEPTH 4
#define MAX_FOLDERS 256
/* The kernel tells a process's start to 10 ms. */
#define START_SLACK_NS 20000000

bool stats_folder_is_slot(const char *name)
{
	return strlen(name) == 4 && strspn(name, "0123456789") == 4 && atoi(name) < STATS_SLOTS;
}

/* When a process started, in CLOCK_BOOTTIME; 0 if that is unknown, UINT64_MAX if it is a zombie. proc(5): field 3 of
 * stat is the state, field 22 the start in ticks. */
static uint64_t started_ns(uint32_t pid)
{
	unsigned long long ticks = 0;
	const char *field;
	char text[1024];

	proc_file_read((pid_t)pid, "stat", text, sizeof(text));
	field = strrchr(text, ')');
	if (field && (strncmp(field, ") Z", 3) == 0 || strncmp(field, ") X", 3) == 0))
		return UINT64_MAX;
	for (int i = 0; field && i < 20; i++)
		field = strchr(field + 1, ' ');
	if (!field || sscanf(field, "%llu", &ticks) != 1)
		return 0;
	return ticks * (SECOND_NS / (uint64_t)sysconf(_SC_CLK_TCK));
}

/* Asked for each of a thousand pages, and never another. */
static uint64_t own_pid_namespace(void)
{
	static _Atomic(uint64_t) inode;
	struct stat status;

	if (!inode && stat("/proc/self/ns/pid", &status) == 0)
		inode = status.st_ino;
	return inode;
}

bool stats_folder_is_living(const struct stats_page *page)
{
	uint64_t began_ns;

	if (page->pid_namespace != own_pid_namespace())
		return true;
	if (page->pid > INT32_MAX || (kill((pid_t)page->pid, 0) < 0 && errno == ESRCH))
		return false;
	/* The pid may by now belong to another process, which started after the page was begun. */
	began_ns = page->began_ns + (clock_now_ns(CLOCK_BOOTTIME) - clock_now_ns(CLOCK_MONOTONIC));
	return started_ns(page->pid) <= began_ns + START_SLACK_NS;
}

/* Everything read of a folder, before it is known which pages count. */
struct reading {
	int folder;
	uid_t owner;
	bool has_counts_only;
	uint32_t generation; /* of the total, before any page was read */
	size_t n_pages, n_runs;
	struct stats_page *total;
	struct stats_page *pages[STATS_SLOTS];
	char names[STATS_SLOTS][STATS_SLOT_NAME_MAX];
	char runs[MAX_FOLDERS][STATS_RUN_NAME_MAX];
};

static void read_slot(struct reading *reading, const char *name)
{
	struct stats_page *page = page_file_read_used(reading->folder, name, reading->owner, reading->has_counts_only);

	if (!page)
		return;
	reading->pages[reading->n_pages] = page;
	strcpy(reading->names[reading->n_pages++], name);
}

static bool list_folder(struct reading *reading)
{
	int fd = openat(reading->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!directory) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	while ((entry = readdir(directory))) {
		if (stats_folder_is_slot(entry->d_name) && reading->n_pages < STATS_SLOTS)
			read_slot(reading, entry->d_name);
		else if (run_folder_is_name(entry->d_name) && reading->n_runs < MAX_FOLDERS)
			strcpy(reading->runs[reading->n_runs++], entry->d_name);
	}
	closedir(directory);
	return true;
}

/* Drops pages that have lost their owner or got another one by now: they are in the total. */
static void drop_folded(struct reading *reading)
{
	for (size_t i = 0; i < reading->n_pages; i++) {
		struct stats_page header, *page = reading->pages[i];

		if (page && (!page->pid ||
			     !page_file_read_header(reading->folder, reading->names[i], reading->owner, &header) ||
			     header.pid != page->pid || header.began_ns != page->began_ns)) {
			free(page);
			reading->pages[i] = NULL;
		}
	}
}

static uint32_t generation_of(const struct reading *reading)
{
	struct stats_page header;

	return page_file_read_header(reading->folder, STATS_TOTAL_NAME, reading->owner, &header) ? header.generation
												 : 0;
}

static bool is_unchanged(const struct reading *reading, uint32_t generation)
{
	uint32_t read = reading->total ? reading->total->generation : 0;

	return generation % 2 == 0 && read == generation && generation_of(reading) == generation;
}

/* False: pages were being added all the time, or the adding process was killed; the last reading is the best there
 * is. */
static bool read_total(struct reading *reading)
{
	for (int i = 0; i < TRIES; i++) {
		uint32_t generation = generation_of(reading);

		free(reading->total);
		reading->total = page_file_read(reading->folder, STATS_TOTAL_NAME, reading->owner);
		/* An owner is cleared while the generation is odd. */
		if (generation != reading->generation || !is_unchanged(reading, generation))
			drop_folded(reading);
		if (is_unchanged(reading, generation))
			return true;
		nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
	}
	return false;
}

static void add_pages(struct stats_view *view, struct reading *reading)
{
	if (reading->total)
		stats_view_add(view, reading->total, STATS_VIEW_TOTAL);
	for (size_t i = 0; i < reading->n_pages; i++)
		if (reading->pages[i])
			stats_view_add(view, reading->pages[i],
				       stats_folder_is_living(reading->pages[i]) ? STATS_VIEW_LIVING
										 : STATS_VIEW_ENDED);
}

static void read_at_depth(struct stats_view *view, int folder, uid_t owner, int depth)
{
	struct reading *reading = calloc(1, sizeof(*reading));

	if (!reading) {
		view->is_incomplete = true;
		return;
	}
	reading->folder = folder;
	reading->owner = owner;
	reading->has_counts_only = view->has_counts_only;
	reading->generation = generation_of(reading);
	/* No run is folded meanwhile: its numbers would be counted twice, or not at all. */
	run_folder_lock(folder, LOCK_SH);
	if (!list_folder(reading) || !read_total(reading))
		view->is_incomplete = true;
	add_pages(view, reading);
	view->n_folders++;
	for (size_t i = 0; i < reading->n_runs && depth < MAX_DEPTH; i++) {
		int run = openat(folder, reading->runs[i], O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		if (run < 0)
			continue;
		read_at_depth(view, run, owner, depth + 1);
		close(run);
	}
	flock(folder, LOCK_UN);
	for (size_t i = 0; i < reading->n_pages; i++)
		free(reading->pages[i]);
	free(reading->total);
	free(reading);
}

void stats_folder_read(struct stats_view *view, int fd, uid_t owner)
{
	if (owner == geteuid())
		run_folder_fold(fd);
	read_at_depth(view, fd, owner, 0);
}

int stats_folder_open(const char *path, uid_t owner, bool may_be_on_disk)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), error = 0;
	struct statfs system;
	struct stat status;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &status) < 0 || fstatfs(fd, &system) < 0)
		error = -errno;
	else if (status.st_uid != owner || status.st_mode & 077)
		error = -EPERM;
	else if (!may_be_on_disk && system.f_type != TMPFS_MAGIC && system.f_type != RAMFS_MAGIC)
		error = -EXDEV;
	if (!error)
		return fd;
	close(fd);
	return error;
}
