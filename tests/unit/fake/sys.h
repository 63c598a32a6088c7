/*
 * A fake kernel for the pool's modules: TCP sockets by descriptor, memory, a clock that stands still until the test
 * moves it, and calls that fail when the test says so. An act that only a bug causes (closing a descriptor that is not
 * open, giving back foreign memory, asking for options of no socket) aborts the test at once.
 *
 * There is one kernel per process; fake_sys_start() empties it, fake_sys_stop() gives back all it holds: a test's
 * fixture.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "pool/base/sys.h"

#define FAKE_ESTABLISHED 1
#define FAKE_CLOSE 7
#define FAKE_CLOSE_WAIT 8
#define FAKE_FD_MIN 1000 /* far above real descriptors, so that a mix-up shows */

enum fake_call {
	FAKE_CALL_GETSOCKOPT,
	FAKE_CALL_SETSOCKOPT,
	FAKE_CALL_CLOSE,
	FAKE_CALL_MAP,
	FAKE_CALL_DISCONNECT,
	FAKE_CALL_GETPEERNAME,
	FAKE_CALL_WATCH,
	FAKE_CALL_COUNT
};

struct fake_option {
	int level;
	int name;
	socklen_t length;
	uint8_t value[16];
};

struct fake_socket {
	bool is_open;
	/* Of a descriptor. */
	int duplicate_of; /* 0: an original */
	void *watcher;	  /* argument of watch() or watch_process(), until it is closed */
	/* The rest belongs to the socket, at its original. */
	unsigned n_descriptors;
	bool was_disconnected;
	bool was_shut_down; /* both ways */
	bool has_sent_end;  /* of file, by shutdown() */
	int protocol;
	uint64_t cookie; /* as of the original's number */
	uint64_t netns_cookie;
	struct sockaddr_in6 peer; /* 10.0.0.1:80 */
	socklen_t peer_length;
	/* Values of TCP_INFO. */
	uint8_t state;
	uint32_t rtt_us;
	uint32_t unacked; /* segments */
	uint32_t notsent_bytes;
	uint32_t last_ack_ms;
	uint32_t last_data_ms;
	uint64_t bytes_sent; /* retransmitted ones included */
	uint64_t bytes_retrans;
	uint64_t bytes_received;
	socklen_t info_length; /* size of struct tcp_info in this kernel */
	/* Options that were set; all others read as zeroes. */
	struct fake_option options[16];
	unsigned n_options;
};

struct fake_kernel {
	uint64_t now_ns;
	unsigned n_calls[FAKE_CALL_COUNT];
	unsigned n_open; /* descriptors */
	unsigned n_sockets_ever;
	unsigned n_mapped; /* pieces of memory */
	unsigned n_unmapped;
	uint64_t mapped_bytes;
};

extern struct fake_kernel fake_kernel;
extern const struct pool_sys fake_sys;

/* Receives sent packets; the result of sendmsg(), or -errno. NULL: sending fails the test. Nothing is ever received. */
extern ssize_t (*fake_sys_on_send)(int fd, const void *packet, size_t length, int passed);

void fake_sys_start(void);
void fake_sys_stop(void);

/* Of the next calls of this kind, the `first`-th (1: the next one) and the n - 1 after it fail with `error`. */
void fake_sys_fail(enum fake_call call, unsigned first, unsigned n, int error);

/* A new established socket, nothing sent or received. Descriptors are never reused, so that a stale one shows. */
int fake_socket_new(void);

/* The state of a descriptor; aborts the test if it never existed. */
struct fake_socket *fake_socket(int fd);

/* Another descriptor of an open one's socket. */
int fake_socket_duplicate(int fd);

/* A process has ended: its number is below FAKE_PIDS, and all live at the start. */
#define FAKE_PIDS 65536
void fake_sys_end_process(int pid);

/* The socket of a descriptor, which may be closed. */
struct fake_socket *fake_socket_original(int fd);
