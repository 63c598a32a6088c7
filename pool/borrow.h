/*
 * Borrowing: connections that other processes have parked, by way of the broker. A connection object with a slot is
 * prepared, the broker is asked to fill the slot (broker_client_lease(), or a ticket), and its answer is checked.
 *
 * Both functions are covered by the pool's lock; the question between them is not.
 */
#pragma once

#include <stdint.h>

struct conn;
struct destination_key;
struct idle_pool;
struct shelf;
struct shelf_reader;

/* An object for what is asked for: CONN_OPEN, without a descriptor. NULL: no slot is free, or no memory. Where a
 * question went with the introduction (broker_client's is_asked), it is to be filled by that one's answer. */
struct conn *borrow_prepare(struct idle_pool *pool, const struct destination_key *key, uint64_t now_ns);

/* The broker has answered as broker_client_lease() returns it. `fd` is the descriptor that was given, the object's from
 * here on; -1: none. After an error of the talk its owner has ended that before (idle_pool_disconnect()). The object,
 * whose connection is what the broker says, alive and clean; NULL: there is no connection, and the object is gone. */
struct conn *borrow_conclude(struct idle_pool *pool, struct conn *conn, int answer, int fd);

/* The same from a shelf (pool/share/shelf.h), without a question: an object for a connection that was claimed there,
 * and the number of the broker's descriptor. NULL: there is none. */
struct conn *borrow_claim(struct idle_pool *pool, struct shelf *shelf, struct shelf_reader *reader, int *number);

/* That descriptor was duplicated; -1: it could not be. Where it is not what the label says, or can't be used now, it
 * lies there again, for the broker to judge. */
struct conn *borrow_conclude_claim(struct idle_pool *pool, struct conn *conn, int fd);
