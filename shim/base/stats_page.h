/*
 * The page that this process counts in (pool/stats/stats.h): private memory at first, a file's, where others read it,
 * from the moment that the process has made a few connects or lived for a while.
 */
#pragma once

#include <stdbool.h>

#include "pool/stats/stats.h"

struct config;

/* Counted in from stats_page_init() on. It moves when it gets its file. */
extern struct stats_page *page;

/* In the constructor, with what the process was started with: where the user's files are (XDG_RUNTIME_DIR). */
void stats_page_choose_place(char *const environment[]);

/* Those who keep pointers into the page, which are to follow where it moves. */
struct stats_page_users {
	/* From here on no gauge changes. False: not now. */
	bool (*hold)(void);
	/* The page has moved. The former stays where it is. */
	void (*follow)(const struct stats_page *former);
	void (*let_go)(void);
};

/* When the library begins (shim/process/init.h). `users` is borrowed. */
void stats_page_init(const struct config *config, const struct stats_page_users *users);

/* The program itself as a module of the page (stats_find_module). */
uint8_t stats_page_find_program(uint64_t load_address);

/* Before anything is counted: gives the page its file when it is time. Where that can't be, the page stays private.
 * Holds no lock that a handler may want; errno is preserved. */
void stats_page_begin(void);

/* In a fork's child: a page of its own, with nothing counted; gauges stay if `keeps_gauges`. */
void stats_page_after_fork(bool keeps_gauges);

/* A connection is used: the same, where the process has lived for a while by now. */
void stats_page_look(void);

/* Where that can be, it gets its file now, with or without counts. Async-signal-safe; errno is preserved. */
void stats_page_make_file(void);

/* The process becomes another program: what was counted gets a file, and stays there. Async-signal-safe. */
void stats_page_keep(void);

/* The same, and from now on no system call is made for it, since the program is about to have a filter of them: what
 * has a file by then is counted, as for a killed process. Async-signal-safe; errno is preserved. */
void stats_page_leave_alone(void);

/* At the process's end: adds it to the total. Async-signal-safe; errno is preserved. */
void stats_page_end(void);
