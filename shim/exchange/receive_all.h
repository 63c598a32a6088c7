/*
 * A receive that fills all of its buffers (MSG_WAITALL), or throws as much away (MSG_TRUNC on a stream, tcp(7)). The
 * kernel would wait past the end of the message, for bytes that a server that stays never sends; so it is done in
 * parts.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct sock;
struct transfer;

/* True for a receive that is to be done by receive_all(). */
bool receive_all_is_asked(const struct transfer *transfer);

/* True if it is none that can be done in parts. Locked. */
bool receive_all_is_beyond_us(const struct sock *sock, const struct transfer *transfer);

/* `length`: of all its buffers. Consumes the lock. */
ssize_t receive_all(struct sock *sock, struct transfer *transfer, size_t length);
