/*
 * MAX_CONNS_PER_HOST: a dial needs a ticket of the broker's where connections are counted, and waits for it in turn
 * with those of all other processes. What comes first is taken, leave to dial or a connection that has become idle.
 * Without a broker nothing is counted.
 *
 * A non-blocking program is not held: its descriptor becomes a placeholder (SOCK_WAITING), the ticket itself with a
 * full buffer, which polls like a handshake that takes its time. When its turn comes the broker empties that buffer,
 * which wakes the program, and its next call (poll and epoll: the same one) finds the real connection there.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "shim/kept/ticket.h"

struct destination_key;
struct sock;

enum limit_result {
	LIMIT_DIAL,   /* go on; sock->ticket is the leave, if there is a limit and a broker */
	LIMIT_LEASED, /* a connection has taken the dial's place. *locked is the socket */
	LIMIT_PLACED, /* the descriptor is a placeholder now. Likewise */
};

/* Before a dial of the socket at `fd`, which the caller has gone inside of and unlocked. Blocks as connect() does if
 * the socket does, for `timeout_ns` at most (0: for ever). Enum limit_result; -ETIMEDOUT; -EINTR: a signal has ended
 * the wait, which goes on in the background; -EBADF: the descriptor is not that socket's any more. *locked is NULL
 * unless said. errno is lost. */
int limit_enter(int fd, const struct destination_key *key, uint64_t timeout_ns, struct sock **locked)
	__attribute__((warn_unused_result));

/* A connection of the socket is replaced by another that is dialled: takes leave for that, whatever the limit.
 * Locked. */
void limit_force(struct sock *sock);

/* There has been a placeholder in this process. */
extern _Atomic(bool) limit_has_placed;

/* Any call on a placeholder: if its turn has come the real connection takes its place. Locked, state SOCK_WAITING;
 * the state says what it is afterwards. */
void limit_check_turn(struct sock *sock);

/* The same for a call that transfers something: waits for the turn if it may block and the socket does, for as long
 * as the program's own timeout (SOCKET_OPTION_*TIMEO) says. 0 with *locked the socket, NULL if it has gone native
 * meanwhile; or -errno, and it is unlocked. */
int limit_await(struct sock **locked, int fd, bool may_block, int option);

/* A placeholder that is about to be used where no wrapper of ours is, or in a way that can't be moved to another
 * file: waits no longer. It is dialled at once, beyond the limit if need be, but counted; if that fails it is at its
 * end. Locked, state SOCK_WAITING. Preserves errno. */
void limit_let_through(struct sock *sock);
