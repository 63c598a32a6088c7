/*
 * Stubs: what the program's descriptor becomes when its exchange has ended and the connection was parked.
 *
 * One end of an AF_UNIX stream pair that did shutdown(SHUT_RD) on itself, its peer kept open: reading gives end of
 * file, and its readiness bits are those of a TCP socket in CLOSE_WAIT (IN, OUT, RDHUP, no HUP), made by the kernel
 * itself. A pair costs 11 us to make, so clean ones are kept and used again. The store is covered by the pool's lock.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct stub;

/* A stub out of the store, or a new one; false if there are no descriptors or the lock can't be had. */
bool stub_take(struct stub *stub);

/* A pair of our own descriptors, of which nothing is shut down yet; and its end. */
bool stub_open_pair(struct stub *stub) __attribute__((warn_unused_result));
void stub_close_pair(struct stub *stub);

/* A new one that has something to read before its end. */
bool stub_make_with(struct stub *stub, const char *bytes, size_t length) __attribute__((warn_unused_result));

/* O_NONBLOCK and kin of its description. */
bool stub_set_flags(struct stub *stub, int status_flags) __attribute__((warn_unused_result));

/* Gives one back. `is_clean` false (it was shut down, or others may use it): closed instead of kept. */
void stub_put(struct stub *stub, bool is_clean);

/* Gives up one that another process may hold too: to it the end of file must stay what it is, so the peer lives on
 * for a while. */
void stub_abandon(struct stub *stub);

/* Closes all in the store; false if it was empty. Under the pool's lock. */
bool stub_close_all(void);

/* In a fork's child: the store is empty (its descriptors were closed as internal ones). */
void stub_forget_all(void);
