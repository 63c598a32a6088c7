/*
 * The simplest possible clients, for measurements.
 *
 * loop ADDRESS PORT fresh|keep N: N GETs of /bytes/1024, a connection each or all on one; prints microseconds per
 * request (the median). loop read N FILE: N reads of a byte of FILE, for counting instructions.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static struct sockaddr_in server = {.sin_family = AF_INET};

static long now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000L + now.tv_nsec;
}

static int dial(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&server, sizeof server)) {
		perror("loop");
		exit(1);
	}
	return fd;
}

static void ask(int fd, bool keep)
{
	char request[128];
	int length = snprintf(request, sizeof request, "GET /bytes/1024 HTTP/1.1\r\nHost: x\r\n%s\r\n",
			      keep ? "" : "Connection: close\r\n");

	if (write(fd, request, (size_t)length) != length)
		exit(1);
}

/* Reads to the end of file, or to the end of the answer's 1024 bytes. */
static void read_answer(int fd, bool keep)
{
	char bytes[8192], *end;
	size_t length = 0;

	for (;;) {
		ssize_t n = read(fd, bytes + length, sizeof bytes - 1 - length);

		if (n < 0 || (n == 0 && (keep || length < 1024)))
			exit(1);
		if (n == 0)
			return;
		length += (size_t)n;
		bytes[length] = 0;
		end = strstr(bytes, "\r\n\r\n");
		if (keep && end && length == (size_t)(end + 4 - bytes) + 1024)
			return;
	}
}

static int compare(const void *a, const void *b)
{
	long x = *(const long *)a, y = *(const long *)b;

	return (x > y) - (x < y);
}

static void run_requests(bool keep, long n)
{
	long *times = calloc((size_t)n, sizeof *times);
	int fd = -1;

	for (long i = 0; i < n; i++) {
		long begin = now_ns();

		if (fd < 0)
			fd = dial();
		ask(fd, keep);
		read_answer(fd, keep);
		if (!keep) {
			close(fd);
			fd = -1;
		}
		times[i] = now_ns() - begin;
	}
	qsort(times, (size_t)n, sizeof *times, compare);
	printf("%.2f\n", (double)times[n / 2] / 1000);
	free(times);
}

static void run_reads(long n, const char *path)
{
	int fd = open(path, O_RDONLY);
	char byte;

	for (long i = 0; i < n; i++)
		if (read(fd, &byte, 1) != 1)
			exit(1);
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "read") == 0) {
		run_reads(atol(argv[2]), argv[3]);
		return 0;
	}
	if (argc != 5 || !inet_aton(argv[1], &server.sin_addr))
		return 2;
	server.sin_port = htons((unsigned short)atoi(argv[2]));
	run_requests(strcmp(argv[3], "keep") == 0, atol(argv[4]));
	return 0;
}
