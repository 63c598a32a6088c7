/*
 * Reads a folder with pages of counters (pool/stats/file.h), and the folders of `holdline run --report` below it
 * (run_folder.h).
 *
 * It copies and maps nothing; links, foreign files, short ones and nonsense are skipped. Two readers, or a reader and
 * processes that end meanwhile, count nothing twice and lose nothing: a page that was added to its folder's total while
 * it was read is taken from there. Every loop is bounded, whatever the folder contains. Descriptors are close-on-exec.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct stats_page;
struct stats_view;

/* Opens a folder; the caller closes the descriptor. -EPERM: others than `owner` may use it; -EXDEV: it is not in
 * memory, unless `may_be_on_disk`. */
int stats_folder_open(const char *path, uid_t owner, bool may_be_on_disk) __attribute__((warn_unused_result));

/* Adds the counts of the folder, open as `fd`; its files must be `owner`'s. If that is us, the remains of killed runs
 * are folded in first. */
void stats_folder_read(struct stats_view *view, int fd, uid_t owner);

/* True if `name` can be a process's page: "0000" to "1023". */
bool stats_folder_is_slot(const char *name);

/* True if the page's process lives, or if that is unknown because it is in another pid namespace. */
bool stats_folder_is_living(const struct stats_page *page);
