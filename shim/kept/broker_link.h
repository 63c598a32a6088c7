/*
 * This process's connection to the broker: met when it is first needed, parted from when it is no use.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "pool/share/client.h"
#include "shim/base/large.h"

struct config;
struct conn;
struct destination_key;
struct idle_pool;

/* Under the pool's lock but for its receiving, which is covered by the question. */
extern struct broker_client broker_link_client;

/* What broker_link_init() writes to: two parts. */
size_t broker_link_parts(struct large_part *parts);

/* When the library begins. NULL: nothing is shared. */
struct broker_client *broker_link_init(const struct config *config);

/* True if there is a broker to leave something to, or may be. */
bool broker_link_may_be_met(void);

/* True if it has been met. */
bool broker_link_is_met(void);

/* Introduces the process to it if that was not done, and doesn't wait: by the time that there is something to leave, the broker has
 * answered. Not under any lock. */
void broker_link_greet(void);

/* Meets it if that was not done, to leave something to it. Not under the pool's lock. */
void broker_link_meet(uint64_t now_ns);

/* Whose connections the broker takes. */
uint32_t broker_link_euid(void);

/* Begins a question about a destination: one at a time, outside of the pool's lock. Meets the broker if that was not done, and
 * then asks it at once (broker_link_client.is_asked). False: there is none, or another thread's question takes too long. */
bool broker_link_begin_question(uint64_t now_ns, const struct destination_key *key) __attribute__((warn_unused_result));
void broker_link_end_question(void);

/* For whom it is worth waiting longer than usual for the broker's welcome, also where another thread is just meeting it. */
void broker_link_wait_to_meet(int patience_ms);

/* One more connection to the broker, internal; -errno. */
int broker_link_dial(void) __attribute__((warn_unused_result));

/* The broker is no use: left alone for a while. Under the pool's lock. */
void broker_link_part(struct idle_pool *pool, uint64_t now_ns);

/* The same, for those who don't have it. */
void broker_link_doubt(void);

/* Another process may use the connection from now on: its end is not to be made by the broker. Also in a vfork child. */
void broker_link_share(const struct conn *conn);

/* The program takes over a number at which our own connection to the broker may stand. */
void broker_link_move(int from);

/* In a fork's child: the broker knows the parent, not us. */
void broker_link_after_fork(void);

/* The same in one that goes on in the midst of what its parent did here: what that reads must be mapped, and says nothing. */
void broker_link_after_fork_amid(void);
