/*
 * The folder of one run: `holdline run --report` has its program count in a folder of its own, "run-PID" below the one that
 * counts for this user, so that the run's numbers are in it, all and nothing else. Readers of the outer folder look into it
 * too. At the end the run's numbers are added to the outer total and the folder is removed ("settled"); what a killed
 * `holdline run` leaves is settled by the next reader.
 *
 * Locks, all of flock(2) and never waited for without bound: who has a run holds its file "holder"; who moves numbers from
 * an inner folder to an outer one holds the outer folder, which its readers share.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>

#define STATS_RUN_NAME_MAX 24 /* "run-4194304.9" */

struct run_folder {
	char path[PATH_MAX];	       /* for HOLDLINE_STATS */
	char name[STATS_RUN_NAME_MAX]; /* in the outer folder */
	int outer, folder, holder;     /* descriptors */
	bool is_apart;		       /* the outer folder is just for this */
};

/* Makes the folder of a run below `outer` (NULL: the first of the usual places that will do; if none will, somewhere for
 * temporary files). Settles what older runs have left there. 0 or -errno. */
int run_folder_begin(struct run_folder *run, const char *outer) __attribute__((warn_unused_result));

/* Settles it; if processes of the run still live, that is left to a reader after their end. */
void run_folder_end(struct run_folder *run);

/* Settles what runs that are over have left in the folder, our own, open as `folder`. */
void run_folder_fold(int folder);

/* True for the name of a run's folder. */
bool run_folder_is_name(const char *name);

/* Locks a folder (LOCK_SH or LOCK_EX, flock(2)), waiting for some milliseconds at most. */
bool run_folder_lock(int folder, int operation);
