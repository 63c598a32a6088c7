/* stdio on sockets: libc's inner reads and writes reach no wrapper; the bytes and the end must be right all the
 * same. */
#include "tests/lib/probe.h"

static void read_lines(FILE *stream)
{
	char line[256];
	int lines = 0;
	long total = 0;

	while (fgets(line, sizeof line, stream)) {
		lines++;
		total += (long)strlen(line);
	}
	say("%d lines, %ld bytes, eof %d error %d", lines, total, feof(stream) != 0, ferror(stream) != 0);
}

static void run_one_stream(void)
{
	int fd = probe_dial();
	FILE *stream = fdopen(fd, "r+");

	CALL(fprintf(stream, "GET /bytes/500 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
	CALL(fflush(stream));
	read_lines(stream);
	CALL(fclose(stream));
	CALL(close(fd));
	probe_exchange("/bytes/10");
}

static void run_two_streams(void)
{
	int fd = probe_dial();
	FILE *in = fdopen(fd, "r"), *out = fdopen(dup(fd), "w");

	CALL(fputs("GET /bytes/500 HTTP/1.0\r\nHost: x\r\n\r\n", out));
	CALL(fclose(out));
	read_lines(in);
	CALL(fclose(in));
}

static void run_read_only(void)
{
	int fd = probe_dial();
	FILE *stream;

	probe_ask(fd, "/bytes/5000");
	stream = fdopen(fd, "r");
	read_lines(stream);
	CALL(fileno(stream) == fd);
	CALL(fclose(stream));
	CALL(close(fd));
}

static void run_half_read(void)
{
	int fd = probe_dial();
	char head[40];
	FILE *stream;

	probe_ask(fd, "/bytes/5000");
	CALL(recv(fd, head, sizeof head, MSG_WAITALL));
	stream = fdopen(fd, "r");
	read_lines(stream);
	CALL(fclose(stream));
}

static void run_write_only(void)
{
	int fd = probe_dial();
	FILE *stream = fdopen(dup(fd), "w");

	setvbuf(stream, NULL, _IONBF, 0);
	CALL(fprintf(stream, "GET /bytes/%d HTTP/1.1\r\n", 50));
	CALL(fprintf(stream, "Connection: close\r\n\r\n"));
	probe_drain(fd);
	CALL(fclose(stream));
	CALL(close(fd));
}

static void run_dprintf(void)
{
	int fd = probe_dial();

	CALL(dprintf(fd, "GET /bytes/%d HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 50));
	probe_drain(fd);
	CALL(close(fd));
	probe_exchange("/bytes/10");
}

/* read() reaches the end, then a stream is opened on the same descriptor. */
static void run_after_end(void)
{
	int fd = probe_dial();
	FILE *stream;

	probe_ask(fd, "/bytes/50");
	probe_drain(fd);
	stream = fdopen(fd, "r");
	CALL(fgetc(stream));
	CALL(feof(stream) != 0);
	CALL(fclose(stream));
	CALL(close(fd));
	probe_exchange("/bytes/10");
}

static void run_getline(void)
{
	char *line = NULL;
	size_t size = 0;
	int fd = probe_dial();
	FILE *stream = fdopen(fd, "r+b");
	long n, total = 0;

	setvbuf(stream, NULL, _IONBF, 0);
	CALL(fputs("GET /chunked/3000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", stream));
	while ((n = getline(&line, &size, stream)) > 0)
		total += n;
	say("%ld bytes", total);
	free(line);
	CALL(fclose(stream));
}

static void run_ten(void)
{
	for (int i = 0; i < 10; i++) {
		int fd = probe_dial();
		FILE *stream = fdopen(fd, "r+");

		say("fd %d", fd);
		fprintf(stream, "GET /bytes/%d HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", i * 10);
		fflush(stream);
		read_lines(stream);
		fclose(stream);
	}
}

static const struct probe_case cases[] = {
	{"one-stream", run_one_stream}, {"two-streams", run_two_streams}, {"read-only", run_read_only},
	{"half-read", run_half_read},	{"write-only", run_write_only},	  {"dprintf", run_dprintf},
	{"after-end", run_after_end},	{"getline", run_getline},	  {"ten", run_ten},
};
PROBE_MAIN(cases)
