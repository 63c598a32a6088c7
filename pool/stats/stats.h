/*
 * The counters: one page of memory per process, with counts per destination and per call site. Others read it while
 * it is written.
 *
 * A page is a header and four arrays (destinations, call sites, modules, intervals), all at offsets that follow from
 * the numbers in its header. A process's page and the total of ended processes have the same layout. Numbers only grow,
 * but for the gauges. Writers use relaxed atomic adds and never wait; entries are claimed by compare-and-swap and never
 * given back. Async-signal-safe, thread-safe, no allocation. A reader takes a copy and checks it with stats_is_sound()
 * first: anybody may have written the file.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pool/conn/refusal.h"

struct destination_key;

extern const char *const stats_refusal_names[REFUSAL_COUNT];

/* Per destination. Names: stats_counter_names. */
enum stats_counter {
	STATS_CONNECTS,	  /* connect() calls of the program for a TCP connection */
	STATS_DIALED,	  /* new connections that were established, for whatever reason */
	STATS_ABANDONED,  /* dials that the program gave up before they were established */
	STATS_LEASED,	  /* kept connections given out, even if they then turned out unfit */
	STATS_REUSED,	  /* connects that a kept connection served to the end */
	STATS_BORROWED,	  /* kept connections that came from other processes */
	STATS_PARKED,	  /* connections put away for later */
	STATS_REPLAYED,	  /* requests sent again because their kept connection had died */
	STATS_REUSABLE,	  /* would have been parked, in observe mode; or, without, with --tls=reuse */
	STATS_PORT_WAITS, /* connects that met EADDRNOTAVAIL and waited for a port */
	STATS_N_COUNTERS
};

extern const char *const stats_counter_names[STATS_N_COUNTERS];

/* Failed dials by errno; the last entry counts all other errors (0). */
#define STATS_N_ERRORS 9
extern const int stats_errors[STATS_N_ERRORS];
extern const char *const stats_error_names[STATS_N_ERRORS];

/* How long successful dials took: bucket i counts those up to 16 us << i, the last one all others. A non-blocking dial
 * counts until the program first uses or asks for the connection: an upper bound. */
#define STATS_N_DIAL_TIMES 20
#define STATS_DIAL_TIME_NS(bucket) (UINT64_C(16000) << (bucket))

/* All members are uint64_t: pages are added up as arrays. Atomic access while others write. */
struct stats_counts {
	uint64_t counter[STATS_N_COUNTERS];
	uint64_t failed[STATS_N_ERRORS];
	uint64_t refused[REFUSAL_COUNT];
	uint64_t dial_times[STATS_N_DIAL_TIMES];
	uint64_t dial_time_ns; /* sum of all dials */
};

/* Address, port and network: what a person calls a destination, whatever options its connections have. */
struct stats_destination {
	uint64_t netns_cookie;
	uint8_t address[16];
	uint32_t scope_id;
	uint16_t family; /* AF_INET, AF_INET6; 0: all destinations without an entry */
	uint16_t port;	 /* network order */
	int64_t active;	 /* gauges: open and in use by the program, */
	int64_t idle;	 /* ... and kept for later */
	struct stats_counts counts;
};

/* Where a program calls connect(): the return address; with HOLDLINE_CALLSITES=stack, those of its callers too. */
#define STATS_MAX_FRAMES 16
#define STATS_NO_MODULE 255

struct stats_callsite {
	uint32_t destination; /* index */
	uint32_t n_frames;
	uint64_t connects;
	uint64_t dialed;
	uint64_t offset[STATS_MAX_FRAMES]; /* ELF virtual addresses in their modules, innermost first */
	uint8_t module[STATS_MAX_FRAMES];  /* index, or STATS_NO_MODULE: then the offset is an address */
};

/* A file from which code was loaded. */
#define STATS_PATH_MAX 184
struct stats_module {
	uint64_t load_address; /* meaningful in a process's page only */
	char path[STATS_PATH_MAX];
};

/* One use of a connection by the program: from connect() to close(). */
struct stats_interval {
	uint64_t number;	     /* 1 + number of earlier intervals; 0 while it is being written */
	uint64_t began_ns, ended_ns; /* CLOCK_MONOTONIC */
	uint32_t destination;	     /* index */
	uint32_t was_kept;	     /* 1: it was parked, or (observe mode) would have been */
};

/* Programs with an older library go on counting after an upgrade, and their folder outlives them. So another counter,
 * reason, error or order of them is another version. */
#define STATS_MAGIC "HOLDSTAT"
#define STATS_VERSION 4
#define STATS_NAME_MAX 16

struct stats_page {
	char magic[8];
	uint32_t version;
	uint32_t generation;  /* of a total: odd while a page is being added */
	uint32_t n_max[4];    /* room of the arrays, see enum stats_array */
	uint64_t n_intervals; /* ever written: the array is a ring */
	uint32_t pid;	      /* the owner's; 0: none, the numbers are in the total */
	uint32_t euid;
	uint64_t pid_namespace; /* inode of /proc/self/ns/pid: pids of other namespaces mean nothing here */
	uint64_t began_unix_ms; /* CLOCK_REALTIME at the page's beginning */
	uint64_t began_ns;	/* CLOCK_MONOTONIC, likewise */
	uint64_t n_ended;	/* of a total: number of processes added */
	char program[STATS_NAME_MAX];
	uint32_t is_observing;
	uint32_t reserved[23]; /* 0 */
};

_Static_assert(sizeof(struct stats_page) == 192, "the layout is read by other versions");

/* The arrays behind the header, in this order. Hashes come first: one uint32_t for each destination, call site and
 * module; 0: free, 1: being filled. */
enum stats_array { STATS_DESTINATIONS, STATS_CALLSITES, STATS_MODULES, STATS_INTERVALS, STATS_N_ARRAYS };

/* Room of a process's page, and of a total. */
#define STATS_PAGE_SIZE 65536
#define STATS_PAGE_ROOM         \
	{                       \
		69, 56, 16, 256 \
	}
#define STATS_TOTAL_ROOM           \
	{                          \
		480, 384, 64, 1024 \
	}

/* Where an array begins in a page with such room, in bytes; STATS_N_ARRAYS: where the last one ends. */
size_t stats_offset(const uint32_t n_max[STATS_N_ARRAYS], int array);

/* Size in bytes of a page with such room. */
size_t stats_size(const uint32_t n_max[STATS_N_ARRAYS]);

/* Makes an empty page: magic, version, room, and destination 0 for those without an entry. The memory must be
 * zeroed. */
void stats_init(struct stats_page *page, const uint32_t n_max[STATS_N_ARRAYS]);

/* True if `length` bytes hold a page of this version whose numbers all fit: then the functions below stay inside it. */
bool stats_is_sound(const struct stats_page *page, size_t length);

/* Entries by index; in a sound page every index below n_max may be read. */
struct stats_destination *stats_destination_at(const struct stats_page *page, uint32_t index);
struct stats_callsite *stats_callsite_at(const struct stats_page *page, uint32_t index);
struct stats_module *stats_module_at(const struct stats_page *page, uint32_t index);
struct stats_interval *stats_interval_at(const struct stats_page *page, uint32_t index);

/* False for an entry that is free, or still being filled (not for intervals, which have numbers). */
bool stats_has(const struct stats_page *page, enum stats_array array, uint32_t index);

/* The entry of a destination, claimed if it is new; entry 0 if there is no room. Never NULL. */
struct stats_destination *stats_find(struct stats_page *page, const struct destination_key *key);

/* The same for a destination of another page. */
struct stats_destination *stats_find_same(struct stats_page *page, const struct stats_destination *wanted);

uint32_t stats_index_of(const struct stats_page *page, const struct stats_destination *destination);

/* Compares all members that identify a destination. */
bool stats_is_same_destination(const struct stats_destination *one, const struct stats_destination *other);

/* The entry of a call site of that destination; NULL if there is no room. `offset` and `module` as in the entry. */
struct stats_callsite *stats_find_callsite(struct stats_page *page, const struct stats_callsite *wanted);

/* The index of a module, claimed if it is new; STATS_NO_MODULE if there is no room or the path is too long. */
uint8_t stats_find_module(struct stats_page *page, const char *path, uint64_t load_address);

/* Adds one; NULL: not counted. */
static inline void stats_add(uint64_t *number, uint64_t amount)
{
	__atomic_fetch_add(number, amount, __ATOMIC_RELAXED);
}

static inline void stats_gauge(int64_t *gauge, int64_t change)
{
	__atomic_fetch_add(gauge, change, __ATOMIC_RELAXED);
}

static inline void stats_count(struct stats_destination *destination, enum stats_counter counter)
{
	if (destination)
		stats_add(&destination->counts.counter[counter], 1);
}

static inline void stats_refuse(struct stats_destination *destination, enum refusal why)
{
	if (destination)
		stats_add(&destination->counts.refused[why], 1);
}

/* Counts a dial that took this long, or failed with errno `error`. */
void stats_count_dial(struct stats_destination *destination, uint64_t duration_ns);
void stats_count_failure(struct stats_destination *destination, int error);

void stats_add_interval(struct stats_page *page, const struct stats_destination *destination, uint64_t began_ns,
			uint64_t ended_ns, bool was_kept);

/* Adds counts, field by field; others may write to `to` meanwhile. */
void stats_add_counts(struct stats_counts *to, const struct stats_counts *from);

/* Moves what a page without a writer has counted to a total, call sites and intervals too, but not the gauges. The page
 * is nobody's after that. Who is killed amid it has counted nothing twice. */
void stats_fold(struct stats_page *total, struct stats_page *page);

/* Moves what a process has counted so far to another page of its own, with the gauges. Counts that arrive in the former
 * page meanwhile stay there until another call moves them. */
void stats_move(struct stats_page *to, struct stats_page *from);

/* Where a call site of the former page is in the latter; NULL if there is no room. */
struct stats_callsite *stats_find_moved(struct stats_page *to, const struct stats_page *from,
					const struct stats_callsite *callsite);

/* Adds up the counts of all destinations. */
void stats_sum(const struct stats_page *page, struct stats_counts *sum);
