/*
 * holdline broker: the broker in the foreground, for a service manager or as `holdline run` starts it.
 */
#include "tools/commands.h"

#include <errno.h>
#include <getopt.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tools/base/cli.h"
#include "tools/broker/board_file.h"
#include "tools/broker/listen.h"
#include "tools/broker/loop.h"
#include "tools/broker/path.h"
#include "tools/broker/sandbox.h"

/* Could processes of this user duplicate descriptors of this one (pidfd_getfd(2), Linux 5.6)? A filter that it has its
 * programs have too, and may end a process for trying. From its second level on Yama lets nobody (the kernel's
 * Documentation/admin-guide/LSM/Yama.rst). */
static bool can_have_shelf(void)
{
	FILE *file;
	int level;

	if (prctl(PR_GET_SECCOMP) != SECCOMP_MODE_DISABLED ||
	    (syscall(SYS_pidfd_getfd, -1, -1, 0) < 0 && errno == ENOSYS))
		return false;
	file = fopen("/proc/sys/kernel/yama/ptrace_scope", "re");
	level = file ? getc(file) : EOF;
	if (file)
		fclose(file);
	return level <= '1';
}

static int serve_at(const char *path, bool ends_when_idle, bool is_detached)
{
	struct broker_listen place;
	struct broker_board *board;
	char board_path[BROKER_BOARD_FILE_MAX];
	int error;

	umask(077);
	/* A process started via /proc/self/exe would be called "exe". */
	prctl(PR_SET_NAME, "holdline");
	error = broker_listen_begin(&place, path);

	if (error == -EADDRINUSE) {
		if (!is_detached)
			fprintf(stderr, "holdline broker: %s: another broker is there\n", path);
		return EXIT_CANNOT;
	}
	if (!error)
		error = broker_loop_prepare(place.fd, ends_when_idle);
	if (error) {
		fprintf(stderr, "holdline broker: %s: %s\n", path, strerror(-error));
		return EXIT_CANNOT;
	}
	board = broker_board_file_make(place.fd, board_path);
	if (board)
		broker_loop_use_board(board, can_have_shelf());
	broker_listen_tell_ready(is_detached);
	/* A kernel or container without seccomp is no reason not to serve: `holdline status` reports it. */
	error = broker_sandbox_enter(place.lock < 0 ? NULL : path, board ? board_path : NULL);
	if (error && !is_detached)
		fprintf(stderr, "holdline broker: without its filter of system calls: %s\n", strerror(-error));
	broker_loop_run();
	broker_listen_end(&place);
	return 0;
}

static const struct cli cli = {
	"broker",
	"usage: holdline broker [--exit-when-idle] [SOCKET]\n\n"
	"Keeps idle connections for all programs of this user that are run by `holdline run`, which starts a\n"
	"broker itself where there is none. Runs in the foreground, for a service manager: takes a listening\n"
	"socket from systemd (LISTEN_FDS) or listens at SOCKET, by default in $XDG_RUNTIME_DIR/holdline or\n"
	"/tmp/holdline-UID; tells NOTIFY_SOCKET when it is ready; ends at SIGTERM.\n\n"
	"  --exit-when-idle\n      End when nothing is held and nobody is connected, nor any run goes on.\n\n"
	"Exit status: 0 when told to end; 1: it can't listen, or another broker does; 2: bad arguments.\n",
	EXIT_USAGE};

int command_broker(int argc, char **argv)
{
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	bool is_detached = false, ends_when_idle = false;
	const struct cli_option options[] = {
		{"exit-when-idle", 0, CLI_SWITCH, &ends_when_idle}, {"detached", 0, CLI_SWITCH, &is_detached}, {0}};
	int status, error;

	if (!cli_parse(&cli, options, argc, argv, &status))
		return status;
	ends_when_idle |= is_detached;
	if (argc - optind > 1)
		return cli_print_usage(&cli);
	if (optind < argc)
		return serve_at(argv[optind], ends_when_idle, is_detached);
	error = broker_path_find(path);
	return error ? cli_complain(cli.command, "no folder for its socket", -error)
		     : serve_at(path, ends_when_idle, is_detached);
}
