/* See log.h. */
#include "shim/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pool/base/path_trust.h"
#include "pool/conn/destination.h"
#include "pool/stats/stats.h"
#include "shim/base/fdtable.h"
#include "shim/base/home.h"
#include "shim/base/real.h"

#define LINE_SIZE 512

struct line {
	char text[LINE_SIZE];
	size_t length;
};

static _Atomic(int) fd = -1;

/* Others may be able to put things at its path. */
void log_open(const char *path)
{
	int low = path[0] ? libc.open(path, PATH_TRUST_LOG_FLAGS, 0600) : -1;
	struct stat status;

	if (low >= 0 && libc.fstat(low, &status) == 0 && path_trust_is_log(&status))
		fd = fdtable_move_high(low);
	else if (low >= 0)
		real.close(low);
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

static void write_line(struct line *line)
{
	int error = errno;

	if (line->length == LINE_SIZE)
		line->length--;
	line->text[line->length++] = '\n';
	/* A full disk loses the line, nothing else. */
	if (real.write(fd, line->text, line->length) < 0)
		errno = error;
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
