/* Who makes a socket, and in which network: threads can differ in both from each other, and change them by number. */
#include "tests/lib/probe.h"

#include <pthread.h>
#include <sched.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define NOBODY 65534u
#define NOBODY_CHANGES ((uid_t)-1)

/* The user that a socket's file belongs to is the one that firewalls go by (iptables-extensions(8), owner). */
static void exchange(const char *what)
{
	struct stat made = {0}, connected = {0};
	int fd = probe_socket();

	fstat(fd, &made);
	if (connect(fd, (struct sockaddr *)&probe_server, sizeof probe_server)) {
		say("%s: %s", what, error_name(errno));
		close(fd);
		return;
	}
	fstat(fd, &connected);
	say("%s: made by %u, connected by %u", what, made.st_uid, connected.st_uid);
	probe_ask(fd, "/bytes/10");
	probe_drain(fd);
	close(fd);
}

static void in_a_thread(void *(*run)(void *))
{
	pthread_t thread;

	exchange("before");
	exchange("before");
	pthread_create(&thread, NULL, run, NULL);
	pthread_join(thread, NULL);
	exchange("behind");
}

static void *be_another_user(void *unused)
{
	(void)unused;
	CALL(syscall(SYS_setresuid, NOBODY_CHANGES, NOBODY, NOBODY_CHANGES));
	exchange("another user");
	exchange("another user");
	return NULL;
}

static void run_user_by_number(void)
{
	in_a_thread(be_another_user);
}

static void *be_elsewhere(void *unused)
{
	(void)unused;
	CALL(syscall(SYS_unshare, CLONE_NEWNET));
	exchange("elsewhere");
	return NULL;
}

static void run_network_by_number(void)
{
	in_a_thread(be_elsewhere);
}

/* A child that is made in another network, or as another user, has nothing of its parent's. */
static void run_child_elsewhere(void)
{
	static const unsigned long flags[] = {CLONE_NEWNET, CLONE_NEWUSER};

	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
		long child;
		int status;

		exchange("before");
		exchange("before");
		child = syscall(SYS_clone, flags[i] | SIGCHLD, 0, 0, 0, 0);
		if (!child) {
			exchange("elsewhere");
			exchange("elsewhere");
			_exit(0);
		}
		CALL(waitpid((pid_t)child, &status, 0) > 0);
		exchange("behind");
	}
}

static void run_user_of_files(void)
{
	for (int by_number = 0; by_number < 2; by_number++) {
		exchange("before");
		exchange("before");
		CALL(by_number ? syscall(SYS_setfsuid, NOBODY) : setfsuid(NOBODY));
		exchange("another user");
		CALL(by_number ? syscall(SYS_setfsuid, geteuid()) : setfsuid(geteuid()));
		exchange("behind");
	}
}

static const struct probe_case cases[] = {
	{"user-by-number", run_user_by_number},
	{"network-by-number", run_network_by_number},
	{"child-elsewhere", run_child_elsewhere},
	{"user-of-files", run_user_of_files},
};
PROBE_MAIN(cases)
