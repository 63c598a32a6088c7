/*
 * Connections of the broker's that this process takes by itself: they lie on the shelf (pool/share/shelf.h), and
 * pidfd_getfd(2) duplicates the broker's descriptor. That spares the first request of a process the broker's turn, a
 * connection to it, and memory to share with it.
 *
 * The kernel lets only who might trace the broker do so (ptrace(2)), and a filter of system calls may end a process for
 * asking: where there is one, and once it was refused, the broker is asked instead.
 */
#pragma once

#include <stdint.h>

struct conn;
struct destination_key;

/* As shared_take(), without the broker. NULL: there is none to be had so. */
struct conn *shelf_take_one(const struct destination_key *key, uint64_t who, uint64_t now_ns);

/* Tells the broker that something was taken, so that it sees the end of this process at once. */
void shelf_ring(void);

/* The program has a filter of system calls. */
void shelf_leave_alone(void);
