/*
 * Reads the files of a folder of counters (pool/stats/file.h) one at a time, by copies: a mapping of a file that
 * somebody shortens would raise SIGBUS. Links, foreign files, short ones and nonsense count as missing. Descriptors are
 * close-on-exec. No thread safety is needed: there is no state.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct stats_page;

/* Reads only the header of the file `name`, which tells whose page it is. False: `owner` has no such file. */
bool page_file_read_header(int folder, const char *name, uid_t owner, struct stats_page *header);

/* A copy of the file `name` of the folder, with its room. NULL: it is missing, or not a sound page of `owner`'s. The
 * caller frees it with free(). */
struct stats_page *page_file_read(int folder, const char *name, uid_t owner);

/* The same of a page that has an owner (NULL if it has none), without the room that no entry takes: its n_max are
 * smaller, and its indices mean the same. A full page is read as fast as by the former, an ordinary one several times
 * faster. With `has_counts_only` it has destinations and no other array. It is for looking at, not for counting in. */
struct stats_page *page_file_read_used(int folder, const char *name, uid_t owner, bool has_counts_only);
