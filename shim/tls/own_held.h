/*
 * The connection in whose place an own wire (own_wire.h) is made: it stands until that is ready. A server that serves
 * one at a time says nothing before it has ended; after a while it does.
 */
#pragma once

#include <stdbool.h>

struct conn;
struct own_wire;

/* It is held from here on. */
void own_held_begin(struct own_wire *own, struct conn *conn);

/* It ends; where the server may be waiting for that, at once and for all that have it. Nothing where there is none, and
 * in a child of fork, which has only a copy. */
void own_held_end(struct own_wire *own, bool is_for_server);

/* The fresh one's hello has been sent, or not. A server that says nothing for too long serves the connection that it
 * has, and waits for its end: it ends. */
void own_held_end_gentle_time(struct own_wire *own, int fd, bool is_dialed);
