/*
 * A handshake of our own: a fresh connection in the place of a kept one, below the session that the program has. It
 * speaks with the same version, suite and name, and is taken only if the server shows the very certificate that the
 * program has accepted.
 *
 * A program that blocks waits for it. For one that doesn't, the fresh connection stands under its descriptor at once,
 * so that the kernel wakes the program for the server's part of the handshake, and its own calls make ours: until then
 * what it sends is kept here, and there is nothing to read. What goes out before the server has said anything, the
 * calls push on by which it waits (shim/sock/pending.h). The kept connection lives until the fresh one is ready: if no
 * server shows the right certificate, the request goes there after all.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct channel;
struct conn;

/* Makes one over the socket, and sends there `length` bytes of the program's request: it is the channel's `fresh` wire
 * then. Waits for so long in each step (-1: for as long as it takes). `patience_ms` 0, and a socket that does not block
 * and may still be connecting: only begins, and own_wire_adopt() is due. 0 or -errno. */
int own_wire_make(struct channel *channel, int fd, int patience_ms, const uint8_t *bytes, size_t length);

/* The connection has taken the place of the channel's. */
void own_wire_adopt(struct channel *channel);

/* Holds the former connection until then. False: it is ready. Under the socket's lock. */
bool own_wire_hold(struct channel *channel, struct conn *conn);

/* Goes on with it, on the descriptor. 0: there is none to be made any more; -EAGAIN: it takes longer; or why there is
 * no connection. Unlocked; the library may allocate. */
int own_wire_go_on(struct channel *channel, int fd);

/* ... as far as that needs neither the library nor an answer, which may be called anywhere. Locked. */
void own_wire_push(struct channel *channel, int fd);

/* In a child of fork. */
void own_wire_inherit(struct channel *channel);

/* The channel ends. */
void own_wire_drop(struct channel *channel);
