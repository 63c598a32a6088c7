/* Socket options: values at every stage, effects of setting them, and that nothing of it shows on the next
 * connection. */
#include "tests/lib/probe.h"

#include <linux/seccomp.h>
#include <netinet/ip.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>

/* Values that the kernel measures or assigns anew are compared by their length alone. */
enum shown { BY_VALUE, BY_LENGTH };

static const struct {
	int level, name;
	enum shown shown;
	const char *text;
} options[] = {
#define SOCKET(name)                              \
	{                                         \
		SOL_SOCKET, name, BY_VALUE, #name \
	}
#define TCP(name)                                  \
	{                                          \
		IPPROTO_TCP, name, BY_VALUE, #name \
	}
	SOCKET(SO_ACCEPTCONN),
	SOCKET(SO_BROADCAST),
	SOCKET(SO_DEBUG),
	SOCKET(SO_DOMAIN),
	SOCKET(SO_DONTROUTE),
	SOCKET(SO_ERROR),
	SOCKET(SO_KEEPALIVE),
	SOCKET(SO_LINGER),
	SOCKET(SO_MARK),
	SOCKET(SO_OOBINLINE),
	SOCKET(SO_PASSCRED),
	SOCKET(SO_PRIORITY),
	SOCKET(SO_PROTOCOL),
	SOCKET(SO_RCVLOWAT),
	SOCKET(SO_RCVTIMEO),
	SOCKET(SO_REUSEADDR),
	SOCKET(SO_REUSEPORT),
	SOCKET(SO_SNDLOWAT),
	SOCKET(SO_SNDTIMEO),
	SOCKET(SO_TIMESTAMP),
	SOCKET(SO_TYPE),
	SOCKET(SO_SNDBUF),
	SOCKET(SO_BINDTODEVICE),
	SOCKET(SO_BUSY_POLL),
	{SOL_SOCKET, SO_RCVBUF, BY_VALUE, "SO_RCVBUF"},
	{SOL_SOCKET, SO_COOKIE, BY_LENGTH, "SO_COOKIE"},
	{SOL_SOCKET, SO_INCOMING_CPU, BY_LENGTH, "SO_INCOMING_CPU"},
	{SOL_SOCKET, SO_PEERCRED, BY_LENGTH, "SO_PEERCRED"},
	{SOL_SOCKET, SO_PEERNAME, BY_LENGTH, "SO_PEERNAME"},
	{SOL_SOCKET, SO_MEMINFO, BY_LENGTH, "SO_MEMINFO"},
	TCP(TCP_NODELAY),
	TCP(TCP_CORK),
	TCP(TCP_DEFER_ACCEPT),
	TCP(TCP_KEEPCNT),
	TCP(TCP_KEEPIDLE),
	TCP(TCP_KEEPINTVL),
	TCP(TCP_LINGER2),
	TCP(TCP_SYNCNT),
	TCP(TCP_USER_TIMEOUT),
	TCP(TCP_CONGESTION),
	TCP(TCP_NOTSENT_LOWAT),
	TCP(TCP_FASTOPEN_CONNECT),
	{IPPROTO_TCP, TCP_MAXSEG, BY_LENGTH, "TCP_MAXSEG"},
	{IPPROTO_TCP, TCP_WINDOW_CLAMP, BY_LENGTH, "TCP_WINDOW_CLAMP"},
	{IPPROTO_TCP, TCP_INFO, BY_LENGTH, "TCP_INFO"},
	{IPPROTO_IP, IP_TOS, BY_VALUE, "IP_TOS"},
	{IPPROTO_IP, IP_TTL, BY_VALUE, "IP_TTL"},
	{IPPROTO_IP, IP_MTU, BY_VALUE, "IP_MTU"},
	{IPPROTO_IP, IP_RECVERR, BY_VALUE, "IP_RECVERR"},
	{IPPROTO_IP, 9999, BY_VALUE, "unknown"},
	{9999, 1, BY_VALUE, "unknown level"},
	{IPPROTO_IPV6, 26, BY_VALUE, "IPV6_V6ONLY"},
};

static void print_options(const char *when, int fd)
{
	say("%s:", when);
	for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
		unsigned char value[512] = {0};
		socklen_t length = sizeof value;
		char text[64] = "";

		if (getsockopt(fd, options[i].level, options[i].name, value, &length)) {
			say("  %s: %s", options[i].text, error_name(errno));
			continue;
		}
		for (unsigned j = 0; options[i].shown == BY_VALUE && j < length && j < 24; j++)
			sprintf(text + 2 * j, "%02x", value[j]);
		say("  %s: %u %s", options[i].text, length, text);
	}
}

static void run_stages(void)
{
	int fd = probe_socket();

	print_options("new", fd);
	CALL(connect(fd, (struct sockaddr *)&probe_server, sizeof probe_server));
	print_options("connected", fd);
	probe_ask(fd, "/bytes/10");
	probe_settle();
	print_options("answered", fd);
	probe_drain(fd);
	probe_settle();
	print_options("after EOF", fd);
	CALL(close(fd));
	print_options("closed", fd);
}

static void print_state(const char *when, int fd)
{
	struct tcp_info info = {0};
	socklen_t length = sizeof info;

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length))
		say("%s: %s", when, error_name(errno));
	else
		say("%s: state %d", when, info.tcpi_state);
}

static void run_state(void)
{
	int fd = probe_socket();

	print_state("new", fd);
	CALL(connect(fd, (struct sockaddr *)&probe_server, sizeof probe_server));
	print_state("connected", fd);
	probe_ask(fd, "/bytes/10");
	probe_drain(fd);
	print_state("after EOF", fd);
	CALL(shutdown(fd, SHUT_WR));
	probe_settle();
	print_state("shut", fd);
	CALL(close(fd));
}

static void set(int fd, int level, int name, int value, const char *text)
{
	int seen = -1;
	socklen_t length = sizeof seen;
	int result = setsockopt(fd, level, name, &value, sizeof value);
	int error = result ? errno : 0;

	if (getsockopt(fd, level, name, &seen, &length))
		seen = -errno;
	say("set %s to %d: %d %s, now %d", text, value, result, error_name(error), seen);
}

static void set_many(int fd)
{
	set(fd, SOL_SOCKET, SO_KEEPALIVE, 1, "SO_KEEPALIVE");
	set(fd, SOL_SOCKET, SO_SNDBUF, 30000, "SO_SNDBUF");
	set(fd, SOL_SOCKET, SO_RCVBUF, 30000, "SO_RCVBUF");
	set(fd, SOL_SOCKET, SO_PRIORITY, 3, "SO_PRIORITY");
	set(fd, SOL_SOCKET, SO_OOBINLINE, 1, "SO_OOBINLINE");
	set(fd, IPPROTO_TCP, TCP_NODELAY, 1, "TCP_NODELAY");
	set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 77, "TCP_KEEPIDLE");
	set(fd, IPPROTO_TCP, TCP_KEEPINTVL, 7, "TCP_KEEPINTVL");
	set(fd, IPPROTO_TCP, TCP_KEEPCNT, 3, "TCP_KEEPCNT");
	set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 12345, "TCP_USER_TIMEOUT");
	set(fd, IPPROTO_TCP, TCP_LINGER2, 5, "TCP_LINGER2");
	set(fd, IPPROTO_IP, IP_TOS, 16, "IP_TOS");
	set(fd, IPPROTO_IP, IP_TTL, 33, "IP_TTL");
}

/* Options of one connection are gone on the next. */
static void set_at(int stage)
{
	int fd = probe_socket();

	if (stage == 0)
		set_many(fd);
	CALL(connect(fd, (struct sockaddr *)&probe_server, sizeof probe_server));
	if (stage == 1)
		set_many(fd);
	print_options("set", fd);
	probe_ask(fd, "/bytes/10");
	probe_drain(fd);
	if (stage == 2)
		set_many(fd);
	print_options("after EOF", fd);
	CALL(close(fd));
	fd = probe_dial();
	print_options("next", fd);
	probe_ask(fd, "/bytes/10");
	probe_drain(fd);
	CALL(close(fd));
}

/* A new socket is as new, whatever was done to the ones before: none of them got a connection of its own. */
static void run_new_again(void)
{
	static const int values[] = {1, 0, 1, 1};

	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		int fd = probe_socket();

		print_options("new", fd);
		set(fd, IPPROTO_TCP, TCP_NODELAY, values[i], "TCP_NODELAY");
		if (i == 2)
			set(fd, IPPROTO_TCP, TCP_CORK, 1, "TCP_CORK");
		CALL(connect(fd, (struct sockaddr *)&probe_server, sizeof probe_server));
		print_options("connected", fd);
		probe_ask(fd, "/bytes/10");
		probe_drain(fd);
		CALL(close(fd));
	}
}

/* What the kernel has, asked past the library. */
static int true_nodelay(int fd)
{
	int value = -1;
	socklen_t length = sizeof value;
#if defined(__x86_64__)
	register socklen_t *r8 __asm__("r8") = &length;
	register int *r10 __asm__("r10") = &value;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "0"(SYS_getsockopt), "D"(fd), "S"(IPPROTO_TCP), "d"(TCP_NODELAY), "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory");
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = SYS_getsockopt, x0 __asm__("x0") = fd, x1 __asm__("x1") = IPPROTO_TCP;
	register long x2 __asm__("x2") = TCP_NODELAY;
	register int *x3 __asm__("x3") = &value;
	register socklen_t *x4 __asm__("x4") = &length;
	long result;

	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
	result = x0;
#else
	long result = getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &length);
#endif
	return result ? -1 : value;
}

static int set_unseen(int fd, int value)
{
	return setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, sizeof value);
}

static void exchange_on(int fd)
{
	probe_ask(fd, "/bytes/10");
	probe_drain(fd);
	CALL(close(fd));
}

static void exchange(int fd)
{
	CALL(connect(fd, (struct sockaddr *)&probe_server, sizeof probe_server));
	exchange_on(fd);
}

/* The file of a new socket may have been another's: wherever the kernel or somebody else could tell, it is as the
 * program has set it. */
static void run_set_unseen(void)
{
	for (int value = 0; value < 2; value++) {
		struct sockaddr_in nobody = probe_server;
		int fd = probe_socket(), number;
		pid_t child;

		nobody.sin_port = htons(1);
		CALL(set_unseen(fd, 1));
		exchange(fd);
		fd = probe_socket();
		CALL(set_unseen(fd, value));
		CALL(connect(fd, (struct sockaddr *)&nobody, sizeof nobody));
		say("dialled: %d", true_nodelay(fd));
		CALL(close(fd));

		fd = probe_socket();
		CALL(set_unseen(fd, 1));
		exchange(fd);
		fd = probe_socket();
		CALL(set_unseen(fd, value));
		number = dup(fd);
		say("at another number: %d", true_nodelay(number));
		CALL(close(fd));
		exchange(number);

		fd = probe_socket();
		CALL(set_unseen(fd, value));
		child = fork();
		if (!child)
			_exit(true_nodelay(fd));
		waitpid(child, &number, 0);
		say("in a child: %d", WEXITSTATUS(number));
		CALL(close(fd));

		fd = probe_socket();
		CALL(set_unseen(fd, value));
		CALL(set_unseen(fd, 2));
		say("wrong length: %d", setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, 1) ? errno : 0);
		say("wrong place: %d", setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, (void *)8, sizeof value) ? errno : 0);
		print_options("told", fd);
		exchange(fd);
	}
}

static int set_longer(int fd, int value)
{
	int words[2] = {value, 4711};

	return setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, words, sizeof words);
}

/* Of a value that is longer than the option the kernel takes the beginning. */
static void run_set_longer(void)
{
	for (int value = 0; value < 2; value++) {
		struct sockaddr_in nobody = probe_server;
		int fd = probe_socket();

		nobody.sin_port = htons(1);
		CALL(set_unseen(fd, 1));
		exchange(fd);
		fd = probe_socket();
		CALL(set_longer(fd, value));
		CALL(set_unseen(fd, !value));
		CALL(connect(fd, (struct sockaddr *)&nobody, sizeof nobody));
		say("short at last: %d", true_nodelay(fd));
		CALL(set_longer(fd, value));
		say("dialled: %d", true_nodelay(fd));
		CALL(close(fd));

		fd = probe_socket();
		CALL(set_unseen(fd, !value));
		CALL(set_longer(fd, value));
		print_options("new", fd);
		CALL(connect(fd, (struct sockaddr *)&probe_server, sizeof probe_server));
		print_options("connected", fd);
		CALL(set_longer(fd, !value));
		print_options("changed", fd);
		exchange_on(fd);
	}
}

/* A child that shares memory and files: it sees what was set, and what it sets is there. */
static void run_set_by_child(void)
{
	for (int value = 0; value < 2; value++) {
		int fd = probe_socket(), status;
		pid_t child;

		CALL(set_unseen(fd, !value));
		exchange(fd);
		fd = probe_socket();
		CALL(set_unseen(fd, value));
		CALL(fcntl(fd, F_SETFL, O_NONBLOCK));
		child = vfork();
		if (!child) {
			int told = -1;
			socklen_t length = sizeof told;
			bool blocks = !(fcntl(fd, F_GETFL) & O_NONBLOCK);

			getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &told, &length);
			set_unseen(fd, !value);
			_exit(told | (int)blocks << 1);
		}
		waitpid(child, &status, 0);
		say("told a child: %d", WEXITSTATUS(status));
		say("set by a child: %d", true_nodelay(fd));
		CALL(fcntl(fd, F_SETFL, 0));
		exchange(fd);
		fd = probe_socket();
		say("new: %d", true_nodelay(fd));
		exchange(fd);
	}
}

/* Signals for readiness are not given up for a flag that was only remembered. */
static void run_set_async(void)
{
	int fd = probe_socket(), on = 1;

	exchange(fd);
	fd = probe_socket();
	CALL(fcntl(fd, F_SETFL, O_NONBLOCK));
	CALL(ioctl(fd, FIOASYNC, &on));
	say("flags %x", fcntl(fd, F_GETFL));
	CALL(close(fd));
}

static void print_new(const char *what)
{
	struct sockaddr_in name = {0};
	socklen_t length = sizeof name;
	int fd = probe_socket(), quick = -1;

	CALL(getsockname(fd, (struct sockaddr *)&name, &length));
	length = sizeof quick;
	CALL(getsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &quick, &length));
	say("%s: port %d, TCP_QUICKACK %d", what, ntohs(name.sin_port), quick);
	print_options(what, fd);
	exchange(fd);
}

/* What no list of options tells stays with the socket to which it was done. */
static void run_new_again_traces(void)
{
	struct sockaddr_in nobody = probe_server;
	int fd = probe_socket(), off = 0;

	nobody.sin_port = htons(1);
	exchange(fd);
	fd = probe_socket();
	CALL(setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &off, sizeof off));
	exchange(fd);
	print_new("after TCP_QUICKACK");
	fd = probe_socket();
	CALL(connect(fd, (struct sockaddr *)&nobody, sizeof nobody));
	exchange(fd);
	print_new("after a refusal");
}

static void run_set_before(void)
{
	set_at(0);
}
static void run_set_connected(void)
{
	set_at(1);
}
static void run_set_after_eof(void)
{
	set_at(2);
}

static void run_arguments(void)
{
	int fd = probe_dial(), value = 1;
	char small[2];
	socklen_t length;

	for (int stage = 0; stage < 2; stage++) {
		CALL(getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, NULL));
		length = 2;
		CALL(getsockopt(fd, SOL_SOCKET, SO_DOMAIN, small, &length));
		say("length %u", length);
		length = 2;
		CALL(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, small, &length));
		say("length %u", length);
		length = (socklen_t)-1;
		CALL(getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &value, &length));
		length = sizeof value;
		CALL(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, NULL, &length));
		CALL(getsockopt(fd, SOL_SOCKET, SO_DOMAIN, (void *)8, &length));
		CALL(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, NULL, sizeof value));
		CALL(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, 2));
		CALL(setsockopt(fd, SOL_SOCKET, SO_TYPE, &value, sizeof value));
		CALL(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, (void *)8, sizeof value));
		CALL(setsockopt(fd, IPPROTO_TCP, 9999, &value, sizeof value));
		if (stage == 0) {
			probe_ask(fd, "/bytes/10");
			probe_drain(fd);
		}
	}
	CALL(close(fd));
}

/* Options that the kernel refuses on any socket. */
static void refuse_anywhere(int fd)
{
	struct sockaddr_in6 wrong_family = {.sin6_family = AF_INET6};
	struct msghdr none = {0};
	int pipes[2];

	CALL(setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, "", 0));
	CALL(setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, "", 0));
	CALL(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, "", 0));
	CALL(setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, "", 0));
	CALL(setsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, "", 1));
	CALL(setsockopt(fd, IPPROTO_TCP, TCP_ULP, "no such", 7));
	CALL(setsockopt(fd, IPPROTO_TCP, TCP_ULP, NULL, 7));
	CALL(setsockopt(fd, IPPROTO_TCP, 999, "abcd", 4));
	CALL(shutdown(fd, 7));
	CALL(shutdown(fd, -1));
	CALL(fcntl(fd, F_SETSIG, 1000));
	CALL(fcntl(fd, F_SETOWN, 0x3ffffff0));
	CALL(ioctl(fd, FIOASYNC, NULL));
	CALL(ioctl(fd, FIOSETOWN, NULL));
	CALL(ioctl(fd, SIOCSPGRP, NULL));
	CALL(connect(fd, (struct sockaddr *)&probe_server, 1));
	CALL(connect(fd, (struct sockaddr *)&probe_server, 1000));
	CALL(connect(fd, NULL, sizeof probe_server));
	CALL(bind(fd, (struct sockaddr *)&wrong_family, sizeof wrong_family));
	CALL(bind(fd, NULL, sizeof probe_server));
	CALL(sendmsg(fd, &none, -1));
	CALL(sendfile(fd, -1, NULL, 10));
	CALL(sendfile(fd, open("/dev/null", O_WRONLY), NULL, 10));
	CALL(pipe(pipes));
	CALL(splice(pipes[1], NULL, fd, NULL, 10, 0));
	CALL(splice(pipes[0], NULL, fd, NULL, 10, 0x1000));
	CALL(splice(fd, NULL, pipes[0], NULL, 10, 0));
	CALL(splice(fd, NULL, fd, NULL, 10, 0));
	CALL(fdopen(fd, "nonsense") == NULL);
}

static void refuse_connected(int fd)
{
	struct sockaddr_in other = probe_server;
	unsigned char zero_copy[64] = {1, 2, 3};
	socklen_t length = sizeof zero_copy;

	other.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 7);
	CALL(connect(fd, (struct sockaddr *)&other, sizeof other));
	CALL(connect(fd, (struct sockaddr *)&probe_server, sizeof probe_server));
	CALL(listen(fd, 5));
	CALL(bind(fd, (struct sockaddr *)&other, sizeof other));
	CALL(getsockopt(fd, IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, zero_copy, &length));
	refuse_anywhere(fd);
}

static void run_refused(void)
{
	int fd = probe_socket();

	CALL(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL));
	CALL(syscall(SYS_seccomp, 0, 1, NULL));
	CALL(syscall(SYS_seccomp, 2, 0, NULL));
	CALL(unshare(CLONE_FILES | 1));
	refuse_anywhere(fd);
	CALL(connect(fd, (struct sockaddr *)&probe_server, sizeof probe_server));
	refuse_connected(fd);
	probe_ask(fd, "/bytes/100");
	probe_drain(fd);
	refuse_connected(fd);
	CALL(close(fd));
}

/* The call fails, but takes effect all the same. */
static void run_shutdown_first(void)
{
	static const int hows[] = {SHUT_WR, SHUT_RDWR, SHUT_RD};

	for (size_t i = 0; i < sizeof hows / sizeof *hows; i++) {
		int fd = probe_socket();

		CALL(shutdown(fd, hows[i]));
		CALL(connect(fd, (struct sockaddr *)&probe_server, sizeof probe_server));
		CALL(send(fd, "GET /bytes/5 HTTP/1.1\r\nConnection: close\r\n\r\n", 45, MSG_NOSIGNAL));
		CALL(close(fd));
	}
}

/* While an end of file is owed. */
static void run_refused_owed(void)
{
	int fd = probe_dial();

	probe_ask(fd, "/sleep/100");
	refuse_connected(fd);
	probe_drain(fd);
	CALL(close(fd));
}

static const struct probe_case cases[] = {
	{"stages", run_stages},
	{"refused", run_refused},
	{"refused-owed", run_refused_owed},
	{"shutdown-first", run_shutdown_first},
	{"state", run_state},
	{"set-before", run_set_before},
	{"new-again", run_new_again},
	{"set-unseen", run_set_unseen},
	{"set-longer", run_set_longer},
	{"set-by-child", run_set_by_child},
	{"set-async", run_set_async},
	{"new-again-traces", run_new_again_traces},
	{"set-connected", run_set_connected},
	{"set-after-eof", run_set_after_eof},
	{"arguments", run_arguments},
};
PROBE_MAIN(cases)
