/*
 * This process's connection to the broker: made when it is first needed, given up when the broker does not answer in
 * time or breaks the protocol. A broker that was no use is marked down: for some seconds nobody tries to reach it
 * again.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "pool/share/client.h"

struct config;
struct conn;
struct destination_key;
struct idle_pool;

/* Under the pool's lock but for its receiving, which is covered by the question. */
extern struct broker_client broker_link_client;

/* When the library begins. NULL: nothing is shared. */
struct broker_client *broker_link_init(const struct config *config);

/* True if the broker is connected, or may be reached. */
bool broker_link_may_be_connected(void);

/* True if the broker is connected. */
bool broker_link_is_connected(void);

/* Begins to connect, and doesn't wait: by the time that there is something to offer, the broker has answered. Not
 * under any lock. */
void broker_link_introduce(void);

/* Connects if that was not done, and waits for the broker's welcome. Not under the pool's lock. */
void broker_link_connect(uint64_t now_ns);

/* The user whose connections the broker takes. */
uint32_t broker_link_euid(void);

/* Begins a question about a destination: one at a time, outside of the pool's lock. Connects if that was not done,
 * and then asks at once (broker_link_client.is_asked). False: there is none, or another thread's question takes too
 * long. */
bool broker_link_begin_question(uint64_t now_ns, const struct destination_key *key) __attribute__((warn_unused_result));
void broker_link_end_question(void);

/* Connects, and waits longer than usual for the broker's welcome, also where another thread is connecting just now. */
void broker_link_await_connection(int patience_ms);

/* One more connection to the broker, internal; -errno. */
int broker_link_dial(void) __attribute__((warn_unused_result));

/* The broker is no use: gives its connection up and marks it down. Under the pool's lock. */
void broker_link_disconnect(struct idle_pool *pool, uint64_t now_ns);

/* The same without the pool's lock, after the broker has not answered in time: not even the patient ask it
 * meanwhile. */
void broker_link_mark_down(void);

/* Another process may use the connection from now on: its end is not to be made by the broker. Also in a vfork
 * child. */
void broker_link_share(const struct conn *conn);

/* The broker is to look at its shelf: somebody waits for what was parked there, or it is to let go of something. Also
 * in a vfork child. */
void broker_link_ring(void);

/* The process may be about to be another program, with which what it uses of the shelf ends: the descriptor that tells
 * the broker by its end, if nothing was said on it; -1: there is nothing. Afterwards: it has stayed the same. */
int broker_link_before_exec(void);
void broker_link_after_exec(int fd);

/* The program takes over a descriptor at which our own connection to the broker may stand. True if it did. */
bool broker_link_move(int from);

/* In a fork's child: the broker knows the parent, not us. */
void broker_link_after_fork(void);

/* The same in one that goes on in the midst of what its parent did here: what that reads must be mapped, and says
 * nothing. */
void broker_link_after_fork_amid(void);
