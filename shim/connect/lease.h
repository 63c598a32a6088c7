/* Giving a kept connection to a socket that wants one, and a dialled one its place in the pool's books. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct conn;
struct idle_pool;
struct sock;

/* Prepares a socket for a kept connection whose server has spoken first (conn->login). False: it can't have it. NULL
 * until the exchange says so, before main(). */
extern bool (*lease_begin_login)(struct sock *sock, struct conn *conn);

/* Likewise: true if all that its server has to answer first has come. */
extern bool (*lease_login_is_ready)(const struct conn *conn);

/* Puts the newest fit connection for sock->key under its numbers. False: there is none, so dial. Locked. */
bool lease_take(struct sock *sock);

/* The same for a connect() that may take a round trip: a connection whose server has to be asked first is awaited
 * unlocked. *sock is locked again afterwards; NULL: the descriptor is another's by now, or is not followed any more. */
bool lease_take_in_time(struct sock **sock, int fd);

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

/* True if a kept connection is ready for the next program, and there is room for it or for the socket's own, which is
 * not: its server would have to answer first. Locked. */
bool lease_has_ready_instead(const struct sock *sock);

/* Another idle connection of the same destination takes the place of the one that was leased and not used, which is
 * parked again: one that fits, by its session. False: there is none. Locked. */
bool lease_other_session(struct sock *sock, bool (*fits)(const struct conn *conn, const void *what), const void *what)
	__attribute__((warn_unused_result));

/* One that the socket has leased and not used is as good as before for somebody else. Under the pool's lock. */
void lease_give_back(const struct sock *sock, struct idle_pool *pool, struct conn *conn, uint64_t now_ns);
