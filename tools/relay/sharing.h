/*
 * Sharing with other processes by the user's broker, as the library does: what the relay keeps others may borrow, and
 * what they keep it may. No use without a broker (HOLDLINE_BROKER), with a private pool, or where connections are
 * limited in number, since a relay counts its own alone.
 *
 * A broker that is slow or no use is left alone for some seconds: then the relay has its own pool, as before. No call
 * waits for longer than BROKER_PATIENCE_MS.
 */
#pragma once

#include <stdbool.h>

struct conn;
struct destination;
struct destination_key;

/* `program` is the name of the program that is served. After relay_core_begin(). */
void sharing_begin(const char *program);

/* A connection to this destination that another process has parked, CONN_OPEN, proven alive and clean; NULL: none. The
 * descriptor's options are those of its last user. */
struct conn *sharing_take(const struct destination *destination);

/* Begins to talk with the broker, and doesn't wait: by the time that something is to be shared, it has answered. */
void sharing_introduce(void);

/* A connection has been parked: others may have it from now on. */
void sharing_offer(struct conn *conn);

/* The program has connected there only to see whether it can. */
void sharing_note_look(const struct destination *destination);

/* Ports towards a key's peer have run out: what is idle elsewhere is to end, and has a moment for it. */
void sharing_relieve(const struct destination_key *key);

/* The relay ends, and what is idle is the broker's from now on. What it does not have ends. */
void sharing_end(void);
