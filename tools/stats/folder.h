/*
 * A folder with pages of counters (pool/stats/file.h), as a reader sees it, with the folders of `holdline run --report`
 * below it (run_folder.h).
 *
 * Reads copies and maps nothing; links, foreign files, short ones and nonsense are passed over. Two readers, or a reader
 * and processes that end meanwhile, count nothing twice and lose nothing: a page that was added to its folder's total while
 * it was read is taken from there. Every loop is bounded, whatever is in the folder. Descriptors are close-on-exec.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct stats_page;
struct stats_view;

/* Opens a folder; the descriptor is the caller's. -EPERM: it is not `owner`'s alone; -EXDEV: it is not in memory, unless
 * `may_be_on_disk`. */
int stats_folder_open(const char *path, uid_t owner, bool may_be_on_disk) __attribute__((warn_unused_result));

/* Adds what the folder, open as `fd`, has; its files must be `owner`'s. If that is us, what runs that were killed have left
 * is settled first. */
void stats_folder_read(struct stats_view *view, int fd, uid_t owner);

/* The header of the file `name` alone, which says whose page it is. False: there is no such file of `owner`'s. */
bool stats_folder_read_header(int fd, const char *name, uid_t owner, struct stats_page *header);

/* A copy of the file `name` of the folder. NULL: it is not there, or not a sound page of `owner`'s. The caller's to
 * free(). */
struct stats_page *stats_folder_read_page(int fd, const char *name, uid_t owner);

/* True for a name that a process's page can have: "0000" to "1023". */
bool stats_folder_is_slot(const char *name);

/* True if the process that wrote the page lives, or if that can't be said since it is in another pid namespace. */
bool stats_folder_is_living(const struct stats_page *page);
