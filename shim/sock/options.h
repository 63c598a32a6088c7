/*
 * Socket options of a connection that changes hands: the program always sees those of a fresh socket plus what it set
 * itself, whatever the connection carried before and whatever we need on it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct conn;
struct sock;

/* Gives a connection, still on its own descriptor, the options that this socket is to have, plus ours: no Nagle (a
 * request written in pieces would wait 40 ms for the server's delayed ACK, which a fresh connection sends at once),
 * no TIME_WAIT, and, on one that has been silent for long, a short TCP_USER_TIMEOUT. 0 or -errno. */
int options_prepare_lease(struct sock *sock, struct conn *conn, uint64_t now_ns) __attribute__((warn_unused_result));

/* The socket's own connection has been dialled, under its numbers: gives it ours, and knows what it has. */
void options_begin(struct sock *sock);

/* The first answer has come: what follows may take its time. */
void options_end_forced_timeout(struct sock *sock);

/* How a kept connection is to end, by whoever closes it, the kernel at exit included: with an orderly FIN and
 * everything sent, but without FIN_WAIT_2 and TIME_WAIT (tcp(7), a negative TCP_LINGER2), which the bare program,
 * whose server closes first, would not have had. 0 or -errno. */
int options_forgo_time_wait(struct conn *conn, int fd) __attribute__((warn_unused_result));

/* Its close() while idle must not wait (SO_LINGER). */
int options_forgo_linger(struct conn *conn, int fd) __attribute__((warn_unused_result));

/* What is sent on it goes out though something before it has not been acknowledged (TCP_NODELAY). 0 or -errno. */
int options_send_at_once(struct conn *conn, int fd) __attribute__((warn_unused_result));

/* Nobody who waits for bytes on it is woken before more than so many have come (SO_RCVLOWAT); 0: as the program wants
 * it. False: it can't be. */
bool options_hide(struct sock *sock, unsigned n) __attribute__((warn_unused_result));

/* Sets exactly what the program asked for on fd, whose connection goes native. */
void options_restore(struct sock *sock, int fd);

/* Sets the program's options, those of its destination key included, on a fresh socket of ours. 0 or -errno. */
int options_copy_to_fresh(const struct sock *sock, int fd) __attribute__((warn_unused_result));

/* The program's value where ours differs on the socket itself. True if `value` (room for `*length`) was set. */
bool options_view(const struct sock *sock, int level, int name, void *value, unsigned *length);

/* SO_RCVTIMEO or SO_SNDTIMEO (SOCKET_OPTION_*TIMEO) as the program set it; 0: none. */
uint64_t options_timeout_ns(const struct sock *sock, int option);

/* The program has set an option on a new or open socket, successfully. */
void options_note_set(struct sock *sock, int level, int name, const void *value, unsigned length);

/* Puts our value back after the program has set its own on the socket itself. */
void options_force_again(struct sock *sock, int fd, int level, int name, const void *value);

/* True if the shim holds its own value there, and the program's is only to be remembered. */
bool options_is_forced(const struct sock *sock, int level, int name);
