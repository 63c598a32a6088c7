/*
 * All counts of programs under Holdline on this machine, wherever their pages are (folder.h).
 */
#pragma once

struct stats_view;

/*
 * Initialises the view (the caller calls fini), fills and seals it. `folder` NULL: the one that HOLDLINE_STATS names,
 * or else those at the usual places: this user's, or for root all users'. If there are no counts the view is empty
 * (n_folders 0). 0; -errno if a folder was named, here or there, and can't be read.
 */
int stats_read(struct stats_view *view, const char *folder) __attribute__((warn_unused_result));

/* The same in a fraction of the time, of destinations and sums alone: call sites, processes and intervals are none. */
int stats_read_counts(struct stats_view *view, const char *folder) __attribute__((warn_unused_result));
