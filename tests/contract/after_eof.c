/* Calls after the end of file, and every shutdown: the same as TCP in CLOSE_WAIT. */
#include "tests/lib/probe.h"

static volatile sig_atomic_t n_pipe_signals;

static void count_pipe_signal(int signal_number)
{
	(void)signal_number;
	n_pipe_signals++;
}

static int ended(void)
{
	int fd = probe_dial();

	probe_ask(fd, "/bytes/10");
	probe_drain(fd);
	probe_settle();
	return fd;
}

static void print_error(int fd)
{
	int error = -1;
	socklen_t length = sizeof error;

	CALL(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length));
	say("SO_ERROR %s", error_name(error));
}

/* The first write is accepted; a server that has closed answers it with a reset. */
static void write_after(int flags)
{
	int fd = ended();

	print_error(fd);
	CALL(send(fd, "hello", 5, flags));
	probe_settle();
	probe_poll("written", fd, POLLIN | POLLOUT | POLLRDHUP, 100);
	CALL(send(fd, "hello", 5, flags));
	say("%d signals", (int)n_pipe_signals);
	CALL(send(fd, "hello", 5, flags));
	say("%d signals", (int)n_pipe_signals);
	print_error(fd);
	probe_poll("broken", fd, POLLIN | POLLOUT | POLLRDHUP, 100);
	probe_read(fd, 10);
	CALL(close(fd));
}

static void run_write_no_signal(void)
{
	write_after(MSG_NOSIGNAL);
}

static void run_write_signal(void)
{
	n_pipe_signals = 0;
	signal(SIGPIPE, count_pipe_signal);
	write_after(0);
}

static void run_write_ignored(void)
{
	signal(SIGPIPE, SIG_IGN);
	write_after(0);
}

static void run_write_kills(void)
{
	int fd = ended(), status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		signal(SIGPIPE, SIG_DFL);
		CALL(write(fd, "hello", 5));
		probe_settle();
		CALL(write(fd, "hello", 5));
		_exit(0);
	}
	waitpid(pid, &status, 0);
	say("status %x", (unsigned)status);
	CALL(close(fd));
}

static void run_error_first(void)
{
	int fd = ended();

	CALL(send(fd, "hello", 5, MSG_NOSIGNAL));
	probe_settle();
	probe_read(fd, 10);
	print_error(fd);
	print_error(fd);
	CALL(send(fd, "hello", 5, MSG_NOSIGNAL));
	CALL(close(fd));
}

static void run_request_after(void)
{
	int fd = ended();

	probe_ask(fd, "/bytes/10");
	probe_settle();
	probe_read(fd, 100);
	CALL(close(fd));
}

static void shut(int how, bool after_end)
{
	int fd = after_end ? ended() : probe_dial();

	CALL(shutdown(fd, how));
	probe_settle();
	probe_poll("shut", fd, POLLIN | POLLOUT | POLLRDHUP, 100);
	CALL(send(fd, "hello", 5, MSG_NOSIGNAL));
	CALL(recv(fd, &(char){0}, 1, MSG_DONTWAIT));
	CALL(shutdown(fd, how));
	CALL(shutdown(fd, SHUT_RDWR));
	probe_settle();
	probe_poll("shut again", fd, POLLIN | POLLOUT | POLLRDHUP, 100);
	CALL(shutdown(fd, 99));
	print_error(fd);
	CALL(close(fd));
	CALL(shutdown(fd, how));
}

static void run_shut_read(void)
{
	shut(SHUT_RD, false);
}
static void run_shut_write(void)
{
	shut(SHUT_WR, false);
}
static void run_shut_both(void)
{
	shut(SHUT_RDWR, false);
}
static void run_shut_read_after(void)
{
	shut(SHUT_RD, true);
}
static void run_shut_write_after(void)
{
	shut(SHUT_WR, true);
}
static void run_shut_both_after(void)
{
	shut(SHUT_RDWR, true);
}

/* Half-close after the request, as `nc -N` does. */
static void run_half_close(void)
{
	int fd = probe_dial();

	probe_ask(fd, "/slow-two-pieces/10");
	CALL(shutdown(fd, SHUT_WR));
	probe_drain(fd);
	probe_poll("end", fd, POLLIN | POLLOUT | POLLRDHUP, 100);
	CALL(close(fd));
}

static void run_half_close_keep(void)
{
	int fd = probe_dial();

	probe_ask_keep(fd, "/bytes/100");
	CALL(shutdown(fd, SHUT_WR));
	probe_drain(fd);
	CALL(close(fd));
	probe_exchange("/bytes/10");
}

static void run_shut_read_amid(void)
{
	int fd = probe_dial();

	probe_ask(fd, "/bytes/100");
	probe_settle();
	probe_read(fd, 20);
	CALL(shutdown(fd, SHUT_RD));
	probe_drain(fd);
	CALL(close(fd));
	probe_exchange("/bytes/10");
}

static void run_shut_before_close(void)
{
	for (int i = 0; i < 3; i++) {
		int fd = probe_dial();

		probe_ask(fd, "/bytes/10");
		probe_drain(fd);
		CALL(shutdown(fd, SHUT_RDWR));
		CALL(close(fd));
	}
	for (int i = 0; i < 3; i++) {
		int fd = probe_dial();

		probe_ask_keep(fd, "/bytes/10");
		probe_read_answer(fd);
		CALL(shutdown(fd, SHUT_RDWR));
		probe_settle();
		probe_read(fd, 10);
		CALL(close(fd));
	}
}

static void run_reset_close(void)
{
	struct linger now = {.l_onoff = 1};

	for (int i = 0; i < 3; i++) {
		int fd = probe_dial();

		CALL(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now));
		probe_ask(fd, "/bytes/10");
		probe_drain(fd);
		CALL(close(fd));
	}
}

static void run_server_resets(void)
{
	int fd = probe_dial();

	probe_ask(fd, "/cut/30/rst");
	probe_settle();
	probe_poll("reset", fd, POLLIN | POLLOUT | POLLRDHUP, 100);
	probe_drain(fd);
	print_error(fd);
	probe_read(fd, 10);
	CALL(send(fd, "x", 1, MSG_NOSIGNAL));
	CALL(close(fd));
}

static const struct probe_case cases[] = {
	{"write-no-signal", run_write_no_signal},
	{"write-signal", run_write_signal},
	{"write-ignored", run_write_ignored},
	{"write-kills", run_write_kills},
	{"error-first", run_error_first},
	{"request-after", run_request_after},
	{"shut-read", run_shut_read},
	{"shut-write", run_shut_write},
	{"shut-both", run_shut_both},
	{"shut-read-after", run_shut_read_after},
	{"shut-write-after", run_shut_write_after},
	{"shut-both-after", run_shut_both_after},
	{"half-close", run_half_close},
	{"half-close-keep", run_half_close_keep},
	{"shut-read-amid", run_shut_read_amid},
	{"shut-before-close", run_shut_before_close},
	{"reset-close", run_reset_close},
	{"server-resets", run_server_resets},
};
PROBE_MAIN(cases)
