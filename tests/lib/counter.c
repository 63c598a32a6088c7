/*
 * Adds one to a counter, N times, each time on a connection of its own, on which it leaves something; every third says
 * goodbye. Prints how often it was told that it was done, and how often not. Usage: counter redis|memcached PORT N
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* What is said, how many lines are due, how a right answer begins, and what is in no right one. */
struct dialogue {
	const char *name, *request, *begins, *error, *goodbye;
	int n_lines, n_lines_of_goodbye;
};

static const struct dialogue dialogues[] = {
	{"redis", "*2\r\n$6\r\nSELECT\r\n$1\r\n5\r\n*2\r\n$4\r\nINCR\r\n$7\r\ncounter\r\n", "+", "-",
	 "*1\r\n$4\r\nQUIT\r\n", 2, 1},
	{"memcached", "set other 0 0 1\r\nx\r\nincr counter 1\r\ndelete other noreply\r\n", "STORED", "ERROR",
	 "quit\r\n", 2, 0},
};

/* As many lines as are due. */
static int read_lines(int fd, const struct dialogue *dialogue, int n)
{
	char bytes[256];
	size_t length = 0;

	for (;;) {
		ssize_t got = read(fd, bytes + length, sizeof(bytes) - 1 - length);
		int n_lines = 0;

		if (got <= 0)
			return n == 0 && got == 0;
		length += (size_t)got;
		bytes[length] = '\0';
		for (size_t i = 0; i < length; i++)
			n_lines += bytes[i] == '\n';
		if (n_lines == n)
			return strncmp(bytes, dialogue->begins, strlen(dialogue->begins)) == 0 &&
			       bytes[length - 1] == '\n' && !strstr(bytes, dialogue->error);
	}
}

static int say(int fd, const char *words)
{
	return write(fd, words, strlen(words)) == (ssize_t)strlen(words);
}

static int ask(int fd, const struct dialogue *dialogue, int is_last)
{
	char byte;

	if (!say(fd, dialogue->request) || !read_lines(fd, dialogue, dialogue->n_lines))
		return 0;
	if (!is_last)
		return 1;
	return say(fd, dialogue->goodbye) && read_lines(fd, dialogue, dialogue->n_lines_of_goodbye) &&
	       read(fd, &byte, 1) == 0;
}

int main(int argc, char *argv[])
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int n_done = 0, n = argc > 3 ? atoi(argv[3]) : 0;
	const struct dialogue *dialogue = argc > 3 && strcmp(argv[1], "memcached") == 0 ? &dialogues[1] : &dialogues[0];

	address.sin_port = htons((uint16_t)atoi(argc > 3 ? argv[2] : "0"));
	for (int i = 0; i < n; i++) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		if (fd < 0)
			continue;
		if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
			n_done += ask(fd, dialogue, i % 3 == 2);
		close(fd);
		/* The next one finds a connection that is cold. */
		if (i % 4 == 3)
			usleep(120000);
	}
	printf("done %d failed %d\n", n_done, n - n_done);
	return 0;
}
