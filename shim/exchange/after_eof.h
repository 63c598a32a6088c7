/*
 * Calls on a descriptor whose exchange has ended and which is a stub now: answered as TCP answers in CLOSE_WAIT, when
 * the server has closed. All under the socket's lock, in SOCK_STUB.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct sock;

/* The program begins another request there: it was never shown the `close` that the server would have said, had it
 * been asked, and takes the connection for kept (RFC 9112 9.3). True: SOCK_OPEN, with a kept connection or one that
 * is being dialled. False in another state than SOCK_STUB: it has a fresh socket, dialled or not, that can't be
 * followed. */
bool after_eof_begin_again(struct sock *sock);

/* A write of `length` readable bytes. The first is taken and meets a reset; the later ones fail. `length` or -errno. */
ssize_t after_eof_send(struct sock *sock, size_t length);

/* shutdown(2). 0 or -errno. */
int after_eof_shutdown(struct sock *sock, int how);

/* SO_ERROR: what is pending, which this clears. */
int after_eof_take_error(struct sock *sock);

/* connect(2) with AF_UNSPEC: the descriptor becomes a fresh socket with the program's options, SOCK_NEW. 0 or
 * -errno. */
int after_eof_disconnect(struct sock *sock);
