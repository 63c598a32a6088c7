/*
 * The common part of the contract programs. See probe.h. It uses only plain libc calls: those under test.
 */
#include "probe.h"

#include <dirent.h>
#include <stdarg.h>
#include <sys/time.h>
#include <sys/resource.h>

int probe_port;
struct sockaddr_in probe_server;
static bool muted;

void say(const char *format, ...)
{
	char line[1024];
	va_list arguments;
	int length;

	if (muted)
		return;
	va_start(arguments, format);
	length = vsnprintf(line, sizeof line - 1, format, arguments);
	va_end(arguments);
	if (length > (int)sizeof line - 2)
		length = sizeof line - 2;
	line[length] = '\n';
	if (write(1, line, (size_t)length + 1) < 0)
		_exit(99);
}

void probe_mute(bool mute)
{
	muted = mute;
}

void probe_result(const char *what, long result, int error)
{
	if (result < 0)
		say("%s = %ld %s", what, result, error_name(error));
	else
		say("%s = %ld%s", what, result, error == 4242 ? "" : " (errno touched)");
}

int probe_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0) {
		say("probe: socket: %s", error_name(errno));
		exit(98);
	}
	return fd;
}

int probe_dial(void)
{
	int fd = probe_socket();

	if (connect(fd, (struct sockaddr *)&probe_server, sizeof probe_server)) {
		say("probe: connect: %s", error_name(errno));
		exit(98);
	}
	return fd;
}

int probe_dial_nonblocking(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct pollfd pollfd = {.fd = fd, .events = POLLOUT};

	if (connect(fd, (struct sockaddr *)&probe_server, sizeof probe_server) && errno != EINPROGRESS) {
		say("probe: connect: %s", error_name(errno));
		exit(98);
	}
	poll(&pollfd, 1, 5000);
	return fd;
}

static void ask(int fd, const char *path, const char *version, const char *field)
{
	char request[512];
	int length = snprintf(request, sizeof request, "GET %s HTTP/%s\r\nHost: test\r\n%s\r\n", path, version, field);

	if (send(fd, request, (size_t)length, MSG_NOSIGNAL) != length)
		say("probe: request not sent: %s", error_name(errno));
}

void probe_ask(int fd, const char *path)
{
	ask(fd, path, "1.1", "Connection: close\r\n");
}

void probe_ask10(int fd, const char *path)
{
	ask(fd, path, "1.0", "");
}

void probe_ask_keep(int fd, const char *path)
{
	ask(fd, path, "1.1", "");
}

void probe_settle(void)
{
	usleep(25000);
}

static unsigned checksum(unsigned sum, const char *bytes, long length)
{
	for (long i = 0; i < length; i++)
		sum = sum * 31 + (unsigned char)bytes[i];
	return sum;
}

long probe_read(int fd, size_t size)
{
	char *bytes = malloc(size);
	long n;

	errno = 4242;
	n = read(fd, bytes, size);
	if (n > 0)
		say("read %zu = %ld checksum %08x%s", size, n, checksum(0, bytes, n),
		    errno == 4242 ? "" : " (errno touched)");
	else
		probe_result("read", n, errno);
	free(bytes);
	return n;
}

long probe_drain(int fd)
{
	char bytes[4096];
	long total = 0, n;
	unsigned sum = 0;

	for (;;) {
		n = read(fd, bytes, sizeof bytes);
		if (n < 0 && errno == EAGAIN) {
			struct pollfd pollfd = {.fd = fd, .events = POLLIN};

			if (poll(&pollfd, 1, 5000) == 1)
				continue;
			say("drain: nothing comes any more");
		}
		if (n <= 0)
			break;
		sum = checksum(sum, bytes, n);
		total += n;
	}
	say("drained %ld checksum %08x end %s", total, sum, n == 0 ? "EOF" : error_name(errno));
	return total;
}

/* A token that is read byte by byte can't be edited: here, and only here, both spellings count as equal. */
static void restore_close(char *head)
{
	char *token = strstr(head, "Connection: keep-alive");

	if (token)
		memcpy(token, "Connection: close     ", 22);
}

long probe_read_answer(int fd)
{
	char bytes[65536];
	size_t length = 0;

	while (length < sizeof bytes - 1) {
		struct pollfd pollfd = {.fd = fd, .events = POLLIN};
		char *end, *field;
		long n;

		if (poll(&pollfd, 1, 5000) != 1)
			break;
		n = read(fd, bytes + length, 1);
		if (n <= 0)
			break;
		length += (size_t)n;
		bytes[length] = 0;
		end = strstr(bytes, "\r\n\r\n");
		field = strstr(bytes, "Content-Length: ");
		if (end && field && length == (size_t)(end + 4 - bytes) + strtoul(field + 16, NULL, 10))
			break;
	}
	restore_close(bytes);
	say("answer of %zu bytes, checksum %08x", length, checksum(0, bytes, (long)length));
	return (long)length;
}

static const struct {
	unsigned bit;
	const char *name;
} event_names[] = {
	{POLLIN, "IN"},	    {POLLPRI, "PRI"},	    {POLLOUT, "OUT"},	    {POLLERR, "ERR"},	  {POLLHUP, "HUP"},
	{POLLNVAL, "NVAL"}, {POLLRDNORM, "RDNORM"}, {POLLWRNORM, "WRNORM"}, {POLLRDHUP, "RDHUP"},
};

static void print_events(const char *when, const char *function, int result, unsigned events)
{
	char text[128] = "";

	for (size_t i = 0; i < sizeof event_names / sizeof *event_names; i++)
		if (events & event_names[i].bit) {
			strcat(text, " ");
			strcat(text, event_names[i].name);
		}
	say("%s: %s = %d%s", when, function, result, text);
}

short probe_poll(const char *when, int fd, short events, int timeout_ms)
{
	struct pollfd pollfd = {.fd = fd, .events = events};
	int n = poll(&pollfd, 1, timeout_ms);

	print_events(when, "poll", n, (unsigned short)pollfd.revents);
	return pollfd.revents;
}

void probe_wait_end(const char *what, int fd)
{
	char bytes[4096];
	long total = 0, n;
	struct timeval limit = {3, 0};

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	while ((n = read(fd, bytes, sizeof bytes)) > 0)
		total += n;
	say("%s: %s, then %s", what, total ? "an answer" : "nothing", n == 0 ? "EOF" : error_name(errno));
}

void probe_print_epoll(const char *when, int epoll_fd, int timeout_ms)
{
	struct epoll_event events[8];
	int n = epoll_wait(epoll_fd, events, 8, timeout_ms);

	if (n <= 0)
		say("%s: epoll_wait = %d", when, n);
	for (int i = 0; i < n; i++) {
		char function[64];

		snprintf(function, sizeof function, "epoll_wait data %llx", (unsigned long long)events[i].data.u64);
		print_events(when, function, n, events[i].events);
	}
}

void probe_exchange(const char *path)
{
	char bytes[4096];
	int fd = probe_dial();

	probe_ask(fd, path);
	while (read(fd, bytes, sizeof bytes) > 0)
		;
	close(fd);
}

bool probe_is_heavy(void)
{
	const char *heavy = getenv("HL_HEAVY");

	return heavy && *heavy;
}

int probe_count_fds(void)
{
	struct rlimit limit;
	int n = 0;

	getrlimit(RLIMIT_NOFILE, &limit);
	for (int fd = 0; fd < (int)limit.rlim_cur; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

int probe_main(int argc, char **argv, const struct probe_case *cases, size_t n_cases)
{
	size_t i;

	if (argc == 2 && strcmp(argv[1], "list") == 0) {
		for (i = 0; i < n_cases; i++)
			say("%s", cases[i].name);
		return 0;
	}
	if (argc != 4)
		return 2;
	probe_port = atoi(argv[1]);
	probe_server.sin_family = AF_INET;
	probe_server.sin_port = htons((uint16_t)probe_port);
	probe_server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (i = 0; i < n_cases && strcmp(argv[2], cases[i].name); i++)
		;
	if (i == n_cases)
		return 2;
	if (strcmp(argv[3], "hit") == 0)
		probe_exchange("/bytes/10");
	if (strcmp(argv[3], "again") == 0) {
		probe_mute(true);
		cases[i].run();
		probe_mute(false);
	}
	cases[i].run();
	return 0;
}
