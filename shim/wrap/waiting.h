/*
 * poll, select, epoll and their kin. They are wrapped for two reasons only: to know which threads are inside (a thread
 * that waits on a file must not be left waiting on it after a swap), and to keep the end of a kept connection that has
 * gone stale from a program that would take it for its own connection's. Readiness itself is always the kernel's.
 * Here is what they share. All of it preserves errno and is async-signal-safe.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

#include "shim/sock/sock.h"

#define WAITING_TOKENS_MAX 32

/* The sockets that the calling thread waits for. */
struct waiting_tokens {
	struct inside_token token[WAITING_TOKENS_MAX];
	unsigned n;
};

/* True if no socket is followed. */
static inline bool waiting_is_idle(void)
{
	return !atomic_load_explicit(&sock_n_tracked, memory_order_relaxed);
}

/* True if a connection was leased of which nothing has been heard yet: it may turn out to be stale. */
static inline bool waiting_any_in_window(void)
{
	return atomic_load_explicit(&sock_n_in_window, memory_order_relaxed);
}

/* The thread begins to wait for this descriptor, and does no more for all of them. */
void waiting_go_inside(struct waiting_tokens *tokens, int fd);
void waiting_come_out(struct waiting_tokens *tokens);

/* True if the event was the end of a stale connection, which has been replaced, or could not be in the time that is
 * left (-1: endless): the program is to wait on. */
bool waiting_recover(int fd, int left_ms);

/* True if what can be read there may be such an end. An end without an error says no more than that there is something
 * to read, unless it is asked for. A program that reads then finds nothing, if its socket doesn't block, and not all
 * take that well: some give the connection up. */
bool waiting_is_stale_end(int fd);

/* True if the event was a placeholder's, whose turn has come or whose broker is gone: the program is to hear of the
 * connection that stands there now, and of nothing that it could take for the server's. */
bool waiting_turn_has_come(int fd);

/* Rounded up; NULL: -1. */
int waiting_in_ms(const struct timespec *time);

/* The rest of a timeout that began at `start`, in `left`; NULL stays NULL. */
const struct timespec *waiting_remaining_of(const struct timespec *timeout, const struct timespec *start,
					    struct timespec *left);

/* Slices of the time, between which pending bytes are pushed on: the next ones are longer. */
extern const struct timespec waiting_first_slice;
void waiting_lengthen(struct timespec *slice);

/* True if the first is the shorter one. */
bool waiting_is_shorter(const struct timespec *one, const struct timespec *other);
void waiting_subtract(struct timespec *time, const struct timespec *part);
