/* See kernel.h. */
#include "tools/ports/kernel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tools/base/clock.h"

#define SYSCTL "/proc/sys/net/ipv4/"
#define TICK_MS 10
#define MANY_SOCKETS 10000

static long read_number(const char *path, long otherwise)
{
	FILE *file = fopen(path, "re");
	long number = otherwise;

	if (file && fscanf(file, "%ld", &number) != 1)
		number = otherwise;
	if (file)
		fclose(file);
	return number;
}

/* The list of a ragged set is long. */
static int read_reserved(struct ports_settings *settings)
{
	FILE *file = fopen(SYSCTL "ip_local_reserved_ports", "re");
	char *line = NULL;
	size_t room = 0;
	int error = 0;

	if (!file)
		return 0; /* older than Linux 2.6.35 */
	if (getline(&line, &room, file) > 0)
		error = ports_settings_reserve(settings, line);
	free(line);
	fclose(file);
	return error;
}

int ports_kernel_settings(struct ports_settings *settings)
{
	FILE *file = fopen(SYSCTL "ip_local_port_range", "re");
	unsigned first, last;
	int n;

	if (!file)
		return -errno;
	n = fscanf(file, "%u %u", &first, &last);
	fclose(file);
	if (n != 2 || first > last || last > UINT16_MAX)
		return -EPROTO;
	*settings = (struct ports_settings){.first = (uint16_t)first, .last = (uint16_t)last};
	settings->reuse = (int)read_number(SYSCTL "tcp_tw_reuse", 0);
	settings->reuse_delay_ms = (unsigned)read_number(SYSCTL "tcp_tw_reuse_delay", 1000);
	settings->has_timestamps = read_number(SYSCTL "tcp_timestamps", 1) != 0;
	return read_reserved(settings);
}

/* IPv4's sockets and all in TIME_WAIT of the namespace, from /proc/net/sockstat: about the sockets that a dump
 * visits. */
static unsigned estimate_sockets(void)
{
	FILE *file = fopen("/proc/net/sockstat", "re");
	unsigned n_alive = 0, n_waiting = 0;
	char line[256];

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "TCP: inuse %u orphan %*u tw %u", &n_alive, &n_waiting) == 2)
			break;
	if (file)
		fclose(file);
	return n_alive + n_waiting;
}

static int read_sockets(struct ports_sample *sample)
{
	bool is_large = estimate_sockets() > MANY_SOCKETS;
	uint32_t bound = SOCK_DIAG_STATE(SOCK_DIAG_BOUND_INACTIVE);
	uint32_t others = (SOCK_DIAG_HOLDERS | SOCK_DIAG_CONNECTIONS) & ~bound;
	int error = sock_diag_dump(is_large ? others : others | bound, ports_sample_add, sample);

	/* Sockets that are only bound cost half of the time, for few sockets: asked for only where they matter. */
	return !error && is_large && ports_sample_is_tight(sample) ? sock_diag_dump(bound, ports_sample_add, sample)
								   : error;
}

int ports_kernel_sample(struct ports_sample *sample, const struct ports_sample *before)
{
	uint64_t start_ns = clock_now_ns(CLOCK_MONOTONIC);
	struct ports_settings settings;
	int error = ports_kernel_settings(&settings);

	if (error)
		return error;
	ports_sample_init(sample, &settings, before ? (unsigned)((start_ns - before->taken_ns) / MILLISECOND_NS) : 0);
	sample->taken_ns = start_ns;
	error = ports_kernel_dials(&sample->n_dials);
	if (!error)
		error = read_sockets(sample);
	if (error) {
		ports_sample_fini(sample);
		return error;
	}
	ports_sample_seal(sample);
	if (before)
		ports_sample_compare(sample, before);
	return 0;
}

/* The value of `name`: /proc has a line of names and below it a line of values for each protocol. */
static int find_column(const char *names, const char *numbers, const char *name, uint64_t *value)
{
	size_t length = strlen(name);

	while (*names && *numbers) {
		if (strncmp(names, name, length) == 0 && (names[length] == ' ' || names[length] == '\n')) {
			*value = strtoull(numbers, NULL, 10);
			return 0;
		}
		names += strcspn(names, " ");
		names += strspn(names, " ");
		numbers += strcspn(numbers, " ");
		numbers += strspn(numbers, " ");
	}
	return -EPROTO;
}

int ports_kernel_dials(uint64_t *n_dials)
{
	FILE *file = fopen("/proc/net/snmp", "re");
	char names[1024], numbers[1024];
	int error = -EPROTO;

	if (!file)
		return -errno;
	while (error && fgets(names, sizeof(names), file) && fgets(numbers, sizeof(numbers), file))
		if (strncmp(names, "Tcp:", 4) == 0)
			error = find_column(names, numbers, "ActiveOpens", n_dials);
	fclose(file);
	return error;
}

int ports_kernel_watch(unsigned window_ms, struct ports_pace *pace)
{
	static const struct timespec tick = {.tv_nsec = TICK_MS * MILLISECOND_NS};
	uint64_t begin_ns = clock_now_ns(CLOCK_MONOTONIC), at_begin, seen, n;
	int error = ports_kernel_dials(&at_begin);

	*pace = (struct ports_pace){.first_s = -1};
	seen = at_begin;
	while (!error && pace->seconds * 1000 < window_ms) {
		bool was_interrupted = nanosleep(&tick, NULL) != 0;

		error = ports_kernel_dials(&n);
		pace->seconds = (double)(clock_now_ns(CLOCK_MONOTONIC) - begin_ns) / SECOND_NS;
		if (!error && n != seen) {
			pace->last_s = pace->seconds;
			pace->first_s = pace->first_s < 0 ? pace->seconds : pace->first_s;
			seen = n;
		}
		if (was_interrupted)
			break;
	}
	pace->n_dials = seen - at_begin;
	return error;
}
