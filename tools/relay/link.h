/*
 * One socket of the relay in its loop: what the kernel tells of it, and the bytes that it could not take yet.
 * One thread. Objects that hold a link are freed by link_bury(), since the loop may still have an event of theirs.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "tools/relay/queue.h"

struct link {
	int fd; /* -1: none; non-blocking */
	uint32_t watched;
	bool is_accepted; /* of a listener: nobody has a duplicate, and it closes by an RST of itself (SO_LINGER) */
	struct queue out;
	void (*on_event)(struct link *link, uint32_t events); /* EPOLLIN..., see epoll_ctl(2) */
	struct link *next_buried;
};

/* The set of all links. 0 or -errno. */
int link_begin(void) __attribute__((warn_unused_result));

/* Waits for events, at most so long (-1: for ever), and calls those whom they concern. How many there were. */
unsigned link_wait(int timeout_ms);

/* Takes a socket, which is the link's to close from here on. 0 or -errno: then it is closed. */
int link_open(struct link *link, int fd, void (*on_event)(struct link *link, uint32_t events))
	__attribute__((warn_unused_result));

/* Whether its bytes are wanted. Of its end by an error it tells in any case. */
void link_want_input(struct link *link, bool is_wanted);

/* Tells when it can be written to, from now on, as long as something waits; for a connect(2) under way. */
void link_want_output(struct link *link);

/* Sends, and keeps what the socket does not take. 0 or -errno of send(2), or -ENOMEM. *sent (may be NULL) grows by what
 * the kernel has taken. */
int link_send(struct link *link, const char *bytes, size_t length, uint64_t *sent) __attribute__((warn_unused_result));

/* Sends what waits. The same. */
int link_flush(struct link *link, uint64_t *sent) __attribute__((warn_unused_result));

/* The same for what waits to be sent when the socket is being connected. */
int link_send_later(struct link *link, const char *bytes, size_t length) __attribute__((warn_unused_result));

/* Closes it, with an RST if `is_abrupt`. */
void link_close(struct link *link, bool is_abrupt);

/* Frees the object of malloc(3) that begins with this link, once no event can be about it. */
void link_bury(struct link *link);
