/*
 * The common part of all contract programs. A program prints the results of libc calls, and the run script compares the
 * bare output with the preloaded one.
 *
 * PROGRAM PORT CASE miss: the scenario as the first thing in the process. `hit`: after a plain exchange that leaves a
 * connection to reuse. `again`: the scenario twice, the second one printed. PROGRAM list: the names of the cases.
 */
#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/error_name.h"

struct probe_case {
	const char *name;
	void (*run)(void);
};

extern int probe_port;
extern struct sockaddr_in probe_server;

/* Runs `expression`, and prints it with its value, the name of errno if it failed, and a mark if it succeeded but
 * changed errno. */
#define CALL(expression)                                       \
	({                                                     \
		errno = 4242;                                  \
		long call_result = (long)(expression);         \
		probe_result(#expression, call_result, errno); \
		call_result;                                   \
	})

void probe_result(const char *what, long result, int error);

/* Prints a line by one write: lines stay whole even if several processes print. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A TCP socket; a connected one; one whose non-blocking connect has made it writable. */
int probe_socket(void);
int probe_dial(void);
int probe_dial_nonblocking(void);

/* Sends a request for `path` as one write. close: HTTP/1.1 with `Connection: close`; 10: HTTP/1.0; keep: HTTP/1.1. */
void probe_ask(int fd, const char *path);
void probe_ask10(int fd, const char *path);
void probe_ask_keep(int fd, const char *path);

/* Waits until everything that a local server sends has come, its FIN too. */
void probe_settle(void);

/* Reads once into a buffer of `size` bytes and prints the result. */
long probe_read(int fd, size_t size);

/* Reads to the end or to an error (blocking, or with poll if the socket doesn't block); prints count, checksum and the
 * end. */
long probe_drain(int fd);

/* Reads the whole answer by its Content-Length, and no further. Prints its size. */
long probe_read_answer(int fd);

/* Reads an answer to its end, waiting at most three seconds for more bytes, and prints how it ended. */
void probe_wait_end(const char *what, int fd);

/* Prints poll()'s result and revents by name. */
short probe_poll(const char *when, int fd, short events, int timeout_ms);
void probe_print_epoll(const char *when, int epoll_fd, int timeout_ms);

/* One plain exchange on a connection of its own, without output. */
void probe_exchange(const char *path);

/* Silences say() (and back). */
void probe_mute(bool mute);

/* True for the long form of the tests, for which `make check` has no time. */
bool probe_is_heavy(void);

/* The number of open descriptors of this process, as /proc/self/fd counts them below the soft limit. */
int probe_count_fds(void);

int probe_main(int argc, char **argv, const struct probe_case *cases, size_t n_cases);

#define PROBE_MAIN(cases)                                                              \
	int main(int argc, char **argv)                                                \
	{                                                                              \
		return probe_main(argc, argv, cases, sizeof(cases) / sizeof *(cases)); \
	}
