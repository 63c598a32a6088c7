/*
 * Pages of counters for tests of readers: made in memory, written into a folder of the test's own.
 */
#pragma once

#include <stdint.h>

#include "pool/stats/stats.h"

struct destination_key;

/* 127.0.0.HOST:PORT. */
struct destination_key stats_pages_key(unsigned host, unsigned port);

/* An empty page of a process; free() it. */
struct stats_page *stats_pages_new(uint32_t pid, const char *program);

/* The page of this very process, which is alive. */
struct stats_page *stats_pages_new_own(void);

/* The pid of an ended process. */
uint32_t stats_pages_dead_pid(void);

/* Counts this many connects to 127.0.0.1:PORT, all dialled. */
void stats_pages_count(struct stats_page *page, unsigned port, unsigned n);

/* Makes an empty folder for a test (static memory), and removes it with all that is in it. */
const char *stats_pages_make_folder(void);
void stats_pages_remove_folder(const char *path);

/* Writes `length` bytes of a page as PATH/NAME. */
void stats_pages_write(const char *path, const char *name, const struct stats_page *page, size_t length);
