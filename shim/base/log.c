/* See log.h. */
#include "shim/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pool/base/path_trust.h"
#include "pool/conn/destination.h"
#include "pool/stats/stats.h"
#include "shim/base/clock.h"
#include "shim/base/fdtable.h"
#include "shim/base/home.h"
#include "shim/base/memory_file.h"
#include "shim/base/real.h"

#define LINE_SIZE 512

struct line {
	char text[LINE_SIZE];
	size_t length;
};

#define LOOK_INTERVAL_NS 1000000000u

static _Atomic(int) fd = -1;
static const char *place;	       /* the file's path; immutable after init, as the next two are */
static uid_t opener;		       /* its user */
static struct stat opener_root;	       /* and root folder */
static _Atomic(unsigned) n_writing;    /* threads that may have read `fd` */
static _Atomic(uint64_t) next_look_ns; /* at whether the file is still there */
static _Atomic(bool) is_left_alone;    /* there are no more looks */

/* Others may be able to put things at its path. -1: there is nothing to write to. */
static int open_file(int more_flags)
{
	int low = libc.open(place, (PATH_TRUST_LOG_FLAGS & ~O_CREAT) | more_flags, 0600);
	struct stat status;

	if (low < 0)
		return -1;
	if (libc.fstat(low, &status) == 0 && path_trust_is_log(&status))
		return fdtable_move_high(low);
	real.close(low);
	return -1;
}

void log_open(const char *path)
{
	if (!path[0])
		return;
	place = path;
	/* The program may have changed its working directory by the next look. */
	is_left_alone = path[0] != '/';
	opener = libc.geteuid();
	if (libc.stat("/", &opener_root) != 0)
		opener_root = (struct stat){0};
	fd = open_file(O_CREAT);
}

static bool is_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* The path may have become that of another file, where the program has changed its user or its root. Then no new file
 * is made; one that is there is taken. */
static bool may_create(void)
{
	struct stat root;

	return libc.geteuid() == opener && libc.stat("/", &root) == 0 && is_same_file(&root, &opener_root);
}

/* The file was moved away, or another one is in its place. Whoever reads `fd` from now on gets the new one; the old one
 * is closed if nobody is about to write to it, and else left open: its number might then be another file's. */
static void reopen(int old)
{
	int new = open_file(may_create() ? O_CREAT : 0);

	if (new < 0)
		return;
	if (!atomic_compare_exchange_strong(&fd, &old, new))
		fdtable_close_internal(new);
	else if (atomic_load(&n_writing) == 0)
		fdtable_close_internal(old);
}

/* Log files are rotated: once a second at most, the path is compared with the open file. */
static void look_after_file(void)
{
	uint64_t now = guard_now_ns(), next = atomic_load_explicit(&next_look_ns, memory_order_relaxed);
	struct stat open_one, named;
	int old = fd;

	if (atomic_load_explicit(&is_left_alone, memory_order_relaxed))
		return;
	if (now < next || !atomic_compare_exchange_strong(&next_look_ns, &next, now + LOOK_INTERVAL_NS))
		return;
	if (libc.fstat(old, &open_one) != 0 || !S_ISREG(open_one.st_mode))
		return;
	if (libc.stat(place, &named) == 0 ? !is_same_file(&open_one, &named) : errno == ENOENT)
		reopen(old);
}

void log_leave_alone(void)
{
	atomic_store(&is_left_alone, true);
}

int log_fd(void)
{
	return fd;
}

void log_move(int from)
{
	if (fd == from)
		fd = fdtable_dup_high(from);
}

static void add_text(struct line *line, const char *text)
{
	size_t length = strnlen(text, LINE_SIZE - line->length);

	memcpy(line->text + line->length, text, length);
	line->length += length;
}

static void add_number(struct line *line, uint64_t number, unsigned base)
{
	char digits[24];
	size_t at = sizeof(digits) - 1;

	digits[at] = '\0';
	do {
		digits[--at] = "0123456789abcdef"[number % base];
		number /= base;
	} while (number);
	add_text(line, digits + at);
}

static void add_address(struct line *line, const struct destination_key *key)
{
	if (key->family == AF_INET) {
		for (int i = 0; i < 4; i++) {
			add_text(line, i ? "." : "");
			add_number(line, key->address[i], 10);
		}
	} else {
		for (int i = 0; i < 16; i += 2) {
			add_text(line, i ? ":" : "[");
			add_number(line, (uint64_t)key->address[i] << 8 | key->address[i + 1], 16);
		}
		add_text(line, "]");
	}
	add_text(line, ":");
	add_number(line, (uint64_t)ntohs(key->port), 10);
}

static bool has_room_for(size_t length)
{
	struct stat status;

	return memory_file_may_have(LONG_MAX) ||
	       (libc.fstat(fd, &status) == 0 && memory_file_may_have((long)status.st_size + (long)length));
}

static void write_line(struct line *line)
{
	int error = errno;

	if (line->length == LINE_SIZE)
		line->length--;
	line->text[line->length++] = '\n';
	look_after_file();
	atomic_fetch_add(&n_writing, 1);
	/* A full disk loses the line, nothing else, and so does a file that may not be longer. */
	if (has_room_for(line->length) && real.write(fd, line->text, line->length) < 0)
		errno = error;
	atomic_fetch_sub(&n_writing, 1);
	errno = error;
}

static void add_counter(struct line *line, const char *name, uint64_t value)
{
	if (!value)
		return;
	add_text(line, " ");
	add_text(line, name);
	add_text(line, "=");
	add_number(line, value, 10);
}

void log_stats(const struct stats_counts *counts)
{
	struct line line = {.length = 0};

	if (fd < 0)
		return;
	add_number(&line, (uint64_t)guard_pid(), 10);
	add_text(&line, " total");
	for (int i = 0; i < STATS_N_COUNTERS; i++)
		add_counter(&line, stats_counter_names[i], counts->counter[i]);
	for (int i = 0; i < STATS_N_ERRORS; i++)
		add_counter(&line, stats_error_names[i], counts->failed[i]);
	for (int why = REFUSAL_NONE + 1; why < REFUSAL_COUNT; why++)
		add_counter(&line, stats_refusal_names[why], counts->refused[why]);
	write_line(&line);
}

/* Apart, so that nothing is prepared where there is no log. */
__attribute__((noinline)) static void write_event(const char *what, const struct destination_key *key, int socket_fd,
						  const char *why)
{
	struct line line = {.length = 0};

	add_number(&line, (uint64_t)guard_pid(), 10);
	add_text(&line, " ");
	add_text(&line, what);
	if (key->port) {
		add_text(&line, " ");
		add_address(&line, key);
	}
	if (socket_fd >= 0) {
		add_text(&line, " fd=");
		add_number(&line, (uint64_t)socket_fd, 10);
	}
	if (why) {
		add_text(&line, " ");
		add_text(&line, why);
	}
	write_line(&line);
}

void log_write(const char *what, const struct destination_key *key, int socket_fd, const char *why)
{
	if (fd >= 0)
		write_event(what, key, socket_fd, why);
}
