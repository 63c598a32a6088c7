/*
 * Putting a freshly dialled connection in the place of a leased one: before an unsafe method is risked on it, or when it
 * has turned out dead before any answer. The program, which believes its connection fresh, sees what a fresh one shows.
 */
#pragma once

#include <stdbool.h>

struct sock;

/*
 * Replaces the leased connection of a socket in its window, and sends again what `outgoing` holds.
 *
 * With nothing to send again, a non-blocking socket gets a dial in progress (EAGAIN on writing, writable after the
 * handshake, refusal as natively); else the dial is waited for, a non-blocking program's for three seconds at most.
 * 0, or -errno of the dial: then the program keeps the dead connection, whose error it is to be given.
 * Locked; the lock is given up while it blocks, and it is had again on return. `retire`: the old connection is alive and
 * only unfit; it ends before the dial, so that a server that serves one at a time is free.
 */
int fresh_replace(struct sock *sock, bool retire) __attribute__((warn_unused_result));
