/* The broker's sandbox: forbidden calls, tried in a child that has entered it. */
#include "tools/broker/sandbox.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

Suite *broker_sandbox_suite(void);

static char path[64], other[80], board[80];
static int tcp;

/* Each of these must end with exit status 0: the call was refused with ENOSYS. */
static int refused(long result)
{
	return result == -1 && errno == ENOSYS ? 0 : 1;
}

static int open_to_write(void)
{
	return refused(open(other, O_WRONLY | O_CREAT, 0600));
}

static int open_to_read(void)
{
	return refused(open("/etc/passwd", O_RDONLY));
}

static int make_socket(void)
{
	return refused(socket(AF_INET, SOCK_STREAM, 0));
}

static int connect_elsewhere(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(1)};

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return refused(connect(tcp, (struct sockaddr *)&address, sizeof(address)));
}

/* TCP Fast Open: sending that connects. */
static int connect_by_sending(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(1)};
	struct iovec bytes = {"x", 1};
	struct msghdr message = {
		.msg_name = &address, .msg_namelen = sizeof(address), .msg_iov = &bytes, .msg_iovlen = 1};

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return refused(sendmsg(tcp, &message, MSG_FASTOPEN | MSG_NOSIGNAL));
}

/* The filter lets only so few bytes pass that they are no address. */
static int connect_shortly(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(1)};

	return connect(tcp, (struct sockaddr *)&address, sizeof(sa_family_t)) == -1 && errno == EINVAL ? 0 : 1;
}

static int disconnect_passes(void)
{
	sa_family_t family = AF_UNSPEC;

	return connect(tcp, (struct sockaddr *)&family, sizeof(family));
}

static int look_passes(void)
{
	return getpriority(PRIO_PGRP, 0) == -1;
}

static int map_code(void)
{
	void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return refused(memory == MAP_FAILED ? -1 : 0);
}

static int make_code(void)
{
	return refused(mprotect((void *)((uintptr_t)other & ~4095ul), 4096, PROT_READ | PROT_EXEC));
}

static int map_over(void)
{
	void *memory = mmap((void *)((uintptr_t)other & ~4095ul), 4096, PROT_READ,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	return refused(memory == MAP_FAILED ? -1 : 0);
}

static int remove_another(void)
{
	return refused(unlink(other)) || refused(unlinkat(AT_FDCWD, other, 0)) || access(other, F_OK) == 0;
}

static int remove_own(void)
{
	broker_sandbox_remove();
	return 0;
}

static int write_to_socket(void)
{
	return refused(write(tcp, "x", 1));
}

static int set_another_option(void)
{
	int one = 1;

	return refused(setsockopt(tcp, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)));
}

static int signal_others(void)
{
	return refused(kill(getppid(), 0));
}

static int gain_nothing(void)
{
	return refused(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
}

static int execute(void)
{
	execl("/bin/true", "true", NULL);
	return 2;
}

static int multiply(void)
{
	return fork() == 0 ? 0 : 2;
}

static int trace(void)
{
	ptrace(PTRACE_ATTACH, getppid(), NULL, NULL);
	return 2;
}

static const struct {
	const char *name;
	int (*attempt)(void);
	bool kills;
} ATTEMPTS[] = {
	{"open for writing", open_to_write, false},
	{"open for reading", open_to_read, false},
	{"a new socket", make_socket, false},
	{"connect", connect_elsewhere, false},
	{"connect by sending", connect_by_sending, false},
	{"connect with two bytes", connect_shortly, false},
	{"unconnect", disconnect_passes, false},
	{"a look at a process group", look_passes, false},
	{"executable memory", map_code, false},
	{"memory made executable", make_code, false},
	{"memory in place of other", map_over, false},
	{"remove another file", remove_another, false},
	{"remove its own", remove_own, false},
	{"write to a connection", write_to_socket, false},
	{"another option", set_another_option, false},
	{"signals", signal_others, false},
	{"prctl", gain_nothing, false},
	{"execve", execute, true},
	{"fork", multiply, true},
	{"ptrace", trace, true},
};

static void be_child(int attempt)
{
	struct rlimit none = {0, 0};

	/* Death by SIGSYS is expected. */
	setrlimit(RLIMIT_CORE, &none);
	tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (broker_sandbox_enter(path, board) == -ENOTSUP)
		_exit(broker_sandbox_is_on() ? 1 : 77);
	if (!broker_sandbox_is_on())
		_exit(1);
	_exit(ATTEMPTS[attempt].attempt());
}

static void make_file(const char *name)
{
	close(open(name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
}

START_TEST(attempt)
{
	const bool kills = ATTEMPTS[_i].kills;
	int status;
	pid_t child;

	snprintf(path, sizeof(path), "/tmp/holdline-sandbox-%d", (int)getpid());
	snprintf(other, sizeof(other), "%s-other", path);
	snprintf(board, sizeof(board), "%s-board", path);
	make_file(path);
	make_file(board);
	child = fork();
	if (child == 0)
		be_child(_i);
	ck_assert(waitpid(child, &status, 0) == child);
	ck_assert(access(other, F_OK) < 0);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
		unlink(path);
		unlink(board);
		return;
	}
	/* Only remove_own() removed it. */
	ck_assert_msg((unlink(path) < 0) == (ATTEMPTS[_i].attempt == remove_own), "%s", ATTEMPTS[_i].name);
	ck_assert_msg((unlink(board) < 0) == (ATTEMPTS[_i].attempt == remove_own), "%s", ATTEMPTS[_i].name);
	if (kills)
		ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS, "%s: status %#x", ATTEMPTS[_i].name,
			      status);
	else
		ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "%s: status %#x", ATTEMPTS[_i].name,
			      status);
}
END_TEST

Suite *broker_sandbox_suite(void)
{
	Suite *suite = suite_create("broker_sandbox");
	TCase *tcase = tcase_create("attempts");

	tcase_add_loop_test(tcase, attempt, 0, sizeof(ATTEMPTS) / sizeof(ATTEMPTS[0]));
	suite_add_tcase(suite, tcase);
	return suite;
}
