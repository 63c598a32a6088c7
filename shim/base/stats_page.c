/* See stats_page.h. */
#include "shim/base/stats_page.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "pool/base/clock.h"
#include "pool/config/config.h"
#include "pool/stats/file.h"
#include "shim/base/clock.h"
#include "shim/base/home.h"
#include "shim/base/large.h"
#include "shim/base/memory_file.h"
#include "shim/base/real.h"
#include "shim/base/symbols.h"

enum page_state {
	PAGE_PRIVATE,
	PAGE_BEGINNING, /* also for good, where a handler has left that by longjmp */
	PAGE_SHARED,
	PAGE_STAYS_PRIVATE,
};

/* A process that makes a few requests and ends has no reader, and a file costs it more than a request. */
#define FIRST_CONNECTS 4
#define FIRST_NS (20 * MILLISECOND_NS)

/* Room for what is counted meanwhile, all on one page: most processes go to one place. A stack goes through several
 * modules. */
static const uint32_t first_room[STATS_N_ARRAYS] = {3, 3, 4, 8};
static const uint32_t first_room_of_stacks[STATS_N_ARRAYS] = {4, 4, STATS_MAX_FRAMES, 8};
#define FIRST_SIZE (16u * 1024)
static LARGE _Alignas(64) char first_memory[FIRST_SIZE + 4096];
static struct stats_page *first = (struct stats_page *)first_memory; /* later where a page of memory begins */
struct stats_page *page = (struct stats_page *)first_memory;
static _Atomic(enum page_state) state = PAGE_STAYS_PRIVATE;

/* Immutable after init. */
static const char *stats_path;
static LARGE char runtime_path[PATH_MAX];
static const char *runtime = "";
static bool is_observing;

static unsigned slot;			  /* while PAGE_SHARED */
static char program_path[STATS_PATH_MAX]; /* "" until somebody can read the page */
static const struct stats_page_users *users;

/* It also ends after the destructors of libraries that were preloaded with us, whose names for these calls would
 * still come first. */
static struct stats_sys sys;

/* clang-format off */
#define CALLS(F) \
	F(openat) F(mkdir) F(close) F(fstat) F(fstatat) F(fstatfs) F(pread) F(pwrite) F(fallocate) F(flock) \
	F(unlinkat) F(mmap) F(munmap) F(kill) F(nanosleep)
/* clang-format on */
#define AS_TEXT(name) #name "\0"
#define AS_OFFSET(name) offsetof(struct stats_sys, name),

static int call_fstatat(int folder, const char *name, struct stat *status, int flags)
{
	return (int)libc.syscall(SYS_newfstatat, folder, name, status, flags);
}

static int call_nanosleep(const struct timespec *time, struct timespec *left)
{
	(void)left;
	clock_nap((uint64_t)time->tv_sec * SECOND_NS + (uint64_t)time->tv_nsec);
	return 0;
}

static int call_fallocate(int fd, int mode, off_t offset, off_t length)
{
	if (memory_file_may_have(offset + length))
		return (int)libc.syscall(SYS_fallocate, fd, mode, offset, length);
	errno = EFBIG;
	return -1;
}

/* Before the first use, which is at the end of most processes. */
static _Atomic(bool) is_bound;

static void bind_libc(void)
{
	static const char names[] = CALLS(AS_TEXT);
	static const uint16_t offsets[] = {CALLS(AS_OFFSET)};
	const struct symbols_list list = {names, offsets, sizeof(offsets) / sizeof(offsets[0])};

	_Static_assert(sizeof(sys) == sizeof(offsets) / sizeof(offsets[0]) * sizeof(void *), "each call is bound");
	if (is_bound)
		return;
	symbols_bind_libc(&list, &sys);
	/* These are there with every version of it. */
	sys.fstat = libc.fstat;
	sys.fstatat = call_fstatat;
	sys.nanosleep = call_nanosleep;
	sys.fallocate = call_fallocate;
	is_bound = true;
}

void stats_page_choose_place(char *const environment[])
{
	for (; *environment; environment++)
		if (**environment == 'X' && strncmp(*environment, "XDG_RUNTIME_DIR=", 16) == 0 &&
		    strlen(*environment + 16) < sizeof(runtime_path))
			runtime = strcpy(runtime_path, *environment + 16);
}

void stats_page_init(const struct config *config, const struct stats_page_users *all)
{
	users = all;
	page = first = (struct stats_page *)(first_memory + large_page_offset(first_memory));
	stats_init(page, config->callsites == CONFIG_CALLSITES_STACK ? first_room_of_stacks : first_room);
	stats_path = config->stats_path;
	is_observing = config->policy.mode == CONFIG_MODE_OBSERVE;
	if (strcmp(stats_path, "off") != 0)
		state = PAGE_PRIVATE;
}

static uint64_t read_clock(clockid_t clock, uint64_t unit_ns)
{
	struct timespec now;

	guard_get_time(clock, &now);
	return ((uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec) / unit_ns;
}

static _Atomic(bool) is_program_named; /* by a call site */

uint8_t stats_page_find_program(uint64_t load_address)
{
	atomic_store_explicit(&is_program_named, true, memory_order_relaxed);
	return stats_find_module(page, program_path, load_address);
}

/* Asked for when others can read it: it costs as much as a tenth of a first exchange. */
static void name_program(void)
{
	uint8_t module = stats_find_module(page, "", 0);

	if (program_path[0] || libc.readlink("/proc/self/exe", program_path, STATS_PATH_MAX - 1) < 0)
		return;
	if (module != STATS_NO_MODULE)
		memcpy(stats_module_at(page, module)->path, program_path, STATS_PATH_MAX);
}

static void describe(void)
{
	struct stat status;

	name_program();
	page->pid = (uint32_t)guard_pid();
	page->euid = libc.geteuid();
	page->pid_namespace = libc.stat("/proc/self/ns/pid", &status) == 0 ? status.st_ino : 0;
	page->began_unix_ms = read_clock(CLOCK_REALTIME, MILLISECOND_NS);
	page->began_ns = read_clock(CLOCK_MONOTONIC, 1);
	page->is_observing = is_observing;
	memcpy(page->program, program_invocation_short_name,
	       strnlen(program_invocation_short_name, sizeof(page->program)));
}

/* In the place of what a fork's child has copied. */
static bool replace(struct stats_page *former, struct stats_page *with_file)
{
	return libc.mremap(with_file, STATS_PAGE_SIZE, STATS_PAGE_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, former) !=
	       MAP_FAILED;
}

static enum page_state give_file(void)
{
	struct stats_page *former = page, *with_file = page;
	int folder, taken;

	bind_libc();
	folder = stats_file_open(&sys, stats_path, runtime, libc.geteuid());
	if (folder < 0)
		return PAGE_STAYS_PRIVATE;
	describe();
	taken = stats_file_take(&sys, folder, &with_file);
	sys.close(folder);
	if (taken < 0)
		return PAGE_STAYS_PRIVATE;
	slot = (unsigned)taken;
	if (former == first || !replace(former, with_file)) {
		page = with_file;
		users->follow(former);
	}
	return PAGE_SHARED;
}

static enum page_state try_to_begin(void)
{
	enum page_state next;

	if (!users->hold())
		return PAGE_PRIVATE;
	next = give_file();
	users->let_go();
	return next;
}

static void begin(void)
{
	enum page_state expected = PAGE_PRIVATE;
	uint64_t all = UINT64_MAX, blocked; /* as many signals as the kernel has */
	int saved = errno, cancel_state;

	if (!atomic_compare_exchange_strong(&state, &expected, PAGE_BEGINNING))
		return;
	/* A handler that leaves by longjmp would leave it half done. */
	libc.syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &blocked, sizeof(blocked));
	/* It calls cancellation points. */
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel_state);
	state = try_to_begin();
	pthread_setcancelstate(cancel_state, NULL);
	libc.syscall(SYS_rt_sigprocmask, SIG_SETMASK, &blocked, NULL, sizeof(blocked));
	errno = saved;
}

static _Atomic(unsigned) n_first; /* connects while it is private */
static uint64_t first_ns;

static bool has_room(enum stats_array array)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < page->n_max[array]; i++)
		n += stats_has(page, array, i);
	return n < page->n_max[array];
}

static bool is_young(void)
{
	return guard_now_ns() - first_ns < FIRST_NS;
}

static bool has_begun_small(void)
{
	if (!n_first)
		first_ns = guard_now_ns();
	return n_first++ < FIRST_CONNECTS && is_young() && has_room(STATS_DESTINATIONS) && has_room(STATS_CALLSITES);
}

void stats_page_look(void)
{
	if (__builtin_expect(atomic_load_explicit(&state, memory_order_relaxed) == PAGE_PRIVATE, 0) && n_first &&
	    !is_young())
		begin();
}

void stats_page_begin(void)
{
	if (__builtin_expect(atomic_load_explicit(&state, memory_order_acquire) > PAGE_BEGINNING, 1))
		return;
	if (!has_begun_small())
		begin();
}

void stats_page_make_file(void)
{
	if (state == PAGE_PRIVATE)
		begin();
}

/* Counts that have arrived in the first page since the move. */
static void gather(void)
{
	if (state == PAGE_SHARED && page != first)
		stats_move(page, first);
}

void stats_page_keep(void)
{
	if (state == PAGE_PRIVATE && n_first)
		begin();
	else
		gather();
}

static bool is_left_alone;

void stats_page_leave_alone(void)
{
	enum page_state expected = PAGE_PRIVATE;

	stats_page_keep();
	is_left_alone = true;
	atomic_compare_exchange_strong(&state, &expected, PAGE_STAYS_PRIVATE);
}

static void forget_counts(struct stats_page *of, bool keeps_gauges)
{
	for (uint32_t i = 0; i < of->n_max[STATS_DESTINATIONS]; i++) {
		struct stats_destination *destination = stats_destination_at(of, i);

		if (!stats_has(of, STATS_DESTINATIONS, i))
			continue;
		memset(&destination->counts, 0, sizeof(destination->counts));
		if (!keeps_gauges)
			destination->active = destination->idle = 0;
	}
	for (uint32_t i = 0; i < of->n_max[STATS_CALLSITES]; i++) {
		if (stats_has(of, STATS_CALLSITES, i)) {
			stats_callsite_at(of, i)->connects = 0;
			stats_callsite_at(of, i)->dialed = 0;
		}
	}
	of->n_intervals = 0;
	of->pid = 0;
}

void stats_page_after_fork(bool keeps_gauges)
{
	void *own;

	if (is_left_alone)
		return;
	/* A thread that is not here may have been about to say that it has its file. */
	if (state == PAGE_SHARED || (state == PAGE_BEGINNING && page != first)) {
		own = libc.mmap(NULL, STATS_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (own == MAP_FAILED)
			return; /* goes on in the parent's: only whose the numbers are is lost */
		memcpy(own, page, STATS_PAGE_SIZE);
		if (libc.mremap(own, STATS_PAGE_SIZE, STATS_PAGE_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, page) ==
		    MAP_FAILED)
			return;
	}
	if (state == PAGE_SHARED || state == PAGE_BEGINNING)
		state = PAGE_PRIVATE;
	n_first = 0;
	forget_counts(page, keeps_gauges);
	if (page != first)
		forget_counts(first, false);
}

/* Without a file the counts go to the total at once; if the total is locked, to a file, as a killed process leaves
 * one. */
static void add_private(int folder)
{
	struct stats_page *with_file = page;

	if (is_program_named)
		name_program();
	page->pid = (uint32_t)guard_pid();
	if (stats_file_fold_total(&sys, folder, page) == 0)
		return;
	describe();
	(void)!stats_file_take(&sys, folder, &with_file);
}

static void put_back(int folder)
{
	gather();
	/* On failure the next owner of this slot adds our counts. */
	(void)!stats_file_put(&sys, folder, slot, page);
}

/* The end of the process does it, and for less. */
static int leave_mapped(void *memory, size_t length)
{
	(void)memory;
	(void)length;
	return 0;
}

void stats_page_end(void)
{
	bool is_private = state <= PAGE_BEGINNING, is_counted = is_private ? n_first > 0 : state == PAGE_SHARED;
	int saved = errno, folder = -1;

	if (is_left_alone) {
		gather();
		return;
	}
	if (is_counted) {
		bind_libc();
		folder = stats_file_open(&sys, stats_path, runtime, libc.geteuid());
	}
	sys.munmap = leave_mapped;
	if (folder >= 0 && is_private)
		add_private(folder);
	else if (folder >= 0)
		put_back(folder);
	if (folder >= 0)
		sys.close(folder);
	state = PAGE_STAYS_PRIVATE;
	errno = saved;
}
