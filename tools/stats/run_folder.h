/*
 * The folder of one run: the program of `holdline run --report` counts in a folder of its own, "run-PID" below the
 * user's usual one, so that it holds exactly the run's numbers. Readers of the outer folder look into it, too. At the
 * end the run's numbers are added to the outer total and the folder is removed ("folded"); the next reader folds the
 * folder of a killed `holdline run`.
 *
 * Locks, all of flock(2) and with a bounded wait: a living run holds its file "holder"; moving numbers from an inner
 * folder to an outer one holds the outer folder exclusively, reading shares it.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>

#define STATS_RUN_NAME_MAX 24 /* "run-4194304.9" */

struct run_folder {
	char path[PATH_MAX];	       /* for HOLDLINE_STATS */
	char name[STATS_RUN_NAME_MAX]; /* in the outer folder */
	int outer, folder, holder;     /* descriptors */
	bool is_apart;		       /* the outer folder is for this run only */
};

/* Makes the folder of a run below `outer` (NULL: the first usable one of the usual places, else a folder for temporary
 * files). Folds the folders of older runs there. 0 or -errno. */
int run_folder_begin(struct run_folder *run, const char *outer) __attribute__((warn_unused_result));

/* Folds the run's folder; if processes of the run still live, a reader does so after their end. */
void run_folder_end(struct run_folder *run);

/* Folds the folders of ended runs in our own folder, open as `folder`. */
void run_folder_fold(int folder);

/* True for the name of a run's folder. */
bool run_folder_is_name(const char *name);

/* Locks a folder (LOCK_SH or LOCK_EX, flock(2)), waiting some milliseconds at most. */
bool run_folder_lock(int folder, int operation);
