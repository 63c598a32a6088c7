/* How wrappers get at a socket: locked, with nothing left to be done about it. */
#pragma once

#include "shim/sock/sock.h"

/* As sock_enter(), never with one that is SOCK_ENDING: its end of file is made first. */
struct sock *exchange_enter(int fd) __attribute__((warn_unused_result));

/* After a call that may have blocked, and after sock_come_out(): the lock again, if the number still means this
 * socket. */
struct sock *exchange_return(struct inside_token token, int fd) __attribute__((warn_unused_result));

/* As exchange_enter(), for a call that transfers something: waits for its turn to be connected, if the socket
 * blocks. False: its turn has not come, as errno says. */
bool exchange_enter_in_turn(int fd, int option, struct sock **entered) __attribute__((warn_unused_result));
