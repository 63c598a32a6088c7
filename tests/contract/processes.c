/* Exchanges across fork, vfork, exec, spawn and passed descriptors. */
#include "tests/lib/probe.h"

#include <linux/close_range.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/un.h>

extern char **environ;

static void reap(const char *what, pid_t pid)
{
	int status = -1;

	if (waitpid(pid, &status, 0) != pid)
		say("%s: waitpid failed: %s", what, error_name(errno));
	say("%s ended with %x", what, (unsigned)status);
}

static void run_child_reads(void)
{
	int fd = probe_dial();
	pid_t pid;

	probe_ask(fd, "/bytes/100");
	probe_settle();
	pid = fork();
	if (pid == 0) {
		probe_drain(fd);
		probe_poll("child", fd, POLLIN | POLLRDHUP, 100);
		_exit(7);
	}
	reap("child", pid);
	probe_read(fd, 10);
	CALL(close(fd));
}

static void run_child_reads_the_rest(void)
{
	int fd = probe_dial(), closed, error;
	pid_t pid;

	probe_ask(fd, "/bytes/100");
	probe_settle();
	probe_read(fd, 50);
	pid = fork();
	if (pid == 0) {
		probe_drain(fd);
		_exit(7);
	}
	errno = 4242;
	closed = close(fd);
	error = errno;
	/* Only then: the child prints, too. */
	reap("child", pid);
	probe_result("close", closed, error);
	probe_exchange("/bytes/10");
}

static void run_parent_reads(void)
{
	int fd = probe_dial();
	pid_t pid = fork();

	if (pid == 0) {
		CALL(close(fd));
		_exit(0);
	}
	reap("child", pid);
	probe_ask(fd, "/bytes/100");
	probe_drain(fd);
	CALL(close(fd));
}

static void run_child_asks(void)
{
	int fd = probe_dial();
	pid_t pid = fork();

	if (pid == 0) {
		probe_ask(fd, "/bytes/100");
		_exit(0);
	}
	reap("child", pid);
	probe_drain(fd);
	CALL(close(fd));
}

static void run_after_end(void)
{
	int fd = probe_dial();
	pid_t pid;

	probe_ask(fd, "/bytes/100");
	probe_drain(fd);
	pid = fork();
	if (pid == 0) {
		probe_read(fd, 10);
		probe_poll("child", fd, POLLIN | POLLOUT | POLLRDHUP, 100);
		CALL(close(fd));
		probe_exchange("/bytes/20");
		_exit(0);
	}
	reap("child", pid);
	probe_read(fd, 10);
	CALL(close(fd));
}

/* Children and the parent go on with connections of their own: none may take the bytes of another. */
static void exchange_sized(unsigned size)
{
	char path[64];
	int fd = probe_dial();

	snprintf(path, sizeof path, "/bytes/%u", size);
	probe_ask(fd, path);
	probe_drain(fd);
	close(fd);
}

static void run_children_at_once(void)
{
	pid_t pids[4];

	probe_exchange("/bytes/10");
	for (unsigned i = 0; i < 4; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			probe_mute(true);
			for (unsigned j = 0; j < 20; j++)
				exchange_sized(100 * (i + 1));
			probe_mute(false);
			exit(0);
		}
	}
	for (unsigned i = 0; i < 4; i++)
		reap("one of four", pids[i]);
	exchange_sized(50);
}

static void run_fork_while_open(void)
{
	int fd = probe_dial();
	pid_t pid;

	probe_ask(fd, "/sleep/60");
	pid = fork();
	if (pid == 0) {
		CALL(close(fd));
		exchange_sized(30);
		_exit(0);
	}
	reap("child", pid);
	probe_drain(fd);
	CALL(close(fd));
	exchange_sized(40);
}

/* CPython's subprocess: the child shares our memory until it execs, and closes everything. */
static pid_t vfork_and_close(bool with_close_range)
{
	pid_t pid = vfork();

	if (pid == 0) {
		if (with_close_range)
			close_range(3, ~0U, 0);
		else
			for (int fd = 3; fd < 1024; fd++)
				close(fd);
		dup2(2, 1);
		execl("/bin/true", "true", NULL);
		_exit(127);
	}
	return pid;
}

static void vfork_amid(bool with_close_range)
{
	int fd = probe_dial();

	probe_exchange("/bytes/10");
	probe_ask(fd, "/bytes/100");
	reap("true", vfork_and_close(with_close_range));
	probe_drain(fd);
	CALL(close(fd));
	reap("true", vfork_and_close(with_close_range));
	exchange_sized(60);
}

static void run_vfork_close_loop(void)
{
	vfork_amid(false);
}
static void run_vfork_close_range(void)
{
	vfork_amid(true);
}

static void run_spawn(void)
{
	posix_spawn_file_actions_t actions;
	char *arguments[] = {(char *)"cat", NULL};
	int fd = probe_dial();
	pid_t pid = -1;

	probe_ask(fd, "/bytes/100");
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fd, 0);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	CALL(posix_spawnp(&pid, "cat", &actions, NULL, arguments, environ));
	posix_spawn_file_actions_destroy(&actions);
	CALL(close(fd));
	reap("cat", pid);
	exchange_sized(70);
}

static void run_spawn_in_vain(void)
{
	char *arguments[] = {(char *)"no-such-program", NULL};
	pid_t pid;

	CALL(posix_spawnp(&pid, "no-such-program", NULL, NULL, arguments, environ));
	exchange_sized(70);
}

/* `exec 3<>/dev/tcp/...; printf request >&3; cat <&3`: the child must see the end. */
static void exec_cat(bool half_read)
{
	int fd = probe_dial();
	pid_t pid;

	probe_ask(fd, "/bytes/100");
	if (half_read) {
		probe_settle();
		probe_read(fd, 20);
	}
	pid = fork();
	if (pid == 0) {
		dup2(fd, 0);
		execlp("cat", "cat", NULL);
		_exit(127);
	}
	reap("cat", pid);
	probe_read(fd, 10);
	CALL(close(fd));
}

static void run_exec_cat(void)
{
	exec_cat(false);
}
static void run_exec_cat_the_rest(void)
{
	exec_cat(true);
}

/* The library is told to be off in the new program, where nobody would make the end of file. */
static void run_exec_cat_off(void)
{
	int fd = probe_dial();
	pid_t pid;

	probe_ask(fd, "/bytes/100");
	pid = fork();
	if (pid == 0) {
		dup2(fd, 0);
		setenv("HOLDLINE_MODE", "off", 1);
		execlp("cat", "cat", NULL);
		_exit(127);
	}
	reap("cat", pid);
	CALL(close(fd));
}

/* `fd` is its standard input; -1: none of its streams. */
static void execute_off(int fd, const char *command)
{
	pid_t pid = fork();

	if (pid == 0) {
		if (fd >= 0)
			dup2(fd, 0);
		setenv("HOLDLINE_MODE", "off", 1);
		execlp("sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	reap(command, pid);
}

/* Programs without the library and this one read one answer in turn: nobody sees a byte twice. */
static void run_exec_off_and_parent(void)
{
	int fd = probe_dial();

	probe_ask(fd, "/bytes/100");
	execute_off(fd, "cat");
	execute_off(fd, "cat");
	probe_read(fd, 10);
	CALL(close(fd));
}

static void run_exec_off_in_turn(void)
{
	int fd = probe_dial();

	probe_ask(fd, "/bytes/100");
	probe_settle();
	probe_read(fd, 90);
	execute_off(fd, "exec head -c 17");
	execute_off(fd, "exec head -c 23");
	probe_drain(fd);
	CALL(close(fd));
}

/* Programs without the library are left the connection by accident, before and after the answer is there: what this
 * one is waiting for stays. */
static void run_exec_off_beside(void)
{
	int fd = probe_dial();

	probe_ask(fd, "/bytes/100");
	execute_off(-1, "exec true");
	probe_settle();
	execute_off(-1, "exec true");
	probe_read(fd, 90);
	execute_off(-1, "exec true");
	probe_drain(fd);
	CALL(close(fd));
}

/* The same without any variable, in the child of a vfork. */
static void run_vfork_tail_bare(void)
{
	char *const none[] = {NULL}, *const arguments[] = {"tail", "-c", "20", NULL};
	int fd = probe_dial();
	pid_t pid;

	probe_ask(fd, "/bytes/100");
	pid = vfork();
	if (pid == 0) {
		dup2(fd, 0);
		execve("/usr/bin/tail", arguments, none);
		_exit(127);
	}
	reap("tail", pid);
	probe_read(fd, 10);
	CALL(close(fd));
}

static void run_exec_self(void)
{
	int fd = probe_dial();

	probe_exchange("/bytes/10");
	if (fork() == 0) {
		char command[64];

		snprintf(command, sizeof command, "/bin/echo open: /proc/self/fd/%d >&2; ls /proc/self/fd | wc -l", fd);
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	wait(NULL);
	probe_ask(fd, "/bytes/30");
	probe_drain(fd);
	CALL(close(fd));
}

static void run_exec_refused(void)
{
	probe_exchange("/bytes/10");
	CALL(execl("/no/such/program", "x", NULL));
	exchange_sized(20);
}

/* Commands that don't use a socket that they inherit. */
static void run_commands(int fd)
{
	FILE *stream;

	CALL(system("exit 3"));
	stream = popen("echo hello", "r");
	CALL(fgetc(stream));
	CALL(pclose(stream));
	probe_drain(fd);
	CALL(close(fd));
}

static void run_system(void)
{
	int fd = probe_dial();

	probe_ask(fd, "/bytes/40");
	run_commands(fd);
}

static int begin_download(void)
{
	int fd = probe_dial();

	probe_ask(fd, "/attended/300000");
	probe_read(fd, 20);
	return fd;
}

static void run_system_amid(void)
{
	run_commands(begin_download());
}

/* The shell's redirections name the socket. */
static void run_system_cat(void)
{
	char command[64];
	int fd = begin_download();

	snprintf(command, sizeof command, "cat <&%d | wc -c", fd);
	CALL(system(command));
	probe_drain(fd);
	CALL(close(fd));
}

static void *do_nothing(void *argument)
{
	return argument;
}

static void run_system_of_threads(void)
{
	pthread_t thread;
	int fd;

	pthread_create(&thread, NULL, do_nothing, NULL);
	fd = begin_download();
	CALL(system("exit 3"));
	pthread_join(thread, NULL);
	probe_drain(fd);
	CALL(close(fd));
}

/* A program that only has the socket as its standard input consumes nothing of the answer. */
static void run_child_of_input(void)
{
	char command[96];
	int fd = probe_dial();
	pid_t pid;

	probe_ask(fd, "/bytes/100");
	probe_settle();
	pid = fork();
	if (pid == 0) {
		dup2(fd, 0);
		execlp("true", "true", NULL);
		_exit(1);
	}
	reap("true", pid);
	snprintf(command, sizeof command, "head -c 17 <&%d; cat <&%d | wc -c", fd, fd);
	CALL(system(command));
	CALL(close(fd));
}

/* One of many that are asked at once. */
static void run_system_of_six(void)
{
	char command[64];
	int fds[6];

	for (int i = 0; i < 6; i++) {
		fds[i] = probe_dial();
		probe_ask(fds[i], "/bytes/100");
	}
	snprintf(command, sizeof command, "cat <&%d | wc -c", fds[5]);
	CALL(system(command));
	for (int i = 0; i < 6; i++)
		CALL(close(fds[i]));
}

static void set_variable(int signal_number)
{
	/* First in the present array, then in a longer one. */
	if (strcmp(getenv("OF_OLD"), "old") == 0)
		setenv("OF_OLD", "new", 1);
	else
		setenv("FROM_HANDLER", "1", 1);
	(void)signal_number;
}

static void print_variables(const char *when)
{
	unsigned n = 0;

	for (char **at = environ; *at; at++)
		n += strncmp(*at, "HOLDLINE_INFLIGHT", 17) == 0;
	say("%s: %u of ours, %s, %s", when, n, getenv("FROM_HANDLER") ? getenv("FROM_HANDLER") : "none",
	    getenv("OF_OLD"));
}

static void run_system_environment(void)
{
	int fd = probe_dial();
	char **before;

	setenv("OF_OLD", "old", 1);
	before = environ;
	probe_ask(fd, "/bytes/100");
	CALL(system("exit 0"));
	say("the same: %d", before == environ);
	print_variables("after");
	signal(SIGALRM, set_variable);
	ualarm(100000, 0);
	CALL(system("sleep 0.3"));
	print_variables("changed meanwhile");
	ualarm(100000, 0);
	CALL(system("sleep 0.3"));
	print_variables("set meanwhile");
	probe_exchange("/bytes/10");
	CALL(system("exit 0"));
	print_variables("again");
	unsetenv("FROM_HANDLER");
	signal(SIGALRM, SIG_DFL);
	probe_drain(fd);
	CALL(close(fd));
}

/* Another program sends a request on a connection that this one has opened; it can't know that it was used before. */
static char *ask_in_shell(int fd)
{
	static char command[160];

	snprintf(command, sizeof command,
		 "printf 'GET /who HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n' >&%d; tail -c 12 <&%d", fd,
		 fd);
	return command;
}

static void run_spawn_unused(void)
{
	int fd = probe_dial();
	char *arguments[] = {"sh", "-c", ask_in_shell(fd), NULL};
	pid_t pid;

	CALL(posix_spawnp(&pid, "sh", NULL, NULL, arguments, environ));
	reap("sh", pid);
	CALL(close(fd));
}

static void run_system_unused(void)
{
	int fd = probe_dial();

	CALL(system(ask_in_shell(fd)));
	CALL(close(fd));
}

static void run_exec_unused(void)
{
	int fd = probe_dial();

	execlp("sh", "sh", "-c", ask_in_shell(fd), NULL);
}

static int exec_true(void *argument)
{
	char *arguments[] = {"true", NULL};

	execv("/bin/true", arguments);
	(void)argument;
	return 1;
}

/* A child on a small stack: some runtimes know how little it needs. */
static void run_small_stack(void)
{
	static _Alignas(16) char stack[8192];
	int fd = probe_dial();
	pid_t pid;

	probe_ask(fd, "/bytes/100");
	pid = clone(exec_true, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
	reap("true", pid);
	probe_drain(fd);
	CALL(close(fd));
}

static sigjmp_buf left;

static void leave(int signal_number)
{
	siglongjmp(left, signal_number);
}

/* Nothing of system()'s state reaches the next program. */
static void run_system_left(void)
{
	char command[64];
	int fd = probe_dial();

	probe_ask(fd, "/bytes/3000");
	probe_settle();
	probe_read(fd, 50);
	signal(SIGALRM, leave);
	if (!sigsetjmp(left, 1)) {
		ualarm(200000, 0);
		system("sleep 1");
	}
	signal(SIGALRM, SIG_DFL);
	probe_read(fd, 1000);
	snprintf(command, sizeof command, "timeout 5 tail -c 10 <&%d; echo $?", fd);
	execlp("sh", "sh", "-c", command, NULL);
}

static bool by_number;

static void pass(int through, int fd)
{
	char control[CMSG_SPACE(sizeof fd)] = {0}, byte = 'x';
	struct iovec piece = {&byte, 1};
	struct msghdr message = {
		.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(header), &fd, sizeof fd);
	CALL(by_number ? syscall(SYS_sendmsg, through, &message, 0) : sendmsg(through, &message, 0));
}

static int take(int through)
{
	char control[CMSG_SPACE(sizeof(int))], byte;
	struct iovec piece = {&byte, 1};
	struct msghdr message = {
		.msg_iov = &piece, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
	int fd = -1;

	CALL(recvmsg(through, &message, 0));
	if (CMSG_FIRSTHDR(&message))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
	return fd;
}

static void passed(bool ask_first, bool end_first)
{
	int pair[2], fd = probe_dial(), copy;

	CALL(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	if (ask_first || end_first)
		probe_ask(fd, "/bytes/100");
	if (end_first)
		probe_drain(fd);
	pass(pair[0], fd);
	CALL(close(fd));
	copy = take(pair[1]);
	say("copy %d", copy);
	if (!ask_first && !end_first)
		probe_ask(copy, "/bytes/100");
	probe_drain(copy);
	probe_poll("copy", copy, POLLIN | POLLOUT | POLLRDHUP, 100);
	CALL(close(copy));
	CALL(close(pair[0]));
	CALL(close(pair[1]));
}

/* A process that got a connection by descriptor number sees nothing of others' requests. */
static void run_passed_by_number(void)
{
	int pair[2], fd = probe_dial(), other, copy;
	char bytes[1000];

	CALL(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	probe_ask_keep(fd, "/bytes/100");
	probe_read_answer(fd);
	by_number = true;
	pass(pair[0], fd);
	by_number = false;
	CALL(close(fd));
	other = probe_dial();
	probe_ask_keep(other, "/bytes/500");
	probe_settle();
	copy = take(pair[1]);
	CALL(recv(copy, bytes, sizeof bytes, MSG_DONTWAIT));
	probe_read_answer(other);
	CALL(close(copy));
	CALL(close(other));
	CALL(close(pair[0]));
	CALL(close(pair[1]));
}

static void run_passed_fresh(void)
{
	passed(false, false);
}
static void run_passed_asked(void)
{
	passed(true, false);
}
static void run_passed_ended(void)
{
	passed(true, true);
}

static const struct probe_case cases[] = {
	{"child-reads", run_child_reads},
	{"child-reads-the-rest", run_child_reads_the_rest},
	{"parent-reads", run_parent_reads},
	{"child-asks", run_child_asks},
	{"after-end", run_after_end},
	{"children-at-once", run_children_at_once},
	{"fork-while-open", run_fork_while_open},
	{"vfork-close-loop", run_vfork_close_loop},
	{"vfork-close-range", run_vfork_close_range},
	{"spawn", run_spawn},
	{"spawn-in-vain", run_spawn_in_vain},
	{"exec-cat", run_exec_cat},
	{"exec-cat-the-rest", run_exec_cat_the_rest},
	{"exec-cat-off", run_exec_cat_off},
	{"exec-off-and-parent", run_exec_off_and_parent},
	{"exec-off-in-turn", run_exec_off_in_turn},
	{"exec-off-beside", run_exec_off_beside},
	{"vfork-tail-bare", run_vfork_tail_bare},
	{"exec-self", run_exec_self},
	{"exec-refused", run_exec_refused},
	{"system", run_system},
	{"system-amid", run_system_amid},
	{"system-cat", run_system_cat},
	{"system-of-threads", run_system_of_threads},
	{"spawn-unused", run_spawn_unused},
	{"system-unused", run_system_unused},
	{"exec-unused", run_exec_unused},
	{"small-stack", run_small_stack},
	{"system-left", run_system_left},
	{"child-of-input", run_child_of_input},
	{"system-of-six", run_system_of_six},
	{"system-environment", run_system_environment},
	{"passed-fresh", run_passed_fresh},
	{"passed-asked", run_passed_asked},
	{"passed-by-number", run_passed_by_number},
	{"passed-ended", run_passed_ended},
};
PROBE_MAIN(cases)
