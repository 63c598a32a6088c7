/*
 * A program for static linking: it has one TCP socket, does to it what its arguments say, and prints what it sees.
 *
 * client WAY ADDRESS PORT ACTION...   WAY: block, poll (non-blocking), epoll (registered before connect, edge), dup (a
 * duplicate is used), storage (the address's length is that of struct sockaddr_storage). Actions:
 *   connect          a new socket, and its connect(); before the first other action this happens by itself
 *   send=TEXT        \r \n \0 \\ are escapes; sent by one call
 *   read             until the end of file; read=N: until so many bytes
 *   wait=MS          poll() for input; prints its events
 *   shut close reset peer name       shutdown(SHUT_WR); close(); close() with a reset; getpeername(), getsockname()
 *   sleep=MS hold    a pause; until standard input ends
 *   alarm=MS         a signal that interrupts what is blocked then
 *   family=KIND      of sockets to come, whatever the address is: 4, 6, or only6 (IPV6_V6ONLY)
 *   bind=ADDRESS patience=MS   for sockets to come: their own address; how long a wait may take
 *   storm=US         a signal so often, from now on
 *   user=ID undump   setuid(); what a program that keeps a secret does (PR_SET_DUMPABLE)
 *   repeat=N         all actions behind this one, N times, printing nothing but the last round
 *   quiet            read prints no bytes, only their number and sum
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SHOWN 4096

static const char *way;
static struct sockaddr_storage server;
static socklen_t server_length;
static int fd = -1, set = -1, patience_ms = 20000;
static const char *own_address, *own_family;
static bool is_silent, is_quiet;

static void say(const char *format, ...)
{
	va_list arguments;

	if (is_silent)
		return;
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
}

/* An error's number is the same in every libc; its text is not. */
static void say_error(const char *call)
{
	say("%s: error %d\n", call, errno);
}

static bool is_blocking(void)
{
	return strcmp(way, "poll") && strcmp(way, "epoll");
}

static bool await(short events)
{
	struct epoll_event event;
	int n;

	if (is_blocking())
		return true;
	/* Edges have no events of their own for what is already there. */
	if (set >= 0 && epoll_wait(set, &event, 1, 10) == 1)
		return true;
	/* A signal begins the wait anew: there is none that should end it. */
	do
		n = poll(&(struct pollfd){.fd = fd, .events = events}, 1, patience_ms);
	while (n < 0 && errno == EINTR);
	return n == 1;
}

static void finish_connect(void)
{
	int error = 0;
	socklen_t length = sizeof error;

	if (!await(POLLOUT)) {
		say("connect: hangs\n");
		return;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error) {
		errno = error;
		say_error("connect");
	}
}

static void bind_to(const char *address)
{
	struct sockaddr_in own = {.sin_family = AF_INET};

	inet_pton(AF_INET, address, &own.sin_addr);
	if (bind(fd, (struct sockaddr *)&own, sizeof own))
		say_error("bind");
}

static int make_socket(int type)
{
	static const int on = 1;
	int made = socket(!own_family ? server.ss_family : *own_family == '4' ? AF_INET : AF_INET6, type, 0);

	if (own_family && strcmp(own_family, "only6") == 0)
		setsockopt(made, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
	return made;
}

static void do_connect(void)
{
	int type = SOCK_STREAM | SOCK_CLOEXEC | (is_blocking() ? 0 : SOCK_NONBLOCK);

	if (fd >= 0)
		close(fd);
	fd = make_socket(type);
	if (strcmp(way, "dup") == 0) {
		int other = dup(fd);

		close(fd);
		fd = other;
	}
	if (strcmp(way, "epoll") == 0) {
		if (set < 0)
			set = epoll_create1(EPOLL_CLOEXEC);
		epoll_ctl(set, EPOLL_CTL_ADD, fd,
			  &(struct epoll_event){.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET});
	}
	if (own_address)
		bind_to(own_address);
	if (connect(fd, (struct sockaddr *)&server, server_length) == 0)
		return;
	if (errno == EINPROGRESS)
		finish_connect();
	else
		say_error("connect");
}

/* Undoes the escapes of a text; returns its length. */
static size_t unescape(const char *text, char *bytes)
{
	size_t length = 0;

	while (*text) {
		char c = *text++;

		if (c == '\\' && *text) {
			c = *text++;
			c = c == 'r' ? '\r' : c == 'n' ? '\n' : c == '0' ? 0 : c;
		}
		bytes[length++] = c;
	}
	return length;
}

static void do_send(const char *text)
{
	char *bytes = malloc(strlen(text) + 1);
	size_t length = unescape(text, bytes), sent = 0;

	while (sent < length) {
		ssize_t n = send(fd, bytes + sent, length - sent, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN && await(POLLOUT))
			continue;
		if (n < 0) {
			say_error("send");
			break;
		}
		sent += (size_t)n;
	}
	free(bytes);
}

static void say_bytes(const char *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)bytes[i];

		if (c == '\n')
			say("\n");
		else if (c != '\r' && (c < ' ' || c > '~'))
			say("\\x%02x", c);
		else if (c != '\r')
			say("%c", c);
	}
}

/* Reads until the end of file, an error, or `most` bytes. */
static void do_read(size_t most)
{
	static char piece[65536], shown[SHOWN];
	size_t length = 0, n_shown = 0;
	unsigned sum = 5381;
	const char *end = "enough";
	ssize_t n = 1;

	while (length < most) {
		n = recv(fd, piece, most - length < sizeof piece ? most - length : sizeof piece, 0);
		if (n < 0 && errno == EAGAIN && await(POLLIN))
			continue;
		if (n <= 0) {
			end = n ? "error" : "end of file";
			break;
		}
		for (ssize_t i = 0; i < n; i++) {
			sum = sum * 33 + (unsigned char)piece[i];
			if (n_shown < SHOWN)
				shown[n_shown++] = piece[i];
		}
		length += (size_t)n;
	}
	if (length == n_shown && !is_quiet)
		say_bytes(shown, n_shown);
	say("\n<%zu bytes %08x, %s %d>\n", length, sum, end, n < 0 ? errno : 0);
}

static void do_wait(int ms)
{
	struct pollfd pollfd = {.fd = fd, .events = POLLIN | POLLRDHUP};
	int n = poll(&pollfd, 1, ms);

	say("poll: %d %#x\n", n, n > 0 ? (unsigned)pollfd.revents : 0);
}

static void say_name(const char *call, int (*get)(int, struct sockaddr *, socklen_t *))
{
	struct sockaddr_storage name = {0};
	socklen_t length = sizeof name;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)&name;
	struct sockaddr_in *four = (struct sockaddr_in *)&name;
	char host[INET6_ADDRSTRLEN] = "";

	if (get(fd, (struct sockaddr *)&name, &length)) {
		say_error(call);
		return;
	}
	inet_ntop(name.ss_family, name.ss_family == AF_INET6 ? (void *)&six->sin6_addr : (void *)&four->sin_addr, host,
		  sizeof host);
	/* The own port differs from run to run. */
	say("%s: %s %d, %u bytes\n", call, host, get == getpeername ? ntohs(four->sin_port) : 0, (unsigned)length);
}

static void pause_ms(int ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L}, NULL);
}

static void do_close(bool by_reset)
{
	if (by_reset)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
	close(fd);
	fd = -1;
}

static void hold(void)
{
	char byte;

	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		;
}

static void interrupt(int number)
{
	(void)number;
}

static void storm(int us)
{
	struct itimerval often = {.it_interval.tv_usec = us, .it_value.tv_usec = us};

	sigaction(SIGALRM, &(struct sigaction){.sa_handler = interrupt, .sa_flags = SA_RESTART}, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
}

/* Settings of the process, which need no socket. False: it is another action. */
static bool prepare(const char *name, const char *value)
{
	if (strcmp(name, "sleep") == 0)
		pause_ms(atoi(value));
	else if (strcmp(name, "hold") == 0)
		hold();
	else if (strcmp(name, "alarm") == 0)
		ualarm((unsigned)atoi(value) * 1000, 0);
	else if (strcmp(name, "storm") == 0)
		storm(atoi(value));
	else if (strcmp(name, "quiet") == 0)
		is_quiet = true;
	else if (strcmp(name, "bind") == 0)
		own_address = value;
	else if (strcmp(name, "family") == 0)
		own_family = value;
	else if (strcmp(name, "patience") == 0)
		patience_ms = atoi(value);
	else if (strcmp(name, "undump") == 0)
		prctl(PR_SET_DUMPABLE, 0);
	else if (strcmp(name, "user") != 0)
		return false;
	else if (setuid((uid_t)atoi(value)))
		say_error("setuid");
	return true;
}

static void act(const char *action)
{
	const char *value = strchr(action, '=');
	char name[16] = "";

	strncpy(name, action, value && value - action < 15 ? (size_t)(value - action) : sizeof name - 1);
	value = value ? value + 1 : "";
	if (prepare(name, value))
		return;
	if (strcmp(name, "connect") == 0 || fd < 0)
		do_connect();
	if (strcmp(name, "send") == 0)
		do_send(value);
	else if (strcmp(name, "read") == 0)
		do_read(*value ? strtoul(value, NULL, 10) : (size_t)-1);
	else if (strcmp(name, "wait") == 0)
		do_wait(atoi(value));
	else if (strcmp(name, "shut") == 0 && shutdown(fd, SHUT_WR))
		say_error("shutdown");
	else if (strcmp(name, "close") == 0 || strcmp(name, "reset") == 0)
		do_close(strcmp(name, "reset") == 0);
	else if (strcmp(name, "peer") == 0)
		say_name("getpeername", getpeername);
	else if (strcmp(name, "name") == 0)
		say_name("getsockname", getsockname);
}

static bool set_server(const char *address, const char *port)
{
	struct sockaddr_in *four = (struct sockaddr_in *)&server;
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)&server;
	bool is_six = strchr(address, ':');

	server.ss_family = is_six ? AF_INET6 : AF_INET;
	server_length = is_six ? sizeof *six : sizeof *four;
	if (strcmp(way, "storage") == 0)
		server_length = sizeof server;
	/* The port is at the same place in both. */
	four->sin_port = htons((unsigned short)atoi(port));
	return inet_pton(server.ss_family, address, is_six ? (void *)&six->sin6_addr : (void *)&four->sin_addr) == 1;
}

int main(int argc, char **argv)
{
	if (argc < 5)
		return 2;
	setlinebuf(stdout);
	way = argv[1];
	if (!set_server(argv[2], argv[3]))
		return 2;
	/* Without SA_RESTART: a blocked call ends with EINTR. */
	sigaction(SIGALRM, &(struct sigaction){.sa_handler = interrupt}, NULL);
	for (int i = 4; i < argc; i++) {
		long rounds = strncmp(argv[i], "repeat=", 7) ? 0 : atol(argv[i] + 7);

		if (!rounds) {
			act(argv[i]);
			continue;
		}
		for (; rounds > 0; rounds--) {
			is_silent = rounds > 1;
			for (int next = i + 1; next < argc; next++)
				act(argv[next]);
		}
		break;
	}
	return 0;
}
