/* Network use in constructors and destructors: before the shim is ready, and after it may have gone. */
#include "tests/lib/probe.h"

extern int early_bytes, early_kept_fd;
static bool late;

/* The library's constructor needs the port in its environment, so the program executes itself again. */
static void run_early(void)
{
	char port[16];

	snprintf(port, sizeof port, "%d", probe_port);
	if (!getenv("EARLY_PORT")) {
		char *arguments[] = {(char *)"constructor", port, (char *)"early", (char *)"miss", NULL};

		setenv("EARLY_PORT", port, 1);
		if (fork() == 0) {
			execv("/proc/self/exe", arguments);
			_exit(127);
		}
		wait(NULL);
		unsetenv("EARLY_PORT");
		return;
	}
	say("early: %d bytes, kept fd %d", early_bytes, early_kept_fd);
	probe_drain(early_kept_fd);
	probe_poll("end", early_kept_fd, POLLIN | POLLOUT | POLLRDHUP, 100);
	CALL(close(early_kept_fd));
	probe_exchange("/bytes/10");
	say("fd %d", probe_dial());
}

static void exchange_late(void)
{
	int fd;

	if (!late)
		return;
	fd = probe_dial();
	probe_ask(fd, "/bytes/10");
	probe_drain(fd);
	CALL(close(fd));
}

__attribute__((destructor)) static void at_destruction(void)
{
	exchange_late();
}

static void run_late(void)
{
	late = true;
	atexit(exchange_late);
}

static const struct probe_case cases[] = {{"early", run_early}, {"late", run_late}};
PROBE_MAIN(cases)
