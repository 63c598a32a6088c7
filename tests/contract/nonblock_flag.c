/* O_NONBLOCK of an unconnected socket: every way of asking gives the flag that the program has set. */
#include "tests/lib/probe.h"

#include <stdlib.h>

/* The flag as the kernel has it. */
static void say_flags(const char *when, int fd)
{
	char path[64], line[128];
	FILE *info;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = fopen(path, "r");
	while (info && fgets(line, sizeof(line), info))
		if (strncmp(line, "flags:", 6) == 0)
			say("%s: nonblocking %d", when, strtol(line + 6, NULL, 8) & O_NONBLOCK ? 1 : 0);
	if (info)
		fclose(info);
}

/* A socket made from one that a kept connection has replaced, if there is such a one; its file is blocking. */
static int make(bool is_blocking)
{
	int first = probe_dial_nonblocking(), second;

	probe_mute(true);
	probe_ask(first, "/bytes/10");
	probe_drain(first);
	close(first);
	second = probe_dial_nonblocking();
	probe_ask(second, "/bytes/10");
	probe_drain(second);
	close(second);
	probe_mute(false);
	first = probe_socket();
	CALL(fcntl(first, F_GETFL));
	if (!is_blocking)
		CALL(fcntl(first, F_SETFL, O_RDWR | O_NONBLOCK));
	CALL(fcntl(first, F_GETFL));
	return first;
}

static void for_both(void (*look)(int fd))
{
	for (int is_blocking = 0; is_blocking < 2; is_blocking++) {
		int fd = make(is_blocking);

		look(fd);
		CALL(close(fd));
	}
}

static void look_by_fork(int fd)
{
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child == 0) {
		say_flags("child", fd);
		CALL(fcntl(fd, F_GETFL));
		_exit(0);
	}
	waitpid(child, NULL, 0);
	say_flags("parent", fd);
}

static void look_by_exec(int fd)
{
	char command[128];

	snprintf(command, sizeof(command), "grep -c '^flags:.*04...$' /proc/self/fdinfo/%d", fd);
	fflush(stdout);
	CALL(system(command));
}

static void look_by_dup(int fd)
{
	int alias = (int)CALL(dup(fd));

	say_flags("alias", alias);
	CALL(fcntl(alias, F_GETFL));
	CALL(fcntl(alias, F_SETFL, O_RDWR));
	say_flags("original", fd);
	CALL(close(alias));
}

static void look_by_passing(int fd)
{
	char byte = 'x', control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec part = {&byte, 1};
	struct msghdr message = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	int pair[2], received = -1;

	socketpair(AF_UNIX, SOCK_STREAM, 0, pair);
	CMSG_FIRSTHDR(&message)->cmsg_level = SOL_SOCKET;
	CMSG_FIRSTHDR(&message)->cmsg_type = SCM_RIGHTS;
	CMSG_FIRSTHDR(&message)->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), &fd, sizeof(fd));
	CALL(sendmsg(pair[0], &message, 0));
	CALL(recvmsg(pair[1], &message, 0));
	memcpy(&received, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(received));
	say_flags("received", received);
	close(received);
	close(pair[0]);
	close(pair[1]);
}

static void look_by_listening(int fd)
{
	CALL(listen(fd, 1));
	say_flags("listening", fd);
	if (fcntl(fd, F_GETFL) & O_NONBLOCK)
		CALL(accept(fd, NULL, NULL));
}

static void look_by_binding(int fd)
{
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	CALL(bind(fd, (struct sockaddr *)&any, sizeof(any)));
	say_flags("bound", fd);
}

/* Nobody listens there: connect()'s error depends on the flag. */
static void look_by_connecting(int fd)
{
	struct sockaddr_in nobody = {
		.sin_family = AF_INET, .sin_port = htons(1), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	CALL(connect(fd, (struct sockaddr *)&nobody, sizeof(nobody)));
	say_flags("after connect", fd);
}

static void look_by_ioctl(int fd)
{
	int on = 1, off = 0;

	CALL(ioctl(fd, FIONBIO, &off));
	CALL(fcntl(fd, F_GETFL));
	CALL(ioctl(fd, FIONBIO, &on));
	CALL(fcntl(fd, F_GETFL));
	CALL(fcntl(fd, F_SETFL, O_RDWR | O_ASYNC));
	CALL(fcntl(fd, F_GETFL));
	say_flags("at last", fd);
}

static void run_fork(void)
{
	for_both(look_by_fork);
}

static void run_exec(void)
{
	for_both(look_by_exec);
}

static void run_dup(void)
{
	for_both(look_by_dup);
}

static void run_passing(void)
{
	for_both(look_by_passing);
}

static void run_listening(void)
{
	for_both(look_by_listening);
}

static void run_binding(void)
{
	for_both(look_by_binding);
}

static void run_connecting(void)
{
	for_both(look_by_connecting);
}

static void run_ioctl(void)
{
	for_both(look_by_ioctl);
}

static const struct probe_case cases[] = {
	{"fork", run_fork},
	{"exec", run_exec},
	{"dup", run_dup},
	{"passing", run_passing},
	{"listening", run_listening},
	{"binding", run_binding},
	{"connecting", run_connecting},
	{"ioctl", run_ioctl},
};
PROBE_MAIN(cases)
