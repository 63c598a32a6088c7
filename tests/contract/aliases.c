/* dup and its relatives: every alias sees the same bytes and the same end, and descriptors are the lowest free
 * numbers. */
#include "tests/lib/probe.h"

static void with_alias(int fd, int alias)
{
	say("fd %d alias %d", fd, alias);
	probe_ask(fd, "/bytes/100");
	probe_settle();
	probe_read(alias, 10);
	probe_read(fd, 10);
	probe_drain(fd);
	probe_poll("alias", alias, POLLIN | POLLOUT | POLLRDHUP, 100);
	probe_read(alias, 10);
	CALL(close(fd));
	probe_poll("alias alone", alias, POLLIN | POLLOUT | POLLRDHUP, 100);
	probe_read(alias, 10);
	CALL(close(alias));
	CALL(close(alias));
}

static void run_dup(void)
{
	int fd = probe_dial();

	with_alias(fd, (int)CALL(dup(fd)));
}

static void run_dup2(void)
{
	int fd = probe_dial();

	with_alias(fd, (int)CALL(dup2(fd, 30)));
}

static void run_dup3(void)
{
	int fd = probe_dial();

	CALL(dup3(fd, 31, O_CLOEXEC));
	CALL(fcntl(31, F_GETFD));
	with_alias(fd, 31);
}

static void run_dupfd(void)
{
	int fd = probe_dial();

	CALL(fcntl(fd, F_DUPFD, 40));
	with_alias(fd, 40);
}

static void run_dupfd_cloexec(void)
{
	int fd = probe_dial();

	CALL(fcntl(fd, F_DUPFD_CLOEXEC, 41));
	CALL(fcntl(41, F_GETFD));
	with_alias(fd, 41);
}

static void run_unconnected(void)
{
	int fd = probe_socket(), alias = dup(fd);

	CALL(connect(alias, (struct sockaddr *)&probe_server, sizeof probe_server));
	CALL(connect(fd, (struct sockaddr *)&probe_server, sizeof probe_server));
	with_alias(fd, alias);
}

static void run_after_eof(void)
{
	int fd = probe_dial(), alias;

	probe_ask(fd, "/bytes/10");
	probe_drain(fd);
	alias = (int)CALL(dup(fd));
	probe_read(alias, 10);
	probe_poll("alias", alias, POLLIN | POLLOUT | POLLRDHUP, 100);
	CALL(close(fd));
	probe_read(alias, 10);
	CALL(send(alias, "x", 1, MSG_NOSIGNAL));
	CALL(close(alias));
}

static void run_original_closed(void)
{
	int fd = probe_dial(), alias = dup(fd);

	CALL(close(fd));
	probe_ask(alias, "/bytes/50");
	probe_drain(alias);
	CALL(close(alias));
}

static void run_alias_closed(void)
{
	int fd = probe_dial(), alias = dup(fd);

	CALL(close(alias));
	probe_ask(fd, "/bytes/50");
	probe_drain(fd);
	CALL(close(fd));
}

/* A socket, its answer not yet read, is overwritten: the other must be untouched. */
static void run_onto_socket(void)
{
	int first = probe_dial(), second = probe_dial();

	probe_ask(first, "/bytes/100");
	probe_ask(second, "/bytes/200");
	probe_settle();
	CALL(dup2(second, first));
	probe_drain(first);
	probe_read(second, 10);
	CALL(close(first));
	CALL(close(second));
}

static void run_onto_ended(void)
{
	int first = probe_dial(), second;

	probe_ask(first, "/bytes/100");
	probe_drain(first);
	second = probe_dial();
	CALL(dup2(second, first));
	CALL(close(second));
	probe_ask(first, "/bytes/20");
	probe_drain(first);
	CALL(close(first));
}

static void run_file_onto_socket(void)
{
	int fd = probe_dial(), file = open("/dev/null", O_RDONLY);

	probe_ask(fd, "/bytes/10");
	CALL(dup2(file, fd));
	probe_read(fd, 10);
	CALL(close(fd));
	CALL(close(file));
}

static void run_onto_standard_input(void)
{
	int saved = dup(0), fd = probe_dial();
	char byte;
	long n = 0;

	CALL(dup2(fd, 0));
	CALL(close(fd));
	probe_ask(0, "/bytes/20");
	while (read(0, &byte, 1) == 1)
		n++;
	say("read %ld from standard input", n);
	CALL(dup2(saved, 0));
	CALL(close(saved));
}

static void run_same(void)
{
	int fd = probe_dial();

	CALL(dup2(fd, fd));
	CALL(dup3(fd, fd, 0));
	CALL(dup3(fd, 33, 0x1234));
	CALL(dup2(fd, -1));
	CALL(dup2(fd, 1 << 30));
	CALL(dup(-1));
	CALL(dup2(999, fd));
	CALL(fcntl(fd, F_DUPFD, -1));
	CALL(fcntl(fd, 9999, 0));
	probe_ask(fd, "/bytes/10");
	probe_drain(fd);
	CALL(dup2(fd, fd));
	probe_read(fd, 10);
	CALL(close(fd));
	CALL(dup(fd));
	CALL(dup2(fd, fd));
}

/* Status flags belong to the open file, and so to all aliases; descriptor flags don't. */
static void run_shared_flags(void)
{
	int fd = probe_dial(), alias = dup(fd);

	CALL(fcntl(alias, F_SETFL, O_NONBLOCK));
	CALL(fcntl(fd, F_GETFL));
	probe_read(fd, 10);
	probe_ask(fd, "/bytes/10");
	probe_drain(alias);
	CALL(fcntl(fd, F_GETFL));
	CALL(fcntl(fd, F_SETFL, 0));
	CALL(fcntl(alias, F_GETFL));
	probe_read(alias, 10);
	CALL(close(fd));
	CALL(close(alias));
}

static const struct probe_case cases[] = {
	{"dup", run_dup},
	{"dup2", run_dup2},
	{"dup3", run_dup3},
	{"dupfd", run_dupfd},
	{"dupfd-cloexec", run_dupfd_cloexec},
	{"unconnected", run_unconnected},
	{"after-eof", run_after_eof},
	{"original-closed", run_original_closed},
	{"alias-closed", run_alias_closed},
	{"onto-socket", run_onto_socket},
	{"onto-ended", run_onto_ended},
	{"file-onto-socket", run_file_onto_socket},
	{"onto-standard-input", run_onto_standard_input},
	{"same", run_same},
	{"shared-flags", run_shared_flags},
};
PROBE_MAIN(cases)
