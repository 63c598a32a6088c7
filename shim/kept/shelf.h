/*
 * Connections of the broker's that this process takes by itself: they lie on the shelf (pool/share/shelf.h), and the
 * broker's descriptor is duplicated (reach.h). That spares the first request of a process the broker's turn, a
 * connection to it, and memory to share with it. Where it can't be, the broker is asked instead.
 */
#pragma once

#include <stdint.h>

struct conn;
struct destination_key;

/* As shared_take(), without the broker. NULL: there is none to be had so. */
struct conn *shelf_take_one(const struct destination_key *key, uint64_t who, uint64_t now_ns);
