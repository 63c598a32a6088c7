/*
 * Connections that have something to send before their server says a word, for programs that don't block: they are
 * awaiting a dial, or room in the kernel, of which the program knows nothing, so that nothing would wake it. While
 * there are any, the calls by which it waits (shim/wrap/poll.c) wait in slices, and push them on between those.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

/* Milliseconds of a slice: the first in a call, and the longest. Each is twice the one before. */
#define PENDING_SLICE_MS 5
#define PENDING_SLICE_MAX_MS 100

/* How many there are. */
extern _Atomic(unsigned) pending_n;

/* This thread waits by calls of ours for what happens on its sockets. */
extern __thread bool pending_is_awaited __attribute__((tls_model("initial-exec")));

static inline bool pending_any(void)
{
	return __builtin_expect(atomic_load_explicit(&pending_n, memory_order_relaxed) != 0, 0);
}

static inline int pending_next_slice_ms(int slice_ms)
{
	return slice_ms < PENDING_SLICE_MAX_MS / 2 ? slice_ms * 2 : PENDING_SLICE_MAX_MS;
}

/* A thread is about to wait in an epoll set for as long as it takes, where it pushes nothing. False: something is
 * pending. */
bool pending_fall_asleep(void) __attribute__((warn_unused_result));
void pending_wake(void);

/* Counts one as pending. False: a thread is asleep, which might be the one that is to be told. */
bool pending_take(void) __attribute__((warn_unused_result));
void pending_drop(void);

/* In a fork's child: what is pending is the parent's. */
void pending_forget_all(void);

/* Pushes all of them on. Unlocked; nothing of it blocks or allocates; errno is kept. */
void pending_push(void);
