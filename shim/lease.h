/* Giving a kept connection to a socket that wants one, and a dialled one its place in the pool's books. */
#pragma once

#include <stdbool.h>

struct sock;

/* Puts the newest fit connection for sock->key under its numbers. False: there is none, so dial. In the latter case an
 * idle connection that could not be used has been ended, so that a dial never adds to what the program itself would have
 * open. Locked. */
bool lease_take(struct sock *sock);

/* The program's own socket has been dialled, or is being dialled: follow it. Locked. */
void lease_follow_dial(struct sock *sock);
