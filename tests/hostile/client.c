/*
 * Clients for the hostile suite, each a plain program that opens a connection for every request.
 *
 * client PORT mixed N [FIRST_ID]: GETs and POSTs, each must be answered whole. client PORT posts N.
 * client PORT gets N [PATH].
 * client PORT closes-first N: GETs whose answers are read by their length, and closed by the client first.
 * client PORT closes-first-keep N, posts-keep N: the same, and POSTs, that don't ask for close.
 * client PORT controls N: GETs, every other one with a control message beside it.
 * client PORT goes-on N FIRST_ID: asks for close, and for more on the same socket when the answer doesn't say it; if
 * that fails, on a new one, as libraries do.
 * client PORT pieces N PATH: requests in three writes; prints the median time in microseconds.
 * client PORT get-post: one of each.
 * client PORT hold N: N connections at once.
 * The last line says `ok N failed N eaddrnotavail N`.
 */
#include "tests/lib/probe.h"

#include <time.h>

static long n_ok, n_failed, n_no_address;
static const char *connection = "Connection: close\r\n";
static bool with_control;

static int dial(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct timeval limit = {.tv_sec = 10};

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	if (connect(fd, (struct sockaddr *)&probe_server, sizeof probe_server) == 0)
		return fd;
	if (errno == EADDRNOTAVAIL)
		n_no_address++;
	close(fd);
	return -1;
}

/* Reads to the end of file, or to the end by Content-Length if `by_length`. True for a whole answer 200. */
static bool read_answer(int fd, bool by_length)
{
	static char bytes[1 << 21];
	size_t length = 0;

	for (;;) {
		long n = read(fd, bytes + length, sizeof bytes - 1 - length);
		char *end, *field;
		bool whole;

		if (n < 0)
			return false;
		length += (size_t)n;
		bytes[length] = 0;
		end = strstr(bytes, "\r\n\r\n");
		field = strstr(bytes, "Content-Length: ");
		whole = end && field && length == (size_t)(end + 4 - bytes) + strtoul(field + 16, NULL, 10);
		if (n == 0 || (whole && by_length))
			return whole && strncmp(bytes, "HTTP/1.1 200", 12) == 0;
	}
}

static void tally(bool ok, const char *what, long i)
{
	if (ok)
		n_ok++;
	else if (n_failed++ < 5)
		say("request %ld (%s) failed: %s", i, what, error_name(errno));
}

/* Optionally beside a control message of a level that TCP sockets ignore. */
static long send_text(int fd, char *text, size_t length)
{
	char control[CMSG_SPACE(sizeof(int))] = {0};
	struct iovec piece = {text, length};
	struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};

	if (!with_control)
		return send(fd, text, length, MSG_NOSIGNAL);
	message.msg_control = control;
	message.msg_controllen = sizeof control;
	*CMSG_FIRSTHDR(&message) = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = IPPROTO_IPV6};
	return sendmsg(fd, &message, MSG_NOSIGNAL);
}

static bool ask(int fd, const char *method, const char *path, long id, bool by_length)
{
	char text[512], body[64] = "";
	int length;

	if (strcmp(method, "POST") == 0)
		snprintf(body, sizeof body, "id=%06ld", id);
	length = snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: x\r\n%sContent-Length: %zu\r\n\r\n%s", method,
			  path, connection, strlen(body), body);
	return send_text(fd, text, (size_t)length) == length && read_answer(fd, by_length);
}

static void request(const char *method, const char *path, long id, bool by_length)
{
	int fd = dial();

	tally(fd >= 0 && ask(fd, method, path, id, by_length), method, id);
	if (fd >= 0)
		close(fd);
}

static void run_mixed(long n, long first_id)
{
	for (long i = 0; i < n; i++) {
		bool post = (unsigned)i * 2654435761u >> 16 & 1 &
			    (unsigned)(i / 3); /* runs of both kinds, alternations too */

		request(post ? "POST" : "GET", post ? "/body" : "/bytes/100", first_id + i, false);
	}
}

static void run_goes_on(long n, long first_id)
{
	int fd = -1;

	for (long i = 0; i < n; i++) {
		const char *path = i % 3 ? "/bytes/100" : "/bytes/3000";
		bool ok = fd >= 0 && ask(fd, "GET", path, first_id + i, true);

		if (!ok) {
			close(fd);
			fd = dial();
			ok = fd >= 0 && ask(fd, "GET", path, first_id + i, true);
		}
		tally(ok, "goes on", i);
	}
	close(fd);
}

static void run_requests(const char *method, const char *path, long n, bool by_length)
{
	for (long i = 0; i < n; i++)
		request(method, path, i, by_length);
}

static int compare_times(const void *a, const void *b)
{
	long x = *(const long *)a, y = *(const long *)b;

	return (x > y) - (x < y);
}

static long now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void run_pieces(long n, const char *path)
{
	long times[1000];

	for (long i = 0; i < n && i < 1000; i++) {
		char rest[256];
		int fd, length;
		bool ok;

		times[i] = now_us();
		fd = dial();
		length = snprintf(rest, sizeof rest, "GET %s HTTP/1.1\r\n", path);
		ok = write(fd, rest, (size_t)length) == length;
		ok = ok && write(fd, "Host: test\r\n", 12) == 12;
		ok = ok && write(fd, "Connection: close\r\n\r\n", 21) == 21;
		tally(ok && read_answer(fd, false), "pieces", i);
		close(fd);
		times[i] = now_us() - times[i];
	}
	qsort(times, (size_t)n, sizeof *times, compare_times);
	say("median %ld us", times[n / 2]);
}

static void run_hold(long n)
{
	int fds[1000];

	for (long i = 0; i < n && i < 1000; i++) {
		fds[i] = dial();
		probe_ask(fds[i], "/bytes/10");
	}
	for (long i = 0; i < n && i < 1000; i++) {
		tally(read_answer(fds[i], false), "hold", i);
		close(fds[i]);
	}
}

int main(int argc, char **argv)
{
	long n = argc > 3 ? atol(argv[3]) : 0;
	const char *what = argc > 2 ? argv[2] : "", *path = argc > 4 ? argv[4] : "/bytes/100";

	if (argc < 3)
		return 2;
	probe_server.sin_family = AF_INET;
	probe_server.sin_port = htons((uint16_t)atoi(argv[1]));
	probe_server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (strcmp(what, "mixed") == 0) {
		run_mixed(n, argc > 4 ? atol(path) : 0);
	} else if (strcmp(what, "controls") == 0) {
		for (long i = 0; i < n; i++) {
			with_control = i % 2;
			run_requests("GET", path, 1, false);
		}
	} else if (strcmp(what, "goes-on") == 0) {
		run_goes_on(n, argc > 4 ? atol(path) : 0);
	} else if (strcmp(what, "posts") == 0) {
		run_requests("POST", "/body", n, false);
	} else if (strcmp(what, "gets") == 0) {
		run_requests("GET", path, n, false);
	} else if (strcmp(what, "closes-first") == 0) {
		run_requests("GET", path, n, true);
	} else if (strcmp(what, "closes-first-keep") == 0) {
		connection = "";
		run_requests("GET", path, n, true);
	} else if (strcmp(what, "posts-keep") == 0) {
		connection = "";
		run_requests("POST", "/body", n, true);
	} else if (strcmp(what, "get-post") == 0) {
		request("GET", path, 1, false);
		request("POST", "/body", 2, false);
		request("GET", path, 3, false);
	} else if (strcmp(what, "pieces") == 0) {
		run_pieces(n, path);
	} else if (strcmp(what, "hold") == 0) {
		run_hold(n);
	}
	say("ok %ld failed %ld eaddrnotavail %ld", n_ok, n_failed, n_no_address);
	return 0;
}
