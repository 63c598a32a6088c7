/*
 * Sharing with other processes: asks the broker for connections that they parked, and hands over those that this one
 * parks. Without a broker named (HOLDLINE_BROKER), with one that is gone, slow or lying, the process has its own pool
 * and dials.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "pool/config/config.h"

struct broker_client;
struct config;
struct conn;
struct destination_key;
struct idle_pool;

/* A connection for a key that another process parked, proven alive and clean: CONN_OPEN, with our own descriptor.
 * NULL: there is none; *why as broker_client_lease() says, or -EAGAIN: the broker could not be asked. `who` connects
 * (habits.h). Waits for the broker, for a bounded time. Neither pool_enter() nor a lock of another question is held. */
struct conn *shared_take(const struct destination_key *key, uint64_t who, int *why);

/* The same of those with a session (sessions.h). */
struct conn *shared_take_session(const struct destination_key *key);

/* The same of those that programs of this kind have logged in on (pool/conn/login.h). */
struct conn *shared_take_login(const struct destination_key *key, enum config_mysql_share share);

/* For ticket.c. Asks, over a new connection (*fd, internal), for leave to dial; `conn` is what the answer may
 * fill. NULL: there is no broker, or none that gave its welcome within `patience_ms`. Neither pool_enter() nor a
 * question is open. */
struct conn *shared_ask_ticket(const struct destination_key *key, uint32_t max_conns, bool is_forced, int patience_ms,
			       int *fd);
int shared_read_ticket(int ticket, uint64_t *number, int *fd); /* as broker_client_read_ticket() */

/* The answer for `conn` has come, with a descriptor (-1: none): the connection, now ours; or NULL, and the object is
 * gone. */
struct conn *shared_conclude(struct conn *conn, int fd);
void shared_give_up(struct conn *conn);

/* The same where nobody takes what was given: ends it. -1: nothing was. */
void shared_refuse(int fd);

/* A connection has just been parked: shares it if it is not yet. Under the pool's lock. */
void shared_offer(struct idle_pool *pool, struct conn *conn);

/* This program has connected there only to see whether it can. Under the pool's lock. */
void shared_note_look(struct idle_pool *pool, const struct destination_key *key);

/* Ports towards a key's peer have run out. Under the pool's lock. */
void shared_relieve(struct idle_pool *pool, const struct destination_key *key);

/* One that is idle at the broker is to end, as idle_pool_retire() ends one of ours. Under the pool's lock. */
void shared_retire(struct idle_pool *pool, const struct destination_key *key);
