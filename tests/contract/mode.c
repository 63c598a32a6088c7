/* HOLDLINE_MODE=off: every request is the first one of its connection, the same as bare. */
#include "tests/lib/probe.h"

static void print_who(void)
{
	char bytes[1000];
	long n, total = 0;
	int fd = probe_dial();

	probe_ask(fd, "/who");
	while ((n = read(fd, bytes + total, sizeof bytes - 1 - (size_t)total)) > 0)
		total += n;
	bytes[total] = 0;
	say("%s", strstr(bytes, "request ") ? strtok(strstr(bytes, "request "), "\n") : "nothing");
	close(fd);
}

static void run_off(void)
{
	char port[16];
	char *arguments[] = {(char *)"mode", port, (char *)"off", (char *)"miss", NULL};

	if (!getenv("HOLDLINE_MODE") && fork() == 0) {
		snprintf(port, sizeof port, "%d", probe_port);
		setenv("HOLDLINE_MODE", "off", 1);
		execv("/proc/self/exe", arguments);
		_exit(127);
	}
	if (!getenv("HOLDLINE_MODE")) {
		wait(NULL);
		return;
	}
	for (int i = 0; i < 3; i++)
		print_who();
}

static const struct probe_case cases[] = {{"off", run_off}};
PROBE_MAIN(cases)
