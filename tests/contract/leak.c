/* Many request cycles: descriptors and memory stay flat. 10,000 cycles, 100,000 with HL_HEAVY. */
#include "tests/lib/probe.h"

#include <dirent.h>

static long resident_kb(void)
{
	char line[256];
	long kb = -1;
	FILE *file = fopen("/proc/self/status", "r");

	while (fgets(line, sizeof line, file))
		if (sscanf(line, "VmRSS: %ld", &kb) == 1)
			break;
	fclose(file);
	return kb;
}

/* All descriptors, also those above the limit. */
static int count_all_fds(void)
{
	DIR *directory = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(directory))
		n++;
	closedir(directory);
	return n;
}

static void cycle(long i)
{
	static const char *const paths[] = {"/bytes/100",  "/chunked/500", "/no-length", "/204",
					    "/cut/30/fin", "/surplus",	   "/bytes/10"};
	int fd = i % 3 ? probe_dial() : probe_dial_nonblocking();
	char bytes[4096];

	if (i % 5 == 0)
		probe_ask10(fd, paths[(size_t)i % (sizeof paths / sizeof *paths) % 4 ? 0 : 3]);
	else
		probe_ask(fd, paths[(size_t)i % 50 < 6 ? (size_t)i % 50 : 6]);
	while (i % 7) {
		struct pollfd pollfd = {.fd = fd, .events = POLLIN};

		if (poll(&pollfd, 1, 5000) != 1 || read(fd, bytes, sizeof bytes) <= 0)
			break;
	}
	close(fd);
}

static void run_flat(void)
{
	long n = probe_is_heavy() ? 100000 : 10000, begin_kb, grown_kb;
	int begin_fds;

	for (long i = 0; i < n / 10; i++)
		cycle(i);
	begin_kb = resident_kb();
	begin_fds = count_all_fds();
	for (long i = 0; i < n; i++)
		cycle(i);
	grown_kb = resident_kb() - begin_kb;
	say("memory %s", grown_kb < 256 ? "flat" : "grows");
	if (grown_kb >= 256)
		say("by %ld kB", grown_kb);
	say("descriptors %s", count_all_fds() - begin_fds < 8 ? "flat" : "grow");
}

static const struct probe_case cases[] = {{"flat", run_flat}};
PROBE_MAIN(cases)
