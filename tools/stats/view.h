/*
 * The counts of programs under Holdline, as one view: pages (pool/stats/stats.h) of any processes are added one by one;
 * destinations, call sites and modules of the same name are merged. read.h finds the pages.
 *
 * Anybody may have written a page: it is sound (stats_is_sound), and still every index, count and string in it may be
 * wrong. Strings may contain any byte but NUL. Pointers live until stats_view_fini(). No thread safety.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Lack of memory must not end a program's parent. */
#ifndef HASH_NONFATAL_OOM
#define HASH_NONFATAL_OOM 1
#endif
#include <uthash.h>

#include "pool/stats/stats.h"

struct stats_view_destination {
	struct stats_destination sum; /* counts of all; gauges of living processes. family 0: those without an entry */
	unsigned n_living;	      /* living processes that use it */
	UT_hash_handle hh;
};

struct stats_view_module {
	UT_hash_handle hh;
	char path[];
};

struct stats_view_frame {
	const struct stats_view_module *module; /* NULL: the offset is an address outside any file */
	uint64_t offset;			/* an ELF virtual address, of the return */
};

/* Where a program calls connect(). */
struct stats_view_callsite_key {
	const struct stats_view_destination *destination;
	struct stats_view_frame frames[STATS_MAX_FRAMES]; /* innermost first */
	uint64_t n_frames;
	char program[STATS_NAME_MAX + 8]; /* "": of ended processes, unknown */
};

struct stats_view_callsite {
	struct stats_view_callsite_key key;
	uint64_t connects, dialed;
	UT_hash_handle hh;
};

/* One process's share. */
struct stats_view_use {
	const struct stats_view_destination *destination;
	int64_t active, idle;
	struct stats_counts counts;
};

/* A process with a page: it lives, or was killed. Processes that ended in order are in sums only. */
struct stats_view_process {
	struct stats_view_process *next;
	uint32_t pid, uid;
	uint64_t pid_namespace;
	uint64_t began_unix_ms;
	bool is_alive;
	bool is_observing; /* HOLDLINE_MODE=observe */
	char program[STATS_NAME_MAX + 1];
	size_t n_uses;
	struct stats_view_use uses[];
};

struct stats_view_interval {
	const struct stats_view_destination *destination;
	uint64_t began_ns, ended_ns; /* CLOCK_MONOTONIC */
	bool was_kept;
};

struct stats_view {
	struct stats_view_destination *destinations; /* hash table; most connects first once sealed */
	struct stats_view_callsite *callsites;	     /* hash table; most dials first once sealed */
	struct stats_view_module *modules;	     /* hash table */
	struct stats_view_process *processes;	     /* most connects first once sealed */
	struct stats_view_interval *intervals;	     /* by beginning once sealed; old ones are lost */
	size_t n_intervals, room_intervals;
	unsigned n_folders; /* number of folders read */
	unsigned n_living;
	uint64_t n_ended;	    /* processes that ended or were killed */
	struct stats_counts totals; /* of all destinations */
	bool has_counts_only;	    /* set by the caller before pages are added: the three lists above stay empty */
	bool is_incomplete;	    /* memory ran out, or some counts could not be read */
};

enum stats_view_kind {
	STATS_VIEW_TOTAL, /* of ended processes */
	STATS_VIEW_ENDED, /* the page of a killed process */
	STATS_VIEW_LIVING,
};

void stats_view_init(struct stats_view *view);
void stats_view_fini(struct stats_view *view);

/* Adds a sound page. The page is the caller's, and may change once this has returned. */
void stats_view_add(struct stats_view *view, const struct stats_page *page, enum stats_view_kind kind);

/* Call it when all pages are added: sorts, and makes the totals. */
void stats_view_seal(struct stats_view *view);

/* The destination with the address and port of `wanted`: in its network only if that has a netns_cookie, else the one
 * with most connects of all networks. NULL: nothing was counted for it. The view is sealed. */
const struct stats_view_destination *stats_view_find(const struct stats_view *view,
						     const struct stats_destination *wanted);
