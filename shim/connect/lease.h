/* Giving a kept connection to a socket that wants one, and a dialled one its place in the pool's books. */
#pragma once

#include <stdbool.h>

struct conn;
struct sock;

/* Puts the newest fit connection for sock->key under its numbers. False: there is none, so dial. Locked. */
bool lease_take(struct sock *sock);

/* True where reuse has failed several times in a row (pool/conn/bypass.h), and nothing is kept: the connection is to be
 * left alone. Locked. */
bool lease_is_bypassed(const struct sock *sock);

/* The same with a connection at hand, CONN_OPEN; ends it if that fails. Locked. */
bool lease_install(struct sock *sock, struct conn *conn) __attribute__((warn_unused_result));

/* The program's own socket has been dialled, or is being dialled: tracks it. False: it can't be tracked, and the caller
 * decides about the socket. Locked. */
bool lease_adopt_dial(struct sock *sock) __attribute__((warn_unused_result));

/* Begins to dial on `fd`, a fresh non-blocking socket, as the socket would, and gives it the same options and flags.
 * Changes nothing of the first. */
bool lease_begin_dial(const struct sock *sock, int fd) __attribute__((warn_unused_result));

/* Its own connection under its numbers, dialled now: in progress, and followed. False: something failed. Locked. */
bool lease_dial_in_place(struct sock *sock) __attribute__((warn_unused_result));
