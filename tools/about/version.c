/*
 * holdline version: the number, and for bug reports how the command was built and what it finds on this machine.
 */
#include "tools/about/version.h"

#include <errno.h>
#include <getopt.h>
#include <gnu/libc-version.h>
#include <limits.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "pool/base/kernel.h"
#include "tools/base/cli.h"
#include "tools/base/library.h"
#include "tools/base/version.h"
#include "tools/commands.h"
#include "tools/program/preload.h"

static const struct cli cli = {
	"version",
	"usage: holdline version [--verbose]\n\n"
	"Prints the version.\n\n"
	"  --verbose   also how it was built, where its library is, and what this machine offers\n",
	EXIT_USAGE};

static void print_build(void)
{
	printf("built: %s, by %s, for glibc %d.%d\n", *HOLDLINE_MULTIARCH ? HOLDLINE_MULTIARCH : "unknown machine",
#ifdef __clang__
	       "clang " __clang_version__,
#else
	       "gcc " __VERSION__,
#endif
	       __GLIBC__, __GLIBC_MINOR__);
}

static void print_machine(void)
{
	struct utsname system;

	printf("libc: glibc %s\n", gnu_get_libc_version());
	if (uname(&system) == 0)
		printf("kernel: %s %s %s\n", system.sysname, system.release, system.machine);
}

static void print_library(void)
{
	char path[PATH_MAX];
	int error = preload_find_library(path);

	if (error == -EINVAL)
		printf("library: %s (LD_PRELOAD can't name a path with a blank, colon or $)\n", path);
	else
		printf("library: %s\n", error ? "not found" : path);
}

/* The relay needs notifications of system calls, Linux 5.5 (seccomp(2)). */
static bool has_seccomp_notify(void)
{
	unsigned action = SECCOMP_RET_USER_NOTIF;

	return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

/* Connections are shared within a network namespace, which Linux 5.14 names. */
static bool has_netns_cookie(void)
{
	unsigned long long cookie;
	socklen_t length = sizeof(cookie);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool has = fd >= 0 && getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &length) == 0;

	if (fd >= 0)
		close(fd);
	return has;
}

static const char *say(bool has)
{
	return has ? "yes" : "no";
}

static void print_features(void)
{
	static const struct {
		const char *soname, *purpose;
	} libraries[] = {{"libmicrohttpd.so.12", "holdline metrics --listen"},
			 {"libdw.so.1", "lines of code in reports"},
			 {"libssl.so.3", "--tls=reuse"},
			 {"libgnutls.so.30", "--tls=reuse"}};

	printf("seccomp notifications (the relay): %s\n", say(has_seccomp_notify()));
	printf("network namespaces are told apart: %s\n", say(has_netns_cookie()));
	for (size_t i = 0; i < sizeof(libraries) / sizeof(libraries[0]); i++)
		printf("%s (%s): %s\n", libraries[i].soname, libraries[i].purpose,
		       say(library_load(libraries[i].soname, NULL, 0) == 0));
}

void version_print_verbose(void)
{
	puts("holdline " HOLDLINE_VERSION);
	print_build();
	print_machine();
	print_library();
	print_features();
}

int command_version(int argc, char **argv)
{
	bool is_verbose = false;
	const struct cli_option options[] = {{"verbose", 'v', CLI_SWITCH, &is_verbose}, {0}};
	int status;

	if (!cli_parse(&cli, options, argc, argv, &status))
		return status;
	if (optind != argc)
		return cli_print_usage(&cli);
	if (is_verbose)
		version_print_verbose();
	else
		puts("holdline " HOLDLINE_VERSION);
	return 0;
}
